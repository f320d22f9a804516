import { describe, expect, it } from 'vitest';
import {
  hasPermission,
  parseTokenClaims,
  PERMISSIONS,
  requirePermission,
  ROLES,
  TOKEN_AUDIENCES,
} from './access.ts';
import { createId } from './ids.ts';

describe('permissions', () => {
  it('give each role what the glossary says and nothing else', () => {
    const granted = Object.fromEntries(
      ROLES.map((role) => [
        role,
        Object.keys(PERMISSIONS).filter((p) => hasPermission(role, p as keyof typeof PERMISSIONS)),
      ]),
    );
    expect(granted).toEqual({
      admin: ['live:watch', 'recordings:read', 'devices:manage', 'users:manage', 'retention:manage'],
      viewer: ['live:watch'],
      auditor: ['recordings:read'],
      ops: [],
    });
  });

  it('refuse with FORBIDDEN, which names role and permission', () => {
    const auditor = { kind: 'user', userId: 'usr_1', companyId: 'cmp_1', role: 'auditor' } as const;
    expect(() => requirePermission(auditor, 'live:watch')).toThrowError(
      expect.objectContaining({
        code: 'FORBIDDEN',
        message: 'The role auditor does not include live:watch.',
      }),
    );
    expect(() => requirePermission(auditor, 'recordings:read')).not.toThrow();
  });
});

describe('parseTokenClaims', () => {
  const claims = {
    iss: 'proofcast-relay',
    aud: TOKEN_AUDIENCES['sfu:publish'],
    purpose: 'sfu:publish',
    sub: createId('device'),
    stream: createId('stream'),
    company: createId('company'),
    iat: 1,
    exp: 2,
    jti: 'abcdefgh',
  };

  it('takes the claims that the relay signs', () => {
    expect(parseTokenClaims(claims)).toEqual(claims);
  });

  it.each([
    ['another issuer', { iss: 'somebody' }],
    ['an audience that does not fit the purpose', { aud: 'proofcast-relay' }],
    ['an unknown purpose', { purpose: 'everything' }],
    ['a user where a device belongs', { sub: createId('user') }],
    ['no stream', { stream: undefined }],
    ['no company', { company: undefined }],
  ])('refuses %s', (_, change) => {
    expect(() => parseTokenClaims({ ...claims, ...change })).toThrowError(
      expect.objectContaining({ code: 'TOKEN_INVALID' }),
    );
  });
});
