import { createId } from '@proofcast/shared';
import { exportJWK, generateKeyPair, SignJWT, UnsecuredJWT } from 'jose';
import { pino } from 'pino';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { TokenIssuer, writeKeyFile } from '../testing/token-issuer.ts';
import { DEFAULT_LIMITS } from './config.ts';
import { SigningKeys } from './signing-keys.ts';
import { requireSameBearer, verifyToken, type Grant } from './tokens.ts';

let issuer: TokenIssuer;
let keys: SigningKeys;
let keyFile: Awaited<ReturnType<typeof writeKeyFile>>;
const streamId = createId('stream');

beforeAll(async () => {
  issuer = await TokenIssuer.create();
  keyFile = await writeKeyFile(issuer);
  keys = new SigningKeys({
    source: { kind: 'file', path: keyFile.path },
    limits: { ...DEFAULT_LIMITS, keyCooldownMs: 60_000 },
    log: pino({ level: 'silent' }),
  });
});

afterAll(async () => {
  keys.close();
  await keyFile.remove();
});

async function codeOf(token: string | Promise<string>): Promise<string> {
  return verifyToken(await token, keys).then(
    () => 'accepted',
    (error) => error.code,
  );
}

describe('[S2] a token', () => {
  it('for publishing grants a device its one stream, until it expires', async () => {
    const deviceId = createId('device');
    const grant = await verifyToken(await issuer.publisher(streamId, { deviceId, lifetimeS: 60 }), keys);
    expect(grant.principal).toEqual({ kind: 'device', companyId: issuer.companyId, deviceId, streamId });
    expect(grant.expiresAtMs - Date.now()).toBeGreaterThan(58_000);
    expect(grant.expiresAtMs - Date.now()).toBeLessThanOrEqual(60_000);
  });

  it.each(['admin', 'viewer'] as const)('for viewing grants the role %s', async (role) => {
    const userId = createId('user');
    const { principal } = await verifyToken(await issuer.viewer({ userId, role }), keys);
    expect(principal).toEqual({ kind: 'user', companyId: issuer.companyId, userId, role });
  });

  it.each(['auditor', 'ops'] as const)('for viewing does not help the role %s', async (role) => {
    expect(await codeOf(issuer.viewer({ role }))).toBe('FORBIDDEN');
  });

  it('that has expired is TOKEN_EXPIRED', async () => {
    expect(await codeOf(issuer.viewer({ lifetimeS: -1 }))).toBe('TOKEN_EXPIRED');
  });

  const invalid: [string, () => string | Promise<string>][] = [
    ['no token', () => 'this is not a token at all'],
    ['an unsigned one', () => new UnsecuredJWT({ sub: createId('user') }).setExpirationTime('1h').encode()],
    ['one for the relay', () => issuer.publisher(streamId, { claims: { aud: 'proofcast-relay' } })],
    [
      'one for ingest',
      () => issuer.publisher(streamId, { claims: { aud: 'proofcast-relay', purpose: 'relay:ingest' } }),
    ],
    [
      'one for ingest that claims our audience',
      () => issuer.publisher(streamId, { claims: { purpose: 'relay:ingest' } }),
    ],
    ['one of another issuer', () => issuer.viewer({ claims: { iss: 'somebody' } })],
    ['one with an unknown purpose', () => issuer.viewer({ claims: { purpose: 'sfu:everything' } })],
    ['one without an expiry', () => issuer.viewer({ claims: { exp: undefined } })],
    ['one without a company', () => issuer.viewer({ claims: { company: undefined } })],
    ['one with a company that is no id', () => issuer.viewer({ claims: { company: '../other' } })],
    [
      'one for publishing without a stream',
      () => issuer.publisher(streamId, { claims: { stream: undefined } }),
    ],
    ['one of a user for publishing', () => issuer.publisher(streamId, { claims: { sub: createId('user') } })],
    ['one of a device for viewing', () => issuer.viewer({ claims: { sub: createId('device') } })],
    ['one with an unknown role', () => issuer.viewer({ claims: { role: 'owner' } })],
    ['one with an unknown key', async () => (await TokenIssuer.create()).viewer()],
    [
      'one that another key signed under a known key id',
      async () => (await TokenIssuer.create(issuer.kid)).viewer(),
    ],
  ];
  it.each(invalid)('that is %s is TOKEN_INVALID', async (_what, make) => {
    expect(await codeOf(make())).toBe('TOKEN_INVALID');
  });

  it('whose payload was changed is TOKEN_INVALID', async () => {
    const [head = '', , signature = ''] = (await issuer.viewer({ role: 'viewer' })).split('.');
    const [, other = ''] = (await issuer.viewer({ role: 'admin' })).split('.');
    expect(await codeOf([head, other, signature].join('.'))).toBe('TOKEN_INVALID');
  });

  it.each(['HS256', 'ES256', 'RS256'])('that is signed with %s is TOKEN_INVALID', async (alg) => {
    const nowS = Math.floor(Date.now() / 1000);
    const claims = {
      iss: 'proofcast-relay',
      aud: 'proofcast-sfu',
      exp: nowS + 60,
      company: issuer.companyId,
    };
    const key =
      alg === 'HS256'
        ? new TextEncoder().encode(JSON.stringify(issuer.keySet.keys[0]).padEnd(32))
        : (await generateKeyPair(alg)).privateKey;
    const token = await new SignJWT(claims).setProtectedHeader({ alg, kid: issuer.kid }).sign(key);
    expect(await codeOf(token)).toBe('TOKEN_INVALID');
  });

  it('that is signed with the right key under another name of its algorithm is TOKEN_INVALID', async () => {
    expect(await codeOf(issuer.viewer({ alg: 'Ed25519' }))).toBe('TOKEN_INVALID');
  });

  it('that brings its own key is TOKEN_INVALID', async () => {
    const { privateKey, publicKey } = await generateKeyPair('EdDSA', { crv: 'Ed25519', extractable: true });
    const jwk = await exportJWK(publicKey);
    const token = await new SignJWT({ iss: 'proofcast-relay', aud: 'proofcast-sfu' })
      .setProtectedHeader({ alg: 'EdDSA', jwk: { kty: 'OKP', crv: 'Ed25519', x: String(jwk.x) } })
      .setExpirationTime('1h')
      .sign(privateKey);
    expect(await codeOf(token)).toBe('TOKEN_INVALID');
  });
});

describe('[S3] a newer token', () => {
  const device: Grant['principal'] = {
    kind: 'device',
    companyId: createId('company'),
    deviceId: createId('device'),
    streamId,
  };
  const user: Grant['principal'] = {
    kind: 'user',
    companyId: createId('company'),
    userId: createId('user'),
    role: 'viewer',
  };

  it('of the same bearer is taken, also with another role', () => {
    expect(() => requireSameBearer(device, { ...device })).not.toThrow();
    expect(() => requireSameBearer(user, { ...user, role: 'admin' })).not.toThrow();
  });

  it.each<[string, Grant['principal'], Grant['principal']]>([
    ['another device', device, { ...device, deviceId: createId('device') }],
    ['another stream', device, { ...device, streamId: createId('stream') }],
    ['another company', device, { ...device, companyId: createId('company') }],
    ['another user', user, { ...user, userId: createId('user') }],
    ['another company of the user', user, { ...user, companyId: createId('company') }],
    ['viewing instead of publishing', device, { ...user, companyId: device.companyId }],
    ['publishing instead of viewing', user, { ...device, companyId: user.companyId }],
  ])('of %s is FORBIDDEN', (_what, current, next) => {
    expect(() => requireSameBearer(current, next)).toThrow(expect.objectContaining({ code: 'FORBIDDEN' }));
  });
});
