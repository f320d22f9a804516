import { CodedError, type Me } from '@proofcast/shared';
import { beforeEach, describe, expect, it } from 'vitest';
import { RelayClient } from './relay-client.ts';
import { returnPath } from './router.ts';
import { Session } from './session.ts';

const ME: Me = {
  userId: 'usr_00000000000000000001',
  email: 'ada@example.test',
  name: 'Ada',
  role: 'auditor',
  company: { companyId: 'cmp_00000000000000000001', name: 'Acme' },
};

let next: Response | Error;
let session: Session;

const refuse = (status: number, code: string) => {
  next = Response.json({ code, message: 'x' }, { status });
};

beforeEach(() => {
  next = Response.json(ME);
  session = new Session(
    new RelayClient({
      fetch: () => (next instanceof Error ? Promise.reject(next) : Promise.resolve(next)),
      onReached: () => undefined,
      onUnauthenticated: () => session.expire(),
    }),
  );
});

describe('who is signed in', () => {
  it('is asked of the server', async () => {
    await session.load();
    expect(session.me).toEqual(ME);
    expect(session.may('recordings:read')).toBe(true);
    expect(session.may('live:watch')).toBe(false);
  });

  it('is nobody when the server says so', async () => {
    refuse(401, 'UNAUTHENTICATED');
    await session.load();
    expect(session.state.value).toEqual({ kind: 'signed-out', because: 'never-in' });
    expect(session.may('recordings:read')).toBe(false);
  });

  it('stays unknown when the server cannot be reached', async () => {
    next = new TypeError('fetch failed');
    await expect(session.load()).rejects.toMatchObject({ code: 'UNAVAILABLE' });
    expect(session.state.value.kind).toBe('unknown');
  });
});

describe('signing in and out', () => {
  it('begins with the right password only', async () => {
    refuse(401, 'CREDENTIALS_WRONG');
    await expect(session.signIn('a@b', 'wrong')).rejects.toBeInstanceOf(CodedError);
    expect(session.me).toBeNull();
    next = Response.json(ME);
    await session.signIn('a@b', 'right');
    expect(session.me).toEqual(ME);
  });

  it('ends only when the server has ended it', async () => {
    await session.load();
    next = new TypeError('fetch failed');
    await expect(session.signOut()).rejects.toMatchObject({ code: 'UNAVAILABLE' });
    expect(session.me).toEqual(ME);
    next = Response.json({});
    await session.signOut();
    expect(session.state.value).toEqual({ kind: 'signed-out', because: 'left' });
  });

  it('ends when the server has forgotten the session, and says that it was not the user', async () => {
    await session.load();
    session.expire();
    session.expire();
    expect(session.state.value).toEqual({ kind: 'signed-out', because: 'expired' });
  });
});

describe('the way back after signing in', () => {
  it.each(['/recordings/rec_1?t=5', '/live'])('leads to a page of ours: %s', (path) => {
    expect(returnPath(path)).toBe(path);
  });

  it.each([
    undefined,
    null,
    ['/live'],
    '',
    'live',
    '//evil.test',
    String.raw`/\evil.test`,
    'https://evil.test',
    '/sign-in?from=/x',
  ])('leads nowhere else: %s', (path) => {
    expect(returnPath(path)).toBe('/');
  });
});
