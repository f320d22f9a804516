import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { HeldClock } from '../../testing/held-clock.ts';
import { ADMIN, startTestRelay, type TestRelay } from '../../testing/test-relay.ts';

const HOUR_MS = 3_600_000;
const clock = new HeldClock();
let test: TestRelay;

beforeAll(async () => {
  test = await startTestRelay({ clock });
});
afterAll(() => test.close());

describe('signing in', () => {
  it('answers who one is, and gives a cookie that scripts cannot read and other sites cannot send', async () => {
    const client = test.client();
    const response = await client.fetch('signIn', { body: { ...ADMIN, email: ' ADMIN@example.test' } });
    expect(await response.json()).toEqual({
      userId: expect.stringMatching(/^usr_/),
      email: ADMIN.email,
      name: 'Admin',
      role: 'admin',
      company: { companyId: test.companyId, name: 'My company' },
    });
    const [cookie] = response.headers.getSetCookie();
    expect(cookie).toMatch(
      /^proofcast_session=[\w-]{43}; Path=\/; Expires=[^;]+; HttpOnly; SameSite=Strict$/,
    );
    expect(await client.call('me')).toMatchObject({ email: ADMIN.email });
  });

  it('marks the cookie as secure when the request came by https', async () => {
    const behindProxy = await startTestRelay({ env: { TRUST_PROXY: 'loopback' } });
    try {
      const headers = { 'x-forwarded-proto': 'https' };
      const response = await behindProxy.client().fetch('signIn', { body: ADMIN, headers });
      expect(response.headers.getSetCookie()[0]).toContain('; Secure');
      expect(response.headers.get('strict-transport-security')).toBe('max-age=31536000');
      const plain = await behindProxy.client().fetch('signIn', { body: ADMIN });
      expect(plain.headers.getSetCookie()[0]).not.toContain('Secure');
      expect(plain.headers.get('strict-transport-security')).toBeNull();
    } finally {
      await behindProxy.close();
    }
  });

  it('[A6] does not tell an unknown e-mail address from a wrong password', async () => {
    const client = test.client();
    const wrong = await client.refusal('signIn', { body: { ...ADMIN, password: 'not the password' } });
    const unknown = await client.refusal('signIn', { body: { ...ADMIN, email: 'nobody@example.test' } });
    expect(wrong.code).toBe('CREDENTIALS_WRONG');
    expect(unknown.toBody()).toEqual(wrong.toBody());
    expect(client.cookie).toBe('');
  });

  it('ends the session that the browser had before', async () => {
    const client = await test.signInAdmin();
    const before = client.cookie;
    await client.call('signIn', { body: ADMIN });
    expect(client.cookie).not.toBe(before);
    client.cookie = before;
    expect(await client.refusal('me')).toMatchObject({ code: 'UNAUTHENTICATED' });
  });

  it('stores the cookie as a hash only', async () => {
    const client = await test.signInAdmin();
    const secret = client.cookie.split('=')[1] ?? '';
    const rows = await test.relay.database.selectFrom('sessions').selectAll().execute();
    expect(rows.length).toBeGreaterThan(0);
    expect(JSON.stringify(rows)).not.toContain(secret);
  });
});

describe('signing out', () => {
  it('ends the session for good and takes the cookie away', async () => {
    const client = await test.signInAdmin();
    const { cookie } = client;
    expect(await client.call('signOut')).toEqual({});
    expect(client.cookie).toBe('proofcast_session=');
    client.cookie = cookie;
    expect(await client.refusal('me')).toMatchObject({ code: 'UNAUTHENTICATED' });
    expect(await client.refusal('signOut')).toMatchObject({ code: 'UNAUTHENTICATED' });
  });
});

describe('a session', () => {
  it('lasts for twelve hours and not a moment longer, whatever it is used for', async () => {
    const client = await test.signInAdmin();
    clock.advance(12 * HOUR_MS - 1);
    await client.call('me');
    clock.advance(1);
    expect(await client.refusal('me')).toMatchObject({ code: 'UNAUTHENTICATED' });
  });

  it('that has expired is forgotten when somebody signs in', async () => {
    await test.signInAdmin();
    clock.advance(12 * HOUR_MS);
    await test.signInAdmin();
    const rows = await test.relay.database.selectFrom('sessions').selectAll().execute();
    expect(rows).toHaveLength(1);
  });

  it('survives a restart of the relay', async () => {
    const client = await test.signInAdmin();
    await test.restart();
    const again = test.client();
    again.cookie = client.cookie;
    expect(await again.call('me')).toMatchObject({ email: ADMIN.email });
  });
});

describe('guessing', () => {
  it('[A6] is refused for an account after ten wrong passwords, right ones included, until time has passed', async () => {
    const limited = await startTestRelay({ clock });
    try {
      const client = limited.client();
      for (let guess = 0; guess < 10; guess += 1) {
        const error = await client.refusal('signIn', { body: { ...ADMIN, password: `guess ${guess}` } });
        expect(error.code).toBe('CREDENTIALS_WRONG');
      }
      const response = await client.fetch('signIn', { body: ADMIN });
      expect(response.status).toBe(429);
      expect(response.headers.get('retry-after')).toBe('90');
      clock.advance(90_000);
      await client.call('signIn', { body: ADMIN });
    } finally {
      await limited.close();
    }
  });

  it('[A6] is refused for an address that tries many accounts', async () => {
    const limited = await startTestRelay({
      limits: { failedSignInsPerAddress: { count: 3, perMs: 60_000 } },
    });
    try {
      const client = limited.client();
      const codes: string[] = [];
      for (let guess = 0; guess < 4; guess += 1) {
        const body = { email: `guess${guess}@example.test`, password: 'not the password' };
        codes.push((await client.refusal('signIn', { body })).code);
      }
      expect(codes).toEqual([
        'CREDENTIALS_WRONG',
        'CREDENTIALS_WRONG',
        'CREDENTIALS_WRONG',
        'TOO_MANY_REQUESTS',
      ]);
    } finally {
      await limited.close();
    }
  });
});
