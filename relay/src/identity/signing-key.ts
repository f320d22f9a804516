/** The relay's own key pair, with which it signs tokens. Others see the public half only, as a JWK set (RFC 7517). */
import { randomBytes } from 'node:crypto';
import { mkdir, open, readFile, rename, rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { parseJson, parseWith, TOKEN_ALGORITHM } from '@proofcast/shared';
import {
  calculateJwkThumbprint,
  exportJWK,
  generateKeyPair,
  importJWK,
  type CryptoKey,
  type JWK,
} from 'jose';
import { Type, type Static } from 'typebox';

export interface SigningKey {
  /** Names the key in the head of each token: its thumbprint (RFC 7638). */
  readonly keyId: string;
  readonly privateKey: CryptoKey;
  readonly publicKey: CryptoKey;
  /** The public half as it stands in the JWK set. */
  readonly publicJwk: JWK;
}

const FILE_NAME = 'token-signing.json';

const StoredKey = Type.Object({
  kty: Type.Literal('OKP'),
  crv: Type.Literal('Ed25519'),
  x: Type.String({ minLength: 43, maxLength: 43 }),
  d: Type.String({ minLength: 43, maxLength: 43 }),
});
type StoredKey = Static<typeof StoredKey>;

/** Reads the key from `directory`; at the first run makes one there, readable by nobody else. */
export async function openSigningKey(directory: string): Promise<SigningKey> {
  const path = join(directory, FILE_NAME);
  const { kty, crv, x, d } = (await readKey(path)) ?? (await createKey(path));
  const keyId = await calculateJwkThumbprint({ kty, crv, x });
  return {
    keyId,
    privateKey: await importKey({ kty, crv, x, d }),
    publicKey: await importKey({ kty, crv, x }),
    publicJwk: { kty, crv, x, kid: keyId, alg: TOKEN_ALGORITHM, use: 'sig' },
  };
}

async function readKey(path: string): Promise<StoredKey | null> {
  let text: string;
  try {
    text = await readFile(path, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null;
    throw error;
  }
  return parseWith(StoredKey, parseJson(text, path, 'INTERNAL'), path, 'INTERNAL');
}

async function createKey(path: string): Promise<StoredKey> {
  const { privateKey } = await generateKeyPair(TOKEN_ALGORITHM, { crv: 'Ed25519', extractable: true });
  const key = parseWith(StoredKey, await exportJWK(privateKey), 'the new key', 'INTERNAL');
  await mkdir(dirname(path), { recursive: true, mode: 0o700 });
  await writeDurably(path, JSON.stringify(key));
  return key;
}

async function importKey(jwk: JWK): Promise<CryptoKey> {
  // `importJWK` returns bytes for symmetric keys only.
  return (await importJWK(jwk, TOKEN_ALGORITHM)) as CryptoKey;
}

/** The whole file or none of it survives a crash: temporary name, sync, rename, sync of the folder. */
async function writeDurably(path: string, text: string): Promise<void> {
  const temporaryPath = `${path}.${randomBytes(6).toString('hex')}.tmp`;
  try {
    await writeAndSync(temporaryPath, text);
    await rename(temporaryPath, path);
  } catch (error) {
    await rm(temporaryPath, { force: true });
    throw error;
  }
  const folder = await open(dirname(path), 'r');
  try {
    await folder.sync();
  } finally {
    await folder.close();
  }
}

async function writeAndSync(path: string, text: string): Promise<void> {
  const file = await open(path, 'wx', 0o600);
  try {
    await file.writeFile(text);
    await file.sync();
  } finally {
    await file.close();
  }
}
