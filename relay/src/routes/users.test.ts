import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { TestClient } from '../../testing/test-client.ts';
import { startTestRelay, type TestRelay } from '../../testing/test-relay.ts';

const NEW_USER = {
  email: 'Ada@Example.test',
  name: 'Ada',
  role: 'auditor',
  password: 'twelve or more',
} as const;
let test: TestRelay;
let admin: TestClient;

beforeAll(async () => {
  test = await startTestRelay();
  admin = await test.signInAdmin();
});
afterAll(() => test.close());

describe('users', () => {
  it('are made by an admin, for the own company, and can sign in', async () => {
    const created = await admin.call('createUser', { body: NEW_USER });
    expect(created).toEqual({
      userId: expect.stringMatching(/^usr_/),
      email: 'ada@example.test',
      name: 'Ada',
      role: 'auditor',
      createdAtMs: expect.any(Number),
    });
    expect((await admin.call('users')).users).toContainEqual(created);
    const ada = test.client();
    const me = await ada.call('signIn', { body: { email: NEW_USER.email, password: NEW_USER.password } });
    expect(me.company.companyId).toBe(test.companyId);
  });

  it('share no e-mail address, not even across companies', async () => {
    const body = { ...NEW_USER, email: 'once@example.test' };
    await admin.call('createUser', { body });
    const foreignAdmin = await test.signInAs('admin', await test.createCompany('Beta'));
    for (const client of [admin, foreignAdmin]) {
      const again = { ...body, email: 'ONCE@example.test' };
      expect(await client.refusal('createUser', { body: again })).toMatchObject({ code: 'EMAIL_TAKEN' });
    }
  });

  it('[A2] of another company are not listed', async () => {
    const foreignAdmin = await test.signInAs('admin', await test.createCompany('Gamma'));
    const { users } = await foreignAdmin.call('users');
    expect(users).toHaveLength(1);
  });

  it.each([
    ['a short password', { password: 'short' }],
    ['a role that does not exist', { role: 'root' }],
    ['an address that is none', { email: 'nobody' }],
    ['a blank name', { name: '  ' }],
  ])('[A3] are not made with %s', async (_what, wrong) => {
    const before = (await admin.call('users')).users.length;
    const error = await admin.refusal('createUser', {
      body: { ...NEW_USER, email: 'x@example.test', ...wrong },
    });
    expect(error.code).toBe('MESSAGE_INVALID');
    expect((await admin.call('users')).users).toHaveLength(before);
  });
});
