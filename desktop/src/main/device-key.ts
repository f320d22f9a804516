/**
 * The Ed25519 key pair of this device. The private key never leaves the machine; where the system has a key store, it
 * is encrypted with a key that only this person's session has.
 */
import { parseJson, parseWith, type Ed25519PublicJwk } from '@proofcast/shared';
import { exportJWK, generateKeyPair, importJWK, SignJWT } from 'jose';
import { TOKEN_ALGORITHM, TOKEN_AUDIENCES } from '@proofcast/shared';
import { readFile, rm } from 'node:fs/promises';
import { randomUUID } from 'node:crypto';
import { join } from 'node:path';
import { Type, type Static } from 'typebox';
import { writeFileAtomically } from './atomic-file.ts';

/** What is used of Electron's `safeStorage`. */
export interface KeyStore {
  isAsyncEncryptionAvailable(): Promise<boolean>;
  encryptStringAsync(plainText: string): Promise<Buffer>;
  decryptStringAsync(encrypted: Buffer): Promise<{ result: string }>;
  getSelectedStorageBackend(): string;
}

export type KeyProtection = 'system' | 'file';

const PrivateJwk = Type.Object({
  kty: Type.Literal('OKP'),
  crv: Type.Literal('Ed25519'),
  x: Type.String(),
  d: Type.String(),
});
type PrivateJwk = Static<typeof PrivateJwk>;

const KeyFile = Type.Union([
  Type.Object({ protection: Type.Literal('system'), encrypted: Type.String() }),
  Type.Object({ protection: Type.Literal('file'), jwk: PrivateJwk }),
]);

/** RFC 7523: an assertion is used at once, so it lives only as long as a slow connection takes. */
const ASSERTION_LIFE_S = 45;

export class DeviceKey {
  readonly publicKey: Ed25519PublicJwk;
  readonly protection: KeyProtection;
  /** Of its file in the folder of the app. */
  readonly fileName: string;
  readonly #jwk: PrivateJwk;

  private constructor(jwk: PrivateJwk, protection: KeyProtection, fileName: string) {
    this.#jwk = jwk;
    this.protection = protection;
    this.fileName = fileName;
    this.publicKey = { kty: jwk.kty, crv: jwk.crv, x: jwk.x };
  }

  /** Makes a new key pair and stores it in a file of its own, so that a key which is in use stays as it is. */
  static async create(directory: string, keyStore: KeyStore): Promise<DeviceKey> {
    const { privateKey } = await generateKeyPair(TOKEN_ALGORITHM, { crv: 'Ed25519', extractable: true });
    const { kty, crv, x, d } = await exportJWK(privateKey);
    const jwk = parseWith(PrivateJwk, { kty, crv, x, d }, 'the new key');
    const protection = await chooseProtection(keyStore);
    const file =
      protection === 'system'
        ? {
            protection,
            encrypted: (await keyStore.encryptStringAsync(JSON.stringify(jwk))).toString('base64'),
          }
        : { protection, jwk };
    // Readable by this user alone in both cases; without a key store that is all the protection there is.
    const fileName = `device-key-${randomUUID()}.json`;
    await writeFileAtomically(join(directory, fileName), JSON.stringify(file), 0o600);
    return new DeviceKey(jwk, protection, fileName);
  }

  /** Throws when there is no such key, or the key store does not open it. */
  static async open(directory: string, fileName: string, keyStore: KeyStore): Promise<DeviceKey> {
    const text = await readFile(join(directory, fileName), 'utf8');
    const file = parseWith(KeyFile, parseJson(text, 'the key file'), 'the key file');
    if (file.protection === 'file') return new DeviceKey(file.jwk, 'file', fileName);
    const { result } = await keyStore.decryptStringAsync(Buffer.from(file.encrypted, 'base64'));
    const jwk = parseWith(PrivateJwk, parseJson(result, 'the key'), 'the key');
    return new DeviceKey(jwk, 'system', fileName);
  }

  static async remove(directory: string, fileName: string): Promise<void> {
    await rm(join(directory, fileName), { force: true });
  }

  /** Proves to the relay that this is the device: valid once and briefly. */
  async signAssertion(deviceId: string, now: Date): Promise<string> {
    const issuedAt = Math.floor(now.getTime() / 1000);
    return new SignJWT()
      .setProtectedHeader({ alg: TOKEN_ALGORITHM })
      .setIssuer(deviceId)
      .setSubject(deviceId)
      .setAudience(TOKEN_AUDIENCES['relay:ingest'])
      .setJti(randomUUID())
      .setIssuedAt(issuedAt)
      .setExpirationTime(issuedAt + ASSERTION_LIFE_S)
      .sign(await importJWK(this.#jwk, TOKEN_ALGORITHM));
  }
}

async function chooseProtection(keyStore: KeyStore): Promise<KeyProtection> {
  if (!(await keyStore.isAsyncEncryptionAvailable())) return 'file';
  // Without a key ring, Chromium on Linux encrypts with a password that everybody knows.
  if (process.platform === 'linux' && keyStore.getSelectedStorageBackend() === 'basic_text') return 'file';
  return 'system';
}
