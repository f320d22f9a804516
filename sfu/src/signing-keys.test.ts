import { afterEach, describe, expect, it } from 'vitest';
import { pino } from 'pino';
import { KeyServer, TokenIssuer, writeKeyFile } from '../testing/token-issuer.ts';
import { DEFAULT_LIMITS, type KeySource, type SfuLimits } from './config.ts';
import { SigningKeys } from './signing-keys.ts';
import { verifyToken } from './tokens.ts';

const cleanups: (() => void | Promise<void>)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).toReversed()) await cleanup();
});

function keysFrom(source: KeySource, limits: Partial<SfuLimits> = {}): SigningKeys {
  const keys = new SigningKeys({
    source,
    limits: { ...DEFAULT_LIMITS, keyCooldownMs: 0, ...limits },
    log: pino({ level: 'silent' }),
  });
  cleanups.push(() => keys.close());
  return keys;
}

async function keyServer(body: unknown): Promise<KeyServer> {
  const server = await new KeyServer(body).start();
  cleanups.push(() => server.stop());
  return server;
}

async function accepts(keys: SigningKeys, issuer: TokenIssuer): Promise<boolean> {
  const { principal } = await verifyToken(await issuer.viewer(), keys);
  return principal.companyId === issuer.companyId;
}

async function codeOf(keys: SigningKeys, issuer: TokenIssuer): Promise<string> {
  return verifyToken(await issuer.viewer(), keys).then(
    () => 'accepted',
    (error) => error.code,
  );
}

describe('[S2] keys from a URL', () => {
  it('are loaded by themselves, and the first token waits for them', async () => {
    const issuer = await TokenIssuer.create();
    const server = await keyServer(issuer.keySet);
    const keys = keysFrom({ kind: 'url', url: server.url });
    expect(keys.unreadyReason()).toContain('being loaded');
    expect(await accepts(keys, issuer)).toBe(true);
    expect(keys.unreadyReason()).toBeUndefined();
    expect(await accepts(keys, issuer)).toBe(true);
    expect(server.requests).toBe(1);
  });

  it('go on being used when the relay is down', async () => {
    const issuer = await TokenIssuer.create();
    const server = await keyServer(issuer.keySet);
    const keys = keysFrom({ kind: 'url', url: server.url });
    await accepts(keys, issuer);
    await server.stop();
    // A token with a new key makes it try, and fail.
    expect(await codeOf(keys, await TokenIssuer.create())).toBe('UNAVAILABLE');
    expect(await accepts(keys, issuer)).toBe(true);
    expect(keys.unreadyReason()).toBeUndefined();
  });

  it('are unready with the reason while the relay was never there, and arrive when it comes', async () => {
    const issuer = await TokenIssuer.create();
    const server = await keyServer(issuer.keySet);
    await server.stop();
    const keys = keysFrom({ kind: 'url', url: server.url });
    expect(await codeOf(keys, issuer)).toBe('UNAVAILABLE');
    expect(keys.unreadyReason()).toContain('ECONNREFUSED');
    expect(keys.unreadyReason()).toContain(server.url);
    await server.start();
    expect(await accepts(keys, issuer)).toBe(true);
    expect(keys.unreadyReason()).toBeUndefined();
  });

  it('are tried again without any token', async () => {
    const issuer = await TokenIssuer.create();
    const server = await keyServer(issuer.keySet);
    await server.stop();
    const keys = keysFrom({ kind: 'url', url: server.url });
    await codeOf(keys, issuer);
    await server.start();
    await expect.poll(() => keys.unreadyReason(), { timeout: 5_000 }).toBeUndefined();
  });

  it('are refreshed, so that a key that the relay no longer has is no longer accepted', async () => {
    const [retired, current] = [await TokenIssuer.create(), await TokenIssuer.create()];
    const server = await keyServer(retired.keySet);
    const keys = keysFrom({ kind: 'url', url: server.url }, { keyRefreshIntervalMs: 20 });
    expect(await accepts(keys, retired)).toBe(true);
    server.body = JSON.stringify(current.keySet);
    await expect.poll(() => codeOf(keys, retired), { timeout: 5_000 }).toBe('TOKEN_INVALID');
    expect(await accepts(keys, current)).toBe(true);
  });

  it('are loaded again for an unknown key id, but not more often than the cooldown allows', async () => {
    const [known, stranger] = [await TokenIssuer.create(), await TokenIssuer.create()];
    const server = await keyServer(known.keySet);
    const keys = keysFrom({ kind: 'url', url: server.url }, { keyCooldownMs: 60_000 });
    await accepts(keys, known);
    for (let attempt = 0; attempt < 20; attempt += 1)
      expect(await codeOf(keys, stranger)).toBe('TOKEN_INVALID');
    expect(server.requests).toBe(1);
  });

  it('are asked for once by many tokens at the same time', async () => {
    const [known, stranger] = [await TokenIssuer.create(), await TokenIssuer.create()];
    const server = await keyServer(known.keySet);
    const keys = keysFrom({ kind: 'url', url: server.url });
    await accepts(keys, known);
    await Promise.all(Array.from({ length: 20 }, () => codeOf(keys, stranger)));
    expect(server.requests).toBe(2);
  });

  it.each([
    ['an error', (server: KeyServer) => (server.status = 500), 'status 500'],
    ['no JSON', (server: KeyServer) => (server.body = 'hello'), 'not JSON'],
    ['another document', (server: KeyServer) => (server.body = '{"kid":"x"}'), 'key set'],
    [
      'no usable key',
      (server: KeyServer) => (server.body = '{"keys":[{"kty":"RSA","kid":"a"}]}'),
      'no Ed25519 key',
    ],
    [
      'too much',
      (server: KeyServer) => (server.body = ' '.repeat(DEFAULT_LIMITS.maxKeySetBytes + 1)),
      'more than',
    ],
  ])('that come as %s are not taken, and the ones in hand are kept', async (_what, spoil, reason) => {
    const issuer = await TokenIssuer.create();
    const server = await keyServer(issuer.keySet);
    const keys = keysFrom({ kind: 'url', url: server.url });
    await accepts(keys, issuer);
    spoil(server);
    expect(await codeOf(keys, await TokenIssuer.create())).toBe('UNAVAILABLE');
    expect(await accepts(keys, issuer)).toBe(true);
    const fresh = keysFrom({ kind: 'url', url: server.url });
    await codeOf(fresh, issuer);
    expect(fresh.unreadyReason()).toContain(reason);
  });
});

describe('[S2] keys from a file', () => {
  it('are read again for a key id that is new in it', async () => {
    const [first, second] = [await TokenIssuer.create(), await TokenIssuer.create()];
    const file = await writeKeyFile(first);
    cleanups.push(file.remove);
    const keys = keysFrom({ kind: 'file', path: file.path });
    expect(await accepts(keys, first)).toBe(true);
    await file.write(first, second);
    expect(await accepts(keys, second)).toBe(true);
    expect(await accepts(keys, first)).toBe(true);
  });

  it('that does not exist are no reason to stop, and are named', async () => {
    const keys = keysFrom({ kind: 'file', path: '/nowhere/jwks.json' });
    expect(await codeOf(keys, await TokenIssuer.create())).toBe('UNAVAILABLE');
    expect(keys.unreadyReason()).toContain('/nowhere/jwks.json');
  });
});
