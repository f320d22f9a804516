import { CodedError } from '@proofcast/shared';
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pino } from 'pino';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { TestApi } from '../../testing/test-api.ts';
import type { KeyStore } from './device-key.ts';
import { DeviceIdentity } from './device-identity.ts';
import { SettingsFile } from './settings.ts';

const log = pino({ level: 'silent' });
const keyStore: KeyStore = {
  isAsyncEncryptionAvailable: () => Promise.resolve(false),
  encryptStringAsync: () => Promise.reject(new Error('There is none.')),
  decryptStringAsync: () => Promise.reject(new Error('There is none.')),
  getSelectedStorageBackend: () => 'basic_text',
};

let api: TestApi;
let directory: string;
let changes: number;

beforeEach(async () => {
  api = await TestApi.open();
  directory = await mkdtemp(join(tmpdir(), 'proofcast-identity-'));
  changes = 0;
});
afterEach(async () => {
  await api.close();
  await rm(directory, { recursive: true, force: true });
});

async function open(): Promise<DeviceIdentity> {
  return DeviceIdentity.open({
    directory,
    settings: await SettingsFile.open(directory, log),
    keyStore,
    requestTimeoutMs: 2_000,
    log,
    onChanged: () => {
      changes += 1;
    },
  });
}

async function enrolled(): Promise<DeviceIdentity> {
  const identity = await open();
  await identity.enrol(api.url, api.code);
  return identity;
}

const keyFile = async (): Promise<string> =>
  (await readdir(directory)).find((name) => name.startsWith('device-key')) ?? '';

/** What the app finds when the key store of the system is locked. Returns what the file was before. */
async function spoilKey(): Promise<string> {
  const path = join(directory, await keyFile());
  const whole = await readFile(path, 'utf8');
  await writeFile(path, '{"protection":"system","encrypted":"AA=="}');
  return whole;
}

describe('an enrolment', () => {
  it('gives the device an identity that the next run still has', async () => {
    const identity = await enrolled();
    const described = {
      kind: 'enrolled',
      serverUrl: api.url,
      deviceId: api.deviceId,
      deviceName: 'Desk 7',
      companyName: 'Example',
      keyProtection: 'file',
    };
    expect(identity.describe()).toEqual(described);
    expect(changes).toBe(1);
    expect((await open()).describe()).toEqual(described);
  });

  it('tells the relay about the machine, and the public key alone', async () => {
    await enrolled();
    expect(api.machine?.platform).toBe(process.platform);
    expect(Object.keys(api.publicKey!).toSorted()).toEqual(['crv', 'kty', 'x']);
  });

  it('learns the stream at once, so that recordings can begin while the relay is away', async () => {
    const identity = await enrolled();
    await api.close();
    expect(await identity.readPublisher()).toEqual({
      serverUrl: api.url,
      deviceId: api.deviceId,
      streamId: api.streamId,
    });
    expect((await (await open()).readPublisher()).streamId).toBe(api.streamId);
  });

  it('takes the code as people type it', async () => {
    const identity = await open();
    await identity.enrol(`  ${api.url}/ `, ` ${api.code}\n`);
    expect(identity.describe().kind).toBe('enrolled');
  });

  it('is refused with the words of the relay, and leaves the device as it was', async () => {
    const identity = await open();
    api.refusal = new CodedError('ENROLMENT_CODE_INVALID', 'The code is used.');
    await expect(identity.enrol(api.url, 'USED')).rejects.toMatchObject({
      code: 'ENROLMENT_CODE_INVALID',
      message: 'The code is used.',
    });
    expect(identity.describe()).toEqual({ kind: 'none' });
    expect(changes).toBe(0);
    api.refusal = undefined;
    await identity.enrol(api.url, api.code);
  });

  it('is not asked for at an address that is none', async () => {
    const identity = await open();
    await expect(identity.enrol('relay', api.code)).rejects.toMatchObject({ code: 'MESSAGE_INVALID' });
    expect(await readdir(directory)).toEqual([]);
  });

  it('is not made twice', async () => {
    const identity = await enrolled();
    await expect(identity.enrol(api.url, api.code)).rejects.toMatchObject({ code: 'MESSAGE_UNEXPECTED' });
  });

  it('is not made twice at the same time', async () => {
    const identity = await open();
    const [first, second] = await Promise.allSettled([
      identity.enrol(api.url, api.code),
      identity.enrol(api.url, api.code),
    ]);
    expect(first.status).toBe('fulfilled');
    expect(second).toMatchObject({ status: 'rejected', reason: { code: 'MESSAGE_UNEXPECTED' } });
    await identity.access.get();
  });

  it('that is forgotten leaves no key, and nothing to publish with', async () => {
    const identity = await enrolled();
    await identity.forget();
    expect(identity.describe()).toEqual({ kind: 'none' });
    expect(() => identity.access).toThrow('not enrolled');
    await expect(identity.readPublisher()).rejects.toMatchObject({ code: 'MESSAGE_UNEXPECTED' });
    expect(await readdir(directory)).toEqual(['settings.json']);
    expect((await open()).describe()).toEqual({ kind: 'none' });
  });

  it('whose key cannot be read is worth nothing', async () => {
    await enrolled();
    await spoilKey();
    const identity = await open();
    expect(identity.describe()).toEqual({ kind: 'none' });
    await identity.enrol(api.url, api.code);
    expect(await readdir(directory)).toHaveLength(2);
    expect((await open()).describe().kind).toBe('enrolled');
  });

  it('[U9] that the relay refuses leaves a key that cannot be read at the moment as it was', async () => {
    const described = (await enrolled()).describe();
    const whole = await spoilKey();
    const identity = await open();
    for (const refusal of ['ENROLMENT_CODE_INVALID', 'TOO_MANY_REQUESTS', 'INTERNAL'] as const) {
      api.refusal = new CodedError(refusal, 'No.');
      await expect(identity.enrol(api.url, api.code)).rejects.toMatchObject({ code: refusal });
    }
    api.refusal = undefined;
    expect(await readdir(directory)).toHaveLength(2);
    // The key store of the system can be opened again.
    await writeFile(join(directory, await keyFile()), whole);
    const again = await open();
    expect(again.describe()).toEqual(described);
    await again.access.get();
  });
});

describe('an answer that is no relay’s', () => {
  it.each([
    ['a page', '<!doctype html>', 'MESSAGE_INVALID'],
    ['something else', '{"deviceId":"../../etc"}', 'MESSAGE_INVALID'],
    ['endless', 'x'.repeat(300_000), 'MESSAGE_TOO_LARGE'],
  ])('because it is %s is refused', async (_what, text, code) => {
    const identity = await open();
    api.rawAnswer = text;
    await expect(identity.enrol(api.url, api.code)).rejects.toMatchObject({ code });
    expect(identity.describe()).toEqual({ kind: 'none' });
  });

  it('because it leads elsewhere is not followed', async () => {
    const elsewhere = await TestApi.open();
    const identity = await open();
    api.redirectTo = `${elsewhere.url}/api/enrol`;
    await expect(identity.enrol(api.url, api.code)).rejects.toMatchObject({ code: 'UNAVAILABLE' });
    expect(elsewhere.publicKey).toBeUndefined();
    await elsewhere.close();
  });

  it('because there is none is told with the address', async () => {
    const identity = await open();
    await api.close();
    await expect(identity.enrol(api.url, api.code)).rejects.toMatchObject({
      code: 'UNAVAILABLE',
      message: expect.stringContaining(api.url),
    });
  });
});

describe('tokens', () => {
  it('are fetched once for all who ask, and kept', async () => {
    const { access } = await enrolled();
    const before = api.tokenCount;
    access.discard();
    const answers = await Promise.all([access.get(), access.get(), access.get()]);
    expect(api.tokenCount).toBe(before + 1);
    expect(new Set(answers.map(({ tokens }) => tokens.ingest.token)).size).toBe(1);
    await access.get();
    expect(api.tokenCount).toBe(before + 1);
  });

  it('are to be asked for again before they expire, whatever the clock of the relay says', async () => {
    const { access } = await enrolled();
    const { renewInMs } = await access.get();
    expect(renewInMs).toBeGreaterThan(700_000);
    expect(renewInMs).toBeLessThanOrEqual(720_000);
  });

  it('are fetched anew in the last part of their life', async () => {
    api.tokenLifeS = 0;
    const { access } = await enrolled();
    const before = api.tokenCount;
    await access.get();
    expect(api.tokenCount).toBe(before + 1);
  });

  it('in hand serve on while the relay is away, until they expire', async () => {
    const { access } = await enrolled();
    const { tokens } = await access.get();
    await api.close();
    expect((await access.get()).tokens).toEqual(tokens);
    access.discard();
    await expect(access.get()).rejects.toMatchObject({ code: 'UNAVAILABLE' });
  });

  it('that have expired do not serve', async () => {
    api.tokenLifeS = 0;
    const { access } = await enrolled();
    await api.close();
    await expect(access.get()).rejects.toMatchObject({ code: 'UNAVAILABLE' });
  });

  it.each([-3_600_000, 3_600_000, 86_400_000])(
    '[U7] are had by a device whose clock is %d ms off, and it asks once more only',
    async (clockOffsetMs) => {
      const { access } = await enrolled();
      api.clockOffsetMs = clockOffsetMs;
      access.discard();
      const before = api.requestCount;
      await access.get();
      expect(api.requestCount).toBe(before + 2);
      access.discard();
      await access.get();
      expect(api.requestCount).toBe(before + 3);
    },
  );

  it('[U7] are asked for once when the refusal is not about the clock', async () => {
    const { access } = await enrolled();
    access.discard();
    api.refusal = new CodedError('TOKEN_INVALID', 'It was used before.', {
      details: { relayTimeMs: Date.now() },
    });
    const before = api.requestCount;
    await expect(access.get()).rejects.toMatchObject({ code: 'TOKEN_INVALID' });
    expect(api.requestCount).toBe(before + 1);
  });

  it('[A8] are refused to a revoked device, though some are in hand', async () => {
    api.tokenLifeS = 1;
    const { access } = await enrolled();
    api.refusal = new CodedError('DEVICE_REVOKED', 'An admin revoked this device.');
    access.discard();
    await expect(access.get()).rejects.toMatchObject({ code: 'DEVICE_REVOKED' });
  });
});
