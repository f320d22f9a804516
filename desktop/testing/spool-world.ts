import { createId, type EpochStart } from '@proofcast/shared';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pino, type Logger } from 'pino';
import { ChunkSpool } from '../src/main/chunk-spool.ts';
import type { SpooledStart } from '../src/main/recording-file.ts';
import type { SpooledRecording } from '../src/main/spooled-recording.ts';

export const KIB = 1024;

export const EPOCH: EpochStart = {
  mimeType: 'video/webm;codecs=vp8',
  startedAtUs: 1_790_000_000_000_000,
  sourceName: 'Entire screen',
  widthPx: 1280,
  heightPx: 720,
  hasAudio: false,
};

/** A spool in a temporary folder, with small segments so that little data fills several. */
export class SpoolWorld {
  readonly directory: string;
  readonly log: Logger = pino({ level: 'silent' });
  spool: ChunkSpool;
  /** Spools of runs that were killed; their files are closed at the end, for the sake of this process. */
  readonly #abandoned: ChunkSpool[] = [];

  private constructor(directory: string, spool: ChunkSpool) {
    this.directory = directory;
    this.spool = spool;
  }

  static async open(limitBytes = 1024 * KIB): Promise<SpoolWorld> {
    const directory = await mkdtemp(join(tmpdir(), 'proofcast-spool-'));
    const limits = { limitBytes, segmentBytes: 16 * KIB };
    return new SpoolWorld(directory, await ChunkSpool.open(directory, limits, pino({ level: 'silent' })));
  }

  /** A new recording with its first epoch begun. */
  async record(start: Partial<SpooledStart> = {}): Promise<SpooledRecording> {
    const recording = await this.spool.create(newStart(start));
    await recording.beginEpoch(EPOCH);
    return recording;
  }

  folderOf(recording: SpooledRecording): string {
    return join(this.directory, recording.start.recordingId);
  }

  /** What the next run of the app finds; nothing of the run before is closed, as after kill −9. */
  async reopen(limitBytes = 1024 * KIB): Promise<SpooledRecording[]> {
    this.#abandoned.push(this.spool);
    this.spool = await ChunkSpool.open(this.directory, { limitBytes, segmentBytes: 16 * KIB }, this.log);
    return this.spool.recordings;
  }

  async close(): Promise<void> {
    for (const spool of [...this.#abandoned, this.spool]) await spool.close();
    await rm(this.directory, { recursive: true, force: true });
  }
}

export function newStart(start: Partial<SpooledStart> = {}): SpooledStart {
  return {
    recordingId: createId('recording'),
    streamId: createId('stream'),
    deviceId: createId('device'),
    serverUrl: 'http://127.0.0.1:1',
    startedAtUs: 1_790_000_000_000_000,
    ...start,
  };
}
