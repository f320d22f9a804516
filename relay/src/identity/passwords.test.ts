import { describe, expect, it } from 'vitest';
import { Passwords } from './passwords.ts';

const LIMITS = { concurrency: 2, maxWaiting: 10 };

describe('Passwords', () => {
  it('stores Argon2id in the PHC format with a salt of its own, and recognises the password again', async () => {
    const passwords = new Passwords(LIMITS);
    const [first, second] = await Promise.all([
      passwords.hash('hunter2 hunter2'),
      passwords.hash('hunter2 hunter2'),
    ]);
    expect(first).toMatch(/^\$argon2id\$v=19\$m=19456,t=2,p=1\$[A-Za-z0-9+/]{22}\$[A-Za-z0-9+/]{43}$/);
    expect(second).not.toBe(first);
    expect(await passwords.verify('hunter2 hunter2', first)).toBe(true);
    expect(await passwords.verify('hunter2 hunter3', first)).toBe(false);
  });

  it('computes what other implementations of Argon2id compute', async () => {
    // From the tests of the reference implementation: P-H-C/phc-winner-argon2, src/test.c.
    const stored = '$argon2id$v=19$m=65536,t=2,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc';
    const passwords = new Passwords(LIMITS);
    expect(await passwords.verify('password', stored)).toBe(true);
    expect(await passwords.verify('Password', stored)).toBe(false);
  });

  it('takes a password in any Unicode form', async () => {
    const passwords = new Passwords(LIMITS);
    const stored = await passwords.hash('Zürich übermorgen'.normalize('NFD'));
    expect(await passwords.verify('Zürich übermorgen'.normalize('NFC'), stored)).toBe(true);
  });

  it('[A6] works as hard for an account that does not exist, and answers false', async () => {
    const passwords = new Passwords(LIMITS);
    const stored = await passwords.hash('hunter2 hunter2');
    const timed = async (hash: string | null) => {
      const startMs = performance.now();
      expect(await passwords.verify('wrong password', hash)).toBe(false);
      return performance.now() - startMs;
    };
    const existing: number[] = [];
    const missing: number[] = [];
    for (let round = 0; round < 5; round += 1) {
      existing.push(await timed(stored));
      missing.push(await timed(null));
    }
    // An answer without the work takes a thousandth of the time; machines under load differ by less than this.
    expect(Math.min(...missing)).toBeGreaterThan(Math.min(...existing) / 4);
  });

  it('refuses with UNAVAILABLE when too many wait, and goes on with those that do', async () => {
    const passwords = new Passwords({ concurrency: 1, maxWaiting: 1 });
    const running = passwords.hash('one password');
    const waiting = passwords.hash('two passwords');
    await expect(passwords.hash('three passwords')).rejects.toMatchObject({ code: 'UNAVAILABLE' });
    expect(await running).toMatch(/^\$argon2id/);
    expect(await waiting).toMatch(/^\$argon2id/);
    expect(await passwords.hash('four passwords')).toMatch(/^\$argon2id/);
  });

  it('refuses to compare with something that is no hash', async () => {
    await expect(new Passwords(LIMITS).verify('x', 'plain text')).rejects.toThrow('PHC');
  });
});
