/** Derivatives on a real database, disk and ffmpeg, and rows and files in place of the recordings that sealing makes. */
import { execFile } from 'node:child_process';
import { copyFile, mkdir, mkdtemp, readdir, readFile, readlink, rm, stat } from 'node:fs/promises';
import { createHash } from 'node:crypto';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';
import { createId, type Derivative, type DerivativeKind, type Gap, type Id } from '@proofcast/shared';
import { pino } from 'pino';
import { openDatabase, type Database } from '../src/database/database.ts';
import { Derivatives, type DerivativesOptions } from '../src/derivatives/derivatives.ts';
import { systemMediaClock, type MediaClock } from '../src/media-clock.ts';
import { DEFAULT_MEDIA_LIMITS, type MediaLimits } from '../src/media-limits.ts';
import { recordingPaths } from '../src/recording/paths.ts';

const run = promisify(execFile);

export const STARTED_AT_MS = Date.UTC(2026, 10, 22, 10, 0, 0);

export interface DerivativeWorldOptions {
  /** An existing one, which is then not removed; else a temporary one. */
  readonly dataDir?: string;
  readonly ffmpegPath?: string;
  readonly limits?: Partial<MediaLimits>;
  readonly clock?: MediaClock;
  readonly freeBytesOf?: (path: string) => Promise<number>;
}

export interface MadeRecording {
  readonly recordingId: Id;
  readonly companyId: Id;
  /** Absolute, one for each part. */
  readonly mediaPaths: readonly string[];
}

export class DerivativeWorld {
  readonly dataDir: string;
  readonly database: Database;
  derivatives: Derivatives;
  readonly #options: DerivativeWorldOptions;
  readonly #devices = new Map<Id, { deviceId: Id; streamId: Id }>();

  private constructor(parts: {
    dataDir: string;
    database: Database;
    derivatives: Derivatives;
    options: DerivativeWorldOptions;
  }) {
    this.dataDir = parts.dataDir;
    this.database = parts.database;
    this.derivatives = parts.derivatives;
    this.#options = parts.options;
  }

  static async open(options: DerivativeWorldOptions = {}): Promise<DerivativeWorld> {
    const dataDir = options.dataDir ?? (await mkdtemp(join(tmpdir(), 'proofcast-derivatives-')));
    await mkdir(join(dataDir, 'recordings'), { recursive: true });
    const database = await openDatabase(join(dataDir, 'test.sqlite'));
    const derivatives = await Derivatives.open(optionsFor(dataDir, database, options));
    return new DerivativeWorld({ dataDir, database, derivatives, options });
  }

  get recordingsDir(): string {
    return join(this.dataDir, 'recordings');
  }

  /** The next run of the process on the same data, begun. */
  async restart(options: Partial<DerivativeWorldOptions> = {}): Promise<void> {
    await this.derivatives.close();
    const all = { ...this.#options, ...options };
    this.derivatives = await Derivatives.open(optionsFor(this.dataDir, this.database, all));
    this.derivatives.start();
  }

  /** A merged recording of these files; several are parts that begin so many milliseconds after the first. */
  async recording(
    files: readonly { path: string; durationMs: number; offsetMs?: number }[],
    { companyId, gaps = [] }: { companyId?: Id; gaps?: readonly Gap[] } = {},
  ): Promise<MadeRecording> {
    const owner = companyId ?? createId('company');
    const { deviceId, streamId } = await this.#deviceOf(owner);
    const recordingId = createId('recording');
    const startedAtUs = STARTED_AT_MS * 1000;
    const paths = recordingPaths({ companyId: owner, deviceId, recordingId, startedAtUs });
    const mediaPaths = files.map((_, part) => join(this.recordingsDir, paths.media(part)));
    let mediaBytes = 0;
    for (const [part, { path }] of files.entries()) {
      await mkdir(dirname(mediaPaths[part] as string), { recursive: true });
      await copyFile(path, mediaPaths[part] as string);
      mediaBytes += (await stat(path)).size;
    }
    await this.database
      .insertInto('recordings')
      .values({
        recording_id: recordingId,
        company_id: owner,
        stream_id: streamId,
        device_id: deviceId,
        state: 'sealed',
        started_at_us: startedAtUs,
        started_at_ms: STARTED_AT_MS,
        source_name: 'Entire screen',
        created_at_ms: STARTED_AT_MS,
        chunk_count: 40,
        media_path: paths.media(0),
        media_bytes: mediaBytes,
      })
      .execute();
    for (const [part, { durationMs, offsetMs = 0 }] of files.entries()) {
      await this.database
        .insertInto('recording_parts')
        .values({
          recording_id: recordingId,
          part,
          media_path: paths.media(part),
          media_bytes: (await stat(mediaPaths[part] as string)).size,
          sha256: '',
          etag: '',
          started_at_ms: STARTED_AT_MS + offsetMs,
          duration_ms: durationMs,
        })
        .execute();
    }
    const details = { gaps: JSON.stringify(gaps), events: '[]', event_count: 0 };
    await this.database
      .insertInto('recording_details')
      .values({ recording_id: recordingId, ...details })
      .execute();
    return { recordingId, companyId: owner, mediaPaths };
  }

  /** Asks for it and waits until nothing more can be made at the moment. */
  async make({ companyId, recordingId }: MadeRecording, kind: DerivativeKind): Promise<Derivative> {
    await this.derivatives.request(companyId, recordingId, kind);
    await this.derivatives.whenIdle();
    return this.derivativeOf(recordingId, kind);
  }

  async derivativeOf(recordingId: Id, kind: DerivativeKind): Promise<Derivative> {
    const found = (await this.derivatives.list(recordingId)).find((derivative) => derivative.kind === kind);
    if (found === undefined) throw new Error(`There is no ${kind} of ${recordingId}.`);
    return found;
  }

  /** Resolves when it is as wanted. */
  async until(
    recordingId: Id,
    kind: DerivativeKind,
    isWanted: (derivative: Derivative) => boolean,
  ): Promise<Derivative> {
    for (;;) {
      const derivative = await this.derivativeOf(recordingId, kind);
      if (isWanted(derivative)) return derivative;
      await aMoment();
    }
  }

  async pathOf({ companyId, recordingId }: MadeRecording, kind: DerivativeKind): Promise<string> {
    return (await this.derivatives.file(companyId, recordingId, kind)).path;
  }

  /** Names of the files that belong to the recording, and of what is left in workspaces. */
  async leftIn(): Promise<string[]> {
    return readdir(join(this.recordingsDir, '.derivatives')).catch(() => []);
  }

  async close(): Promise<void> {
    await this.derivatives.close();
    await this.database.destroy();
    if (this.#options.dataDir === undefined) await rm(this.dataDir, { recursive: true, force: true });
  }

  async #deviceOf(companyId: Id): Promise<{ deviceId: Id; streamId: Id }> {
    const present = this.#devices.get(companyId);
    if (present !== undefined) return present;
    const made = { deviceId: createId('device'), streamId: createId('stream') };
    this.#devices.set(companyId, made);
    const owner = { company_id: companyId, device_id: made.deviceId };
    await this.database
      .insertInto('companies')
      .values({ company_id: companyId, name: 'Acme', created_at_ms: 0 })
      .onConflict((conflict) => conflict.doNothing())
      .execute();
    await this.database
      .insertInto('devices')
      .values({ ...owner, name: 'Desk', public_key: '', platform: '', machine: '{}', enrolled_at_ms: 0 })
      .execute();
    await this.database
      .insertInto('streams')
      .values({ ...owner, stream_id: made.streamId, slot: 0, created_at_ms: 0 })
      .execute();
    return made;
  }
}

function optionsFor(
  dataDir: string,
  database: Database,
  options: DerivativeWorldOptions,
): DerivativesOptions {
  return {
    database,
    recordingsDir: join(dataDir, 'recordings'),
    ffmpegPath: options.ffmpegPath ?? 'ffmpeg',
    limits: { ...DEFAULT_MEDIA_LIMITS, minFreeBytes: 0, ffmpegKillDelayMs: 10, ...options.limits },
    clock: options.clock ?? systemMediaClock,
    ...(options.freeBytesOf === undefined ? {} : { freeBytesOf: options.freeBytesOf }),
    log: pino({ level: process.env['TEST_LOG_LEVEL'] ?? 'silent' }),
  };
}

/** Between two looks at what cannot be listened for; leaves the processor to what is waited for. */
export function aMoment(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, 10));
}

/** SHA-256 of each file, to see that none was touched. */
export async function hashesOf(paths: readonly string[]): Promise<string[]> {
  const files = await Promise.all(paths.map((path) => readFile(path)));
  return files.map((bytes) => createHash('sha256').update(bytes).digest('hex'));
}

/** The media programs that work in a folder below `folder` at this moment. */
export async function programsBelow(folder: string): Promise<number[]> {
  const found: number[] = [];
  for (const name of await readdir('/proc')) {
    if (!/^\d+$/.test(name)) continue;
    const cwd = await readlink(join('/proc', name, 'cwd')).catch(() => '');
    if (cwd.startsWith(`${folder}/`)) found.push(Number(name));
  }
  return found;
}

/** A webm as sealing makes it, out of what ffmpeg's own sources or another file give. */
export async function makeWebm(path: string, args: readonly string[]): Promise<void> {
  const output = ['-cues_to_front', '1', '-f', 'webm', path];
  await run('ffmpeg', ['-v', 'error', '-y', ...args, ...output]);
}

/** Times in seconds of the packets of the first video or sound track. */
export async function packetTimes(path: string, track: 'v' | 'a' = 'v'): Promise<number[]> {
  const args = ['-v', 'error', '-select_streams', `${track}:0`, '-show_entries', 'packet=pts_time'];
  const { stdout } = await run('ffprobe', [...args, '-of', 'csv=p=0', path], { maxBuffer: 2 ** 26 });
  return stdout
    .split('\n')
    .filter(Boolean)
    .map((line) => Number(line.split(',')[0]))
    .toSorted((a, b) => a - b);
}
