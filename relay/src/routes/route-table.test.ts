import { RELAY_ROUTES, ROLES, PERMISSIONS, type RelayRouteName } from '@proofcast/shared';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { rawRequest } from '../../testing/raw-request.ts';
import type { TestClient } from '../../testing/test-client.ts';
import { ADMIN, startTestRelay, type TestRelay } from '../../testing/test-relay.ts';

let test: TestRelay;
let admin: TestClient;

beforeAll(async () => {
  test = await startTestRelay({ env: { METRICS_TOKEN: 'a-token-of-the-monitoring' } });
  admin = await test.signInAdmin();
});
afterAll(() => test.close());

const NAMES = Object.keys(RELAY_ROUTES) as RelayRouteName[];
const PARAMS = {
  recordingId: `rec_${'0'.repeat(20)}`,
  streamId: `str_${'0'.repeat(20)}`,
  deviceId: `dev_${'0'.repeat(20)}`,
  kind: 'poster',
};

describe('access', () => {
  it.each(NAMES.filter((name) => RELAY_ROUTES[name].access !== 'public'))(
    '[A1] nobody who has not proven who they are gets through to %s',
    async (name) => {
      const body = name === 'createPublishTokens' ? { assertion: 'x'.repeat(30), slot: 0 } : {};
      const error = await test.client().refusal(name, {
        params: PARAMS,
        ...(RELAY_ROUTES[name].method === 'POST' ? { body } : {}),
      });
      expect(error.status).toBe(401);
    },
  );

  it.each(ROLES)('[A1] the role %s gets through to what it includes and to nothing else', async (role) => {
    const client = await test.signInAs(role);
    for (const name of NAMES) {
      const { access, method } = RELAY_ROUTES[name];
      if (!Object.hasOwn(PERMISSIONS, access)) continue;
      const response = await client.fetch(name, {
        params: PARAMS,
        ...(method === 'POST' ? { body: {} } : {}),
      });
      const mayPass = (PERMISSIONS[access as keyof typeof PERMISSIONS] as readonly string[]).includes(role);
      // Who gets through is told what is wrong with the request: nothing with these ids exists.
      expect(`${name} ${response.status === 403}`).toBe(`${name} ${!mayPass}`);
    }
  });

  it('[A1] comes before a look at the body', async () => {
    const error = await test.client().refusal('createUser', { body: '{"broken' });
    expect(error.code).toBe('UNAUTHENTICATED');
  });

  it('[A1] a path that is not in the table is NOT_FOUND, for every method, signed in or not', async () => {
    for (const client of [admin, test.client()]) {
      for (const method of ['GET', 'POST', 'PUT', 'PATCH', 'DELETE']) {
        const response = await client.get('/api/companies', { method });
        expect(response.status).toBe(404);
        expect(await response.json()).toMatchObject({ code: 'NOT_FOUND' });
      }
      expect((await client.get('/api/me', { method: 'DELETE' })).status).toBe(404);
    }
  });

  it('[A1] no websocket opens at a path that has none', async () => {
    for (const path of ['/api/me', '/', '/healthz', '/api/nothing']) {
      const answer = await rawRequest(test.relay.url, {
        path,
        headers: {
          Connection: 'Upgrade',
          Upgrade: 'websocket',
          'Sec-WebSocket-Version': '13',
          'Sec-WebSocket-Key': 'dGhlIHNhbXBsZSBub25jZQ==',
          Cookie: admin.cookie,
        },
      });
      expect(answer).toMatch(/^HTTP\/1\.1 404 /);
      expect(answer).toContain('"NOT_FOUND"');
    }
  });
});

describe('origin', () => {
  const refused = expect.objectContaining({ code: 'ORIGIN_REFUSED' });

  it('[A4] another one is refused where something would change, sign-in included', async () => {
    for (const headers of [
      { origin: 'https://evil.test' },
      { origin: 'null' },
      { origin: test.relay.url.replace(/:\d+$/, ':1') },
      { 'sec-fetch-site': 'cross-site' },
      { 'sec-fetch-site': 'same-site' },
    ]) {
      expect(await admin.refusal('signOut', { headers })).toEqual(refused);
      expect(await test.client().refusal('signIn', { headers, body: ADMIN })).toEqual(refused);
    }
    await admin.call('me');
  });

  it('[A4] its own is accepted, whatever the scheme in front of a proxy, and so is none', async () => {
    const { host } = new URL(test.relay.url);
    for (const headers of [
      { origin: `http://${host}`, 'sec-fetch-site': 'same-origin' },
      { origin: `https://${host}` },
      { 'sec-fetch-site': 'none' },
      {},
    ]) {
      await admin.call('createViewTicket', { headers });
    }
  });

  it('[A4] a form of another page could not even be understood', async () => {
    for (const type of [
      'application/x-www-form-urlencoded',
      'text/plain',
      'multipart/form-data; boundary=x',
    ]) {
      const error = await admin.refusal('createEnrolmentCode', {
        body: '{"deviceName":"Desk"}',
        headers: { 'content-type': type },
      });
      expect(error.code).toBe('MESSAGE_INVALID');
    }
  });
});

describe('requests', () => {
  it.each([
    ['no body', undefined],
    ['broken JSON', '{"deviceName":'],
    ['JSON that is no object', '[]'],
    ['a missing property', {}],
    ['a property of another type', { deviceName: 7 }],
    ['a prototype', '{"deviceName":"x","__proto__":{"admin":true}}'],
  ])('[A3] with %s are refused with MESSAGE_INVALID', async (_what, body) => {
    const error = await admin.refusal('createEnrolmentCode', body === undefined ? {} : { body });
    expect(error.code).toBe('MESSAGE_INVALID');
  });

  it('without a body may carry its type all the same', async () => {
    await admin.call('createViewTicket', { headers: { 'content-type': 'application/json' } });
    await admin.call('createViewTicket', {});
  });

  it('[A3] with a parameter that is no id are refused with MESSAGE_INVALID', async () => {
    const error = await admin.refusal('revokeDevice', { params: { deviceId: '../../etc/passwd' } });
    expect(error.code).toBe('MESSAGE_INVALID');
  });

  it('that are too large are refused with MESSAGE_TOO_LARGE', async () => {
    const error = await admin.refusal('createEnrolmentCode', { body: { deviceName: 'x'.repeat(70_000) } });
    expect(error.code).toBe('MESSAGE_TOO_LARGE');
  });

  it('[A5] with a path that cannot be decoded are refused like any other', async () => {
    const response = await admin.get('/api/recordings/%ff');
    expect(response.status).toBe(400);
    expect(await response.json()).toEqual({ code: 'MESSAGE_INVALID', message: expect.any(String) });
  });
});

describe('answers', () => {
  it('[A5] of the API are kept by nobody, refusals included', async () => {
    for (const response of [await admin.fetch('me'), await test.client().fetch('me')]) {
      expect(response.headers.get('cache-control')).toBe('no-store');
      expect(response.headers.get('content-security-policy')).toBe(
        "default-src 'none';frame-ancestors 'none';base-uri 'none'",
      );
    }
  });

  it('[A5] tell nothing about a failure that nobody foresaw', async () => {
    const broken = await startTestRelay();
    try {
      const client = await broken.signInAdmin();
      broken.relay.identity.users.list = () => Promise.reject(new Error('secret detail'));
      const response = await client.fetch('users');
      expect(response.status).toBe(500);
      const body = await response.text();
      expect(body).toContain('"INTERNAL"');
      expect(body).not.toContain('secret detail');
    } finally {
      await broken.close();
    }
  });

  it('that do not have their documented shape never leave the relay', async () => {
    const broken = await startTestRelay();
    try {
      const client = await broken.signInAdmin();
      const row = { userId: 'usr_1', passwordHash: '$argon2id$' };
      broken.relay.identity.users.list = () => Promise.resolve([row as never]);
      expect(await client.refusal('users')).toMatchObject({ code: 'INTERNAL' });
    } finally {
      await broken.close();
    }
  });
});
