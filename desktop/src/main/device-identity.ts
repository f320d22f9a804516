/** Who this device is for its relay: enrolment, key, and the tokens that follow from both. */
import { CodedError, type Id, type MachineInfo } from '@proofcast/shared';
import { hostname, release, userInfo, version } from 'node:os';
import type { Logger } from 'pino';
import type { Enrolment } from '../ipc.ts';
import { DeviceKey, type KeyStore } from './device-key.ts';
import { PublishAccess } from './publish-access.ts';
import { callRelay } from './relay-client.ts';
import { parseServerUrl, type SettingsFile, type StoredEnrolment } from './settings.ts';

interface Options {
  readonly directory: string;
  readonly settings: SettingsFile;
  readonly keyStore: KeyStore;
  readonly requestTimeoutMs: number;
  readonly log: Logger;
  /** The enrolment was made or forgotten. */
  readonly onChanged: () => void;
}

export class DeviceIdentity {
  readonly #options: Options;
  #access: PublishAccess | undefined;
  #isEnrolling = false;

  private constructor(options: Options) {
    this.#options = options;
  }

  /** An enrolment whose key can no longer be read is worth nothing: it is logged, and the app asks to enrol again. */
  static async open(options: Options): Promise<DeviceIdentity> {
    const identity = new DeviceIdentity(options);
    const { enrolment } = options.settings.current;
    if (enrolment === null) return identity;
    try {
      identity.#use(
        enrolment,
        await DeviceKey.open(options.directory, keyFileOf(enrolment), options.keyStore),
      );
    } catch (error) {
      options.log.error({ err: error, deviceId: enrolment.deviceId }, 'the key of the device cannot be read');
    }
    return identity;
  }

  /** Null when the device is not enrolled, or its key is lost. */
  get enrolment(): StoredEnrolment | null {
    return this.#access ? this.#options.settings.current.enrolment : null;
  }

  /** Throws `MESSAGE_UNEXPECTED` when the device is not enrolled. */
  get access(): PublishAccess {
    if (this.#access) return this.#access;
    throw unexpected('Cannot publish: this device is not enrolled.');
  }

  describe(): Enrolment {
    const { enrolment } = this;
    if (enrolment === null) return { kind: 'none' };
    const { serverUrl, deviceId, deviceName, companyName, keyProtection } = enrolment;
    return { kind: 'enrolled', serverUrl, deviceId, deviceName, companyName, keyProtection };
  }

  /**
   * Whose recording a new one is. Asks the relay for the stream when that was never learned; throws what
   * `PublishAccess.get` throws then.
   */
  async readPublisher(): Promise<{ serverUrl: string; deviceId: Id; streamId: Id }> {
    const { access, enrolment } = this;
    const streamId = enrolment?.streamId ?? (await access.get()).tokens.streamId;
    if (enrolment === null) throw unexpected('Cannot publish: this device is not enrolled.');
    return { serverUrl: enrolment.serverUrl, deviceId: enrolment.deviceId, streamId };
  }

  /**
   * Makes a key pair and trades the one-time code for an identity. Throws `MESSAGE_INVALID` for an address that is
   * none, `ENROLMENT_CODE_INVALID`, or `UNAVAILABLE`.
   */
  async enrol(serverUrlText: string, code: string): Promise<void> {
    if (this.#access) throw unexpected('Cannot enrol: this device is enrolled already.');
    // Two keys at once would leave one of them without its identity.
    if (this.#isEnrolling) throw unexpected('Cannot enrol: an enrolment is under way.');
    this.#isEnrolling = true;
    try {
      await this.#enrol(serverUrlText, code);
    } finally {
      this.#isEnrolling = false;
    }
  }

  /** Forgets the enrolment and destroys the key. */
  async forget(): Promise<void> {
    const { directory, settings, onChanged } = this.#options;
    const { enrolment } = settings.current;
    this.#access = undefined;
    await settings.update({ enrolment: null });
    if (enrolment) await DeviceKey.remove(directory, keyFileOf(enrolment));
    onChanged();
  }

  async #enrol(serverUrlText: string, code: string): Promise<void> {
    const { directory, keyStore, settings, requestTimeoutMs, log } = this.#options;
    const serverUrl = parseServerUrl(serverUrlText);
    // The key is on the disk before the code is spent: a crash in between costs a code, never an identity.
    const key = await DeviceKey.create(directory, keyStore);
    const { protection: keyProtection, fileName: keyFile } = key;
    const { deviceId, deviceName, companyName } = await callRelay('enrol', {
      serverUrl,
      body: { code: code.trim(), publicKey: key.publicKey, machine: machineInfo() },
      timeoutMs: requestTimeoutMs,
    }).catch(async (error: unknown) => {
      await DeviceKey.remove(directory, keyFile);
      throw error;
    });
    const before = settings.current.enrolment;
    // From here on the new key is the one that counts; the settings name it, so that the two change at once.
    const enrolment = {
      serverUrl,
      deviceId,
      deviceName,
      companyName,
      keyProtection,
      keyFile,
      streamId: null,
    };
    await settings.update({ enrolment });
    if (before) await DeviceKey.remove(directory, keyFileOf(before));
    log.info({ deviceId, serverUrl, keyProtection }, 'enrolled');
    if (keyProtection === 'file')
      log.warn('no key store: the key of the device is protected by its file mode only');
    this.#use(enrolment, key);
    this.#options.onChanged();
    // The first tokens name the stream, with which recordings can begin while the relay is away.
    await this.access.get().catch((error: unknown) => log.warn({ err: error }, 'no tokens after enrolment'));
  }

  #use({ serverUrl, deviceId }: StoredEnrolment, key: DeviceKey): void {
    const { requestTimeoutMs, log } = this.#options;
    this.#access = new PublishAccess({
      serverUrl,
      deviceId,
      key,
      requestTimeoutMs,
      onTokens: ({ streamId }) =>
        this.#learnStream(deviceId, streamId).catch((error: unknown) => {
          log.error({ err: error }, 'the stream of the device cannot be stored');
        }),
    });
  }

  async #learnStream(deviceId: Id, streamId: Id): Promise<void> {
    const { enrolment } = this;
    // Tokens that were asked for under an earlier enrolment say nothing about this one.
    if (enrolment?.deviceId !== deviceId || enrolment.streamId === streamId) return;
    await this.#options.settings.update({ enrolment: { ...enrolment, streamId } });
  }
}

/** An enrolment that names no file was made when there was only one name. */
function keyFileOf({ keyFile = 'device-key.json' }: StoredEnrolment): string {
  return keyFile;
}

function machineInfo(): MachineInfo {
  return {
    hostName: hostname().slice(0, 255),
    platform: process.platform,
    osVersion: `${version()} ${release()}`.slice(0, 255),
    userName: userInfo().username.slice(0, 255),
  };
}

function unexpected(message: string): CodedError {
  return new CodedError('MESSAGE_UNEXPECTED', message);
}
