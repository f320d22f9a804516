import { createId, type EpochStart } from '@proofcast/shared';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pino, type Logger } from 'pino';
import { ChunkSpool } from '../src/main/chunk-spool.ts';
import type { UploadLimits } from '../src/main/config.ts';
import type { RecordedSource, SpooledStart } from '../src/main/recording-file.ts';
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

export const SOURCE: RecordedSource = { sourceId: 'screen:0:0', name: 'Entire screen' };

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

  /** In a folder of its own, or in one that is there. */
  static async open(limitBytes = 1024 * KIB, directory?: string): Promise<SpoolWorld> {
    const folder = directory ?? (await mkdtemp(join(tmpdir(), 'proofcast-spool-')));
    return new SpoolWorld(folder, await openSpool(folder, limitBytes));
  }

  /** A new recording with its first epoch begun. */
  async record(start: Partial<SpooledStart> = {}): Promise<SpooledRecording> {
    const recording = await this.spool.create(newStart(start), SOURCE);
    await recording.beginEpoch(EPOCH);
    return recording;
  }

  folderOf(recording: SpooledRecording): string {
    return join(this.directory, recording.start.recordingId);
  }

  /** What the next run of the app finds; nothing of the run before is closed, as after kill −9. */
  async reopen(limitBytes = 1024 * KIB): Promise<SpooledRecording[]> {
    this.#abandoned.push(this.spool);
    this.spool = await openSpool(this.directory, limitBytes);
    return this.spool.recordings;
  }

  async close(): Promise<void> {
    for (const spool of [...this.#abandoned, this.spool]) await spool.close();
    await rm(this.directory, { recursive: true, force: true });
  }
}

function openSpool(directory: string, limitBytes: number): Promise<ChunkSpool> {
  const recording = { maxChunks: 10_000, maxEpochs: 1_000, maxEvents: 5_000 };
  const limits = { limitBytes, segmentBytes: 16 * KIB, eventReserveBytes: 4 * KIB, recording };
  return ChunkSpool.open(directory, limits, { log: pino({ level: 'silent' }), onSpace: () => undefined });
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

/** Limits of an upload in a test: what is not under test happens soon, or never. */
export const UPLOAD_LIMITS: UploadLimits = {
  reconnect: { initialDelayMs: 10, maxDelayMs: 50 },
  connectTimeoutMs: 5_000,
  maxInFlightBytes: 1024 * KIB,
  pingIntervalMs: 5_000,
  maxSilentPings: 3,
  addressCheckMs: 1_000,
  ackTimeoutMs: 5_000,
  maxRefusalsOfOneChunk: 3,
  statusIntervalMs: 60_000,
  maxBytesBeforeStill: 64 * KIB,
  maxDoneShown: 5,
};
