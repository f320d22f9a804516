import { importJWK, jwtVerify } from 'jose';
import { mkdtemp, readFile, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { DeviceKey, type KeyStore } from './device-key.ts';

const DEVICE = 'dev_0123456789abcdefghjk';

/** A key store of the system, as far as its interface goes: it turns every byte over. */
const keyStore: KeyStore = {
  isAsyncEncryptionAvailable: () => Promise.resolve(true),
  encryptStringAsync: (text) => Promise.resolve(Buffer.from(text).map((byte) => byte ^ 0xff) as Buffer),
  decryptStringAsync: (bytes) =>
    Promise.resolve({ result: Buffer.from(bytes.map((byte) => byte ^ 0xff)).toString() }),
  getSelectedStorageBackend: () => 'gnome_libsecret',
};
const noKeyStore: KeyStore = { ...keyStore, isAsyncEncryptionAvailable: () => Promise.resolve(false) };
const publicKnowledge: KeyStore = { ...keyStore, getSelectedStorageBackend: () => 'basic_text' };

let directory: string;

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'proofcast-key-'));
});
afterEach(() => rm(directory, { recursive: true, force: true }));

const storedText = ({ fileName }: DeviceKey) => readFile(join(directory, fileName), 'utf8');

describe('the key of the device', () => {
  it.each([
    ['a key store', keyStore],
    ['no key store', noKeyStore],
  ])('is the same after a restart, with %s', async (_what, store) => {
    const key = await DeviceKey.create(directory, store);
    const again = await DeviceKey.open(directory, key.fileName, store);
    expect(again.publicKey).toEqual(key.publicKey);
    expect(again.protection).toBe(key.protection);
  });

  it('is stored encrypted where the system has a key store', async () => {
    const key = await DeviceKey.create(directory, keyStore);
    expect(key.protection).toBe('system');
    expect(await storedText(key)).not.toContain('"d"');
  });

  it.each([
    ['has none', noKeyStore],
    ['has one whose password everybody knows', publicKnowledge],
  ])('is protected by its file mode where the system %s, and says so', async (_what, store) => {
    const key = await DeviceKey.create(directory, store);
    expect(key.protection).toBe('file');
    expect((await stat(join(directory, key.fileName))).mode & 0o777).toBe(0o600);
  });

  it('shows no private part', async () => {
    const key = await DeviceKey.create(directory, noKeyStore);
    expect(Object.keys(key.publicKey).toSorted()).toEqual(['crv', 'kty', 'x']);
    expect(JSON.stringify(key)).not.toContain('"d"');
  });

  it('signs an assertion that lives less than a minute and names the device and the relay', async () => {
    const key = await DeviceKey.create(directory, noKeyStore);
    const now = new Date();
    const assertion = await key.signAssertion(DEVICE, now);
    const { payload } = await jwtVerify(assertion, await importJWK(key.publicKey, 'EdDSA'), {
      issuer: DEVICE,
      subject: DEVICE,
      audience: 'proofcast-relay',
    });
    expect(payload.exp! - payload.iat!).toBeLessThan(60);
    expect(await key.signAssertion(DEVICE, now)).not.toBe(assertion);
  });

  it('cannot be opened after it was removed', async () => {
    const { fileName } = await DeviceKey.create(directory, noKeyStore);
    await DeviceKey.remove(directory, fileName);
    await DeviceKey.remove(directory, fileName);
    await expect(DeviceKey.open(directory, fileName, noKeyStore)).rejects.toThrow('ENOENT');
  });

  it('is not touched by a newer one', async () => {
    const first = await DeviceKey.create(directory, noKeyStore);
    const second = await DeviceKey.create(directory, noKeyStore);
    expect(second.publicKey).not.toEqual(first.publicKey);
    const again = await DeviceKey.open(directory, first.fileName, noKeyStore);
    expect(again.publicKey).toEqual(first.publicKey);
  });
});
