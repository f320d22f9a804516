import { mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { openSigningKey } from './signing-key.ts';

let directory: string;
let keysDir: string;

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'proofcast-keys-'));
  keysDir = join(directory, 'keys');
});
afterEach(() => rm(directory, { recursive: true }));

describe('openSigningKey', () => {
  it('makes a key that nobody else can read, and finds the same one again', async () => {
    const first = await openSigningKey(keysDir);
    const second = await openSigningKey(keysDir);
    expect(second.publicJwk).toEqual(first.publicJwk);
    expect(await readdir(keysDir)).toEqual(['token-signing.json']);
    expect((await stat(join(keysDir, 'token-signing.json'))).mode & 0o777).toBe(0o600);
    expect((await stat(keysDir)).mode & 0o777).toBe(0o700);
  });

  it('tells nothing of the private half in what is published', async () => {
    const { publicJwk, keyId } = await openSigningKey(keysDir);
    expect(publicJwk).toEqual({
      kty: 'OKP',
      crv: 'Ed25519',
      x: expect.stringMatching(/^[\w-]{43}$/),
      kid: keyId,
      alg: 'EdDSA',
      use: 'sig',
    });
  });

  it('refuses a damaged file instead of making a new key, which would end all tokens', async () => {
    await openSigningKey(keysDir);
    const path = join(keysDir, 'token-signing.json');
    const text = await readFile(path, 'utf8');
    await writeFile(path, text.slice(0, 40));
    await expect(openSigningKey(keysDir)).rejects.toThrow(path);
    await writeFile(path, '{"kty":"OKP"}');
    await expect(openSigningKey(keysDir)).rejects.toThrow(path);
  });
});
