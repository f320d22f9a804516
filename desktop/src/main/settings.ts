/** What the app remembers between runs: its enrolment and the last choice. One JSON file, replaced as a whole. */
import { CodedError, DeviceId, parseJson, parseWith, StreamId } from '@proofcast/shared';
import { readFile, rename } from 'node:fs/promises';
import { join } from 'node:path';
import type { Logger } from 'pino';
import { Type, type Static } from 'typebox';
import { writeFileAtomically } from './atomic-file.ts';

export const StoredEnrolment = Type.Object({
  serverUrl: Type.String({ pattern: '^https?://' }),
  deviceId: DeviceId,
  deviceName: Type.String(),
  companyName: Type.String(),
  keyProtection: Type.Union([Type.Literal('system'), Type.Literal('file')]),
  /** Name of the file with the private key, beside the settings; each enrolment brings its own. */
  keyFile: Type.Optional(Type.String({ pattern: '^device-key-[0-9a-f-]{36}\\.json$' })),
  /** Known from the first tokens on; without it no recording can begin, because its start names the stream. */
  streamId: Type.Union([StreamId, Type.Null()]),
});
export type StoredEnrolment = Static<typeof StoredEnrolment>;

const Settings = Type.Object({
  version: Type.Literal(1),
  enrolment: Type.Union([StoredEnrolment, Type.Null()]),
  lastSourceId: Type.Union([Type.String(), Type.Null()]),
});
export type Settings = Static<typeof Settings>;

const DEFAULTS: Settings = { version: 1, enrolment: null, lastSourceId: null };

export class SettingsFile {
  readonly #path: string;
  #current: Settings;
  #written: Promise<void> = Promise.resolve();

  private constructor(path: string, current: Settings) {
    this.#path = path;
    this.#current = current;
  }

  /** Reads `settings.json` in `directory`. One that cannot be read is put aside, and the app begins anew. */
  static async open(directory: string, log: Logger): Promise<SettingsFile> {
    const path = join(directory, 'settings.json');
    const text = await readFile(path, 'utf8').catch((error: NodeJS.ErrnoException) => {
      if (error.code === 'ENOENT') return undefined;
      throw error;
    });
    if (text === undefined) return new SettingsFile(path, DEFAULTS);
    try {
      return new SettingsFile(path, parseWith(Settings, parseJson(text, 'the settings'), 'the settings'));
    } catch (error) {
      await rename(path, `${path}.unreadable`);
      log.error({ err: error, path }, 'settings cannot be read; put aside');
      return new SettingsFile(path, DEFAULTS);
    }
  }

  get current(): Settings {
    return this.#current;
  }

  /** Changes and stores; resolves when the change is on the disk. */
  update(change: Partial<Omit<Settings, 'version'>>): Promise<void> {
    const next = { ...this.#current, ...change };
    this.#current = next;
    const write = () => writeFileAtomically(this.#path, `${JSON.stringify(next, null, 2)}\n`);
    // A write that failed was reported to whoever asked for it; it does not stop the next one.
    this.#written = this.#written.then(write, write);
    return this.#written;
  }
}

/** The origin of a relay as a person typed it. Throws `MESSAGE_INVALID` with words for that person. */
export function parseServerUrl(text: string): string {
  const url = URL.parse(text.trim());
  if (url === null || !['http:', 'https:'].includes(url.protocol)) {
    throw refusal(
      `Enter an address that begins with https:// or http://, such as https://relay.example.com.`,
    );
  }
  if (url.username !== '' || url.password !== '') {
    throw refusal('Enter the address of the server without user name and password.');
  }
  if (url.pathname !== '/' || url.search !== '' || url.hash !== '') {
    throw refusal(`Enter the address of the server alone: ${url.origin}`);
  }
  return url.origin;
}

function refusal(message: string): CodedError {
  return new CodedError('MESSAGE_INVALID', message);
}
