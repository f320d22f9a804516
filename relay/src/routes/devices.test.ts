import { decodeJwt, decodeProtectedHeader } from 'jose';
import { parseTokenClaims } from '@proofcast/shared';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { HeldClock } from '../../testing/held-clock.ts';
import { closeOf, type TestClient } from '../../testing/test-client.ts';
import { createDeviceKey, enrolmentBody, TestDevice } from '../../testing/test-device.ts';
import { startTestRelay, type TestRelay } from '../../testing/test-relay.ts';

const clock = new HeldClock();
let test: TestRelay;
let admin: TestClient;
let anybody: TestClient;

beforeAll(async () => {
  test = await startTestRelay({ clock });
});
afterAll(() => test.close());
beforeEach(async () => {
  admin = await test.signInAdmin();
  anybody = test.client();
});

const bearer = (token: string) => ({ headers: { authorization: `Bearer ${token}` } });

describe('enrolment', () => {
  it('gives a device the name that the admin chose, and the admin sees it', async () => {
    const { code, expiresAtMs } = await admin.call('createEnrolmentCode', { body: { deviceName: 'Desk 7' } });
    expect(code).toMatch(/^[0-9A-Z]{4}-[0-9A-Z]{4}-[0-9A-Z]{4}$/);
    expect(expiresAtMs).toBe(clock.nowMs() + 15 * 60_000);
    const { publicKey } = await createDeviceKey();
    const enrolled = await anybody.call('enrol', { body: enrolmentBody(code, publicKey) });
    expect(enrolled).toEqual({
      deviceId: expect.stringMatching(/^dev_/),
      deviceName: 'Desk 7',
      companyName: 'My company',
    });
    const { devices } = await admin.call('devices');
    expect(devices).toContainEqual({
      deviceId: enrolled.deviceId,
      name: 'Desk 7',
      platform: 'linux',
      enrolledAtMs: clock.nowMs(),
      revokedAtMs: null,
    });
  });

  it('reads a code as people type it: any case, with and without dashes, look-alikes for digits', async () => {
    const { code } = await admin.call('createEnrolmentCode', { body: { deviceName: 'Desk' } });
    const typed = ` ${code.toLowerCase().replaceAll('-', ' ').replaceAll('0', 'O').replaceAll('1', 'l')} `;
    const { publicKey } = await createDeviceKey();
    await anybody.call('enrol', { body: enrolmentBody(typed, publicKey) });
  });

  it('[A7] takes a code once', async () => {
    const { code } = await admin.call('createEnrolmentCode', { body: { deviceName: 'Desk' } });
    const { publicKey } = await createDeviceKey();
    const attempts = [1, 2, 3].map(() => anybody.fetch('enrol', { body: enrolmentBody(code, publicKey) }));
    const statuses = (await Promise.all(attempts)).map(({ status }) => status);
    expect(statuses.toSorted((a, b) => a - b)).toEqual([200, 401, 401]);
  });

  it('[A7] refuses a code after 15 minutes, and one that never was', async () => {
    const { code } = await admin.call('createEnrolmentCode', { body: { deviceName: 'Desk' } });
    const { publicKey } = await createDeviceKey();
    clock.advance(15 * 60_000);
    for (const wrong of [code, 'AAAA-BBBB-CCCC']) {
      const error = await anybody.refusal('enrol', { body: enrolmentBody(wrong, publicKey) });
      expect(error.code).toBe('ENROLMENT_CODE_INVALID');
    }
  });

  it('keeps the code good when the key is none', async () => {
    const { code } = await admin.call('createEnrolmentCode', { body: { deviceName: 'Desk' } });
    const { publicKey } = await createDeviceKey();
    const bad = enrolmentBody(code, { ...publicKey, x: '*'.repeat(43) });
    expect(await anybody.refusal('enrol', { body: bad })).toMatchObject({ code: 'MESSAGE_INVALID' });
    await anybody.call('enrol', { body: enrolmentBody(code, publicKey) });
  });

  it('stores the code as a hash only', async () => {
    const { code } = await admin.call('createEnrolmentCode', { body: { deviceName: 'Desk' } });
    const rows = await test.relay.database.selectFrom('enrolment_codes').selectAll().execute();
    expect(JSON.stringify(rows).toUpperCase()).not.toContain(code.replaceAll('-', ''));
  });

  it('[A6] is refused to an address after many wrong codes', async () => {
    const limited = await startTestRelay({
      limits: { failedEnrolmentsPerAddress: { count: 2, perMs: 60_000 } },
    });
    try {
      const { publicKey } = await createDeviceKey();
      const body = enrolmentBody('AAAA-BBBB-CCCC', publicKey);
      const codes: string[] = [];
      for (let guess = 0; guess < 3; guess += 1) {
        codes.push((await limited.client().refusal('enrol', { body })).code);
      }
      expect(codes).toEqual(['ENROLMENT_CODE_INVALID', 'ENROLMENT_CODE_INVALID', 'TOO_MANY_REQUESTS']);
    } finally {
      await limited.close();
    }
  });
});

describe('publish tokens', () => {
  it('are bound to purpose, device, company and stream, and expire after 15 minutes', async () => {
    const device = await TestDevice.enrol(admin);
    const tokens = await device.publishTokens(anybody, { nowMs: clock.nowMs() });
    expect(tokens.ingest.path).toBe('/api/ingest');
    expect(tokens.sfu.url).toMatch(/^ws:\/\/127\.0\.0\.1:8081\/signaling$/);
    const { keys } = await anybody.call('jwks');
    for (const [token, purpose] of [
      [tokens.sfu.token, 'sfu:publish'],
      [tokens.ingest.token, 'relay:ingest'],
    ] as const) {
      expect(decodeProtectedHeader(token)).toMatchObject({
        alg: 'EdDSA',
        kid: (keys[0] as { kid: string }).kid,
      });
      const claims = parseTokenClaims(decodeJwt(token));
      expect(claims).toMatchObject({
        purpose,
        sub: device.deviceId,
        company: test.companyId,
        stream: tokens.streamId,
      });
      expect(claims.exp - claims.iat).toBe(15 * 60);
      expect(tokens.expiresAtMs).toBe(claims.exp * 1000);
    }
  });

  it('name the same stream for the same slot, and another one for another slot', async () => {
    const device = await TestDevice.enrol(admin);
    const nowMs = clock.nowMs();
    const [first, again, other] = [
      await device.publishTokens(anybody, { nowMs }),
      await device.publishTokens(anybody, { nowMs }),
      await device.publishTokens(anybody, { nowMs, slot: 1 }),
    ];
    expect(again.streamId).toBe(first.streamId);
    expect(other.streamId).not.toBe(first.streamId);
  });

  it('[A7] are refused for an assertion that was used before, even after a restart', async () => {
    const device = await TestDevice.enrol(admin);
    const body = { assertion: await device.assertion({ nowMs: clock.nowMs() }), slot: 0 };
    await anybody.call('createPublishTokens', { body });
    expect(await anybody.refusal('createPublishTokens', { body })).toMatchObject({ code: 'TOKEN_INVALID' });
    await test.restart();
    const refusal = await test.client().refusal('createPublishTokens', { body });
    expect(refusal.code).toBe('TOKEN_INVALID');
    expect(refusal.message).toContain('used before');
  });

  it('leave no trace of assertions that have expired', async () => {
    const device = await TestDevice.enrol(admin);
    await device.publishTokens(anybody, { nowMs: clock.nowMs() });
    clock.advance(5 * 60_000);
    await device.publishTokens(anybody, { nowMs: clock.nowMs() });
    const rows = await test.relay.database.selectFrom('used_assertions').selectAll().execute();
    expect(rows).toHaveLength(1);
  });

  it('[A7] are refused for an assertion that is expired, lives too long, or is meant for somebody else', async () => {
    const device = await TestDevice.enrol(admin);
    const other = await TestDevice.enrol(admin);
    const nowS = Math.floor(clock.nowMs() / 1000);
    const refuse = async (assertion: string) => {
      const error = await anybody.refusal('createPublishTokens', { body: { assertion, slot: 0 } });
      expect(error.details).toEqual({ relayTimeMs: clock.nowMs() });
      return error.code;
    };
    expect(await refuse(await device.assertion({ claims: { exp: nowS - 10 } }))).toBe('TOKEN_EXPIRED');
    for (const claims of [
      { exp: nowS + 120 },
      { aud: 'proofcast-sfu' },
      { iss: other.deviceId },
      { sub: other.deviceId },
      { iss: other.deviceId, sub: other.deviceId },
      { iss: 'dev_00000000000000000000', sub: 'dev_00000000000000000000' },
      { jti: 'short' },
      { nbf: nowS + 60 },
    ]) {
      expect(await refuse(await device.assertion({ nowMs: clock.nowMs(), claims }))).toBe('TOKEN_INVALID');
    }
    expect(await refuse('not.a.token.of.any.kind.at.all')).toBe('TOKEN_INVALID');
  });

  it('[A7] are refused for an assertion without a signature', async () => {
    const device = await TestDevice.enrol(admin);
    const signed = await device.assertion({ nowMs: clock.nowMs() });
    const none = Buffer.from('{"alg":"none"}').toString('base64url');
    const [, payload] = signed.split('.');
    for (const assertion of [`${none}.${payload}.`, `${signed.slice(0, -4)}AAAA`]) {
      const error = await anybody.refusal('createPublishTokens', { body: { assertion, slot: 0 } });
      expect(error.code).toBe('TOKEN_INVALID');
    }
  });

  it('[A6] are refused to an address that asks too often', async () => {
    const limited = await startTestRelay({
      limits: { publishTokensPerAddress: { count: 1, perMs: 60_000 } },
    });
    try {
      const device = await TestDevice.enrol(await limited.signInAdmin());
      const client = limited.client();
      await device.publishTokens(client);
      await expect(device.publishTokens(client)).rejects.toMatchObject({ code: 'TOO_MANY_REQUESTS' });
    } finally {
      await limited.close();
    }
  });
});

describe('the ingest socket', () => {
  it('[I1] opens for an ingest token, and for nothing else', async () => {
    const device = await TestDevice.enrol(admin);
    const { ingest, sfu } = await device.publishTokens(anybody, { nowMs: clock.nowMs() });
    const socket = await anybody.open('ingest', bearer(ingest.token));
    socket.close();
    await closeOf(socket);

    await expect(anybody.open('ingest')).rejects.toMatchObject({ code: 'UNAUTHENTICATED' });
    await expect(anybody.open('ingest', { headers: { cookie: admin.cookie } })).rejects.toMatchObject({
      code: 'UNAUTHENTICATED',
    });
    for (const wrong of [sfu.token, `${ingest.token.slice(0, -4)}AAAA`, 'garbage']) {
      await expect(anybody.open('ingest', bearer(wrong))).rejects.toMatchObject({ code: 'TOKEN_INVALID' });
    }
  });

  it('[I1] does not open for a token that has expired', async () => {
    const device = await TestDevice.enrol(admin);
    const { ingest } = await device.publishTokens(anybody, { nowMs: clock.nowMs() });
    clock.advance(15 * 60_000 + 1_000);
    await expect(anybody.open('ingest', bearer(ingest.token))).rejects.toMatchObject({
      code: 'TOKEN_EXPIRED',
    });
  });

  it('[I1] does not open for a token that another key has signed', async () => {
    const device = await TestDevice.enrol(admin);
    const { ingest } = await device.publishTokens(anybody, { nowMs: clock.nowMs() });
    const foreign = await startTestRelay({ clock });
    try {
      await expect(foreign.client().open('ingest', bearer(ingest.token))).rejects.toMatchObject({
        code: 'TOKEN_INVALID',
      });
    } finally {
      await foreign.close();
    }
  });

  it('[I1] is no place for plain HTTP', async () => {
    const device = await TestDevice.enrol(admin);
    const { ingest } = await device.publishTokens(anybody, { nowMs: clock.nowMs() });
    expect(await anybody.refusal('ingest', bearer(ingest.token))).toMatchObject({ code: 'MESSAGE_INVALID' });
    expect(await anybody.refusal('ingest')).toMatchObject({ code: 'UNAUTHENTICATED' });
  });
});

describe('revoking a device', () => {
  it('[A8] ends its connections, and it gets no tokens and no connection any more', async () => {
    const device = await TestDevice.enrol(admin);
    const { ingest } = await device.publishTokens(anybody, { nowMs: clock.nowMs() });
    const socket = await anybody.open('ingest', bearer(ingest.token));
    const closed = closeOf(socket);
    const revoked = await admin.call('revokeDevice', { params: { deviceId: device.deviceId } });
    expect(revoked.revokedAtMs).toBe(clock.nowMs());
    expect(await closed).toMatchObject({ code: 4403, reason: expect.stringMatching(/^DEVICE_REVOKED: /) });

    await expect(anybody.open('ingest', bearer(ingest.token))).rejects.toMatchObject({
      code: 'DEVICE_REVOKED',
    });
    await expect(device.publishTokens(anybody, { nowMs: clock.nowMs() })).rejects.toMatchObject({
      code: 'DEVICE_REVOKED',
    });
  });

  it('twice keeps the first time', async () => {
    const { deviceId } = await TestDevice.enrol(admin);
    const first = await admin.call('revokeDevice', { params: { deviceId } });
    clock.advance(1_000);
    expect(await admin.call('revokeDevice', { params: { deviceId } })).toEqual(first);
  });

  it('[A2] is not possible from another company, which does not see the device either', async () => {
    const { deviceId } = await TestDevice.enrol(admin);
    const foreignAdmin = await test.signInAs('admin', await test.createCompany('Beta'));
    expect(await foreignAdmin.refusal('revokeDevice', { params: { deviceId } })).toMatchObject({
      code: 'NOT_FOUND',
    });
    expect(await foreignAdmin.call('devices')).toEqual({ devices: [] });
    const { devices } = await admin.call('devices');
    expect(devices.find((device) => device.deviceId === deviceId)).toMatchObject({ revokedAtMs: null });
  });
});
