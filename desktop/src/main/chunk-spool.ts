/**
 * The folder with everything that was captured and that the relay has not confirmed as durable: one folder a
 * recording. It survives the end of the app, however that came.
 */
import { CodedError, type Id } from '@proofcast/shared';
import { mkdir, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import type { Logger } from 'pino';
import type { SpoolLimits } from './config.ts';
import type { SpooledStart } from './recording-file.ts';
import { SpooledRecording, type SpaceAccount } from './spooled-recording.ts';

export class ChunkSpool {
  readonly #directory: string;
  readonly #limits: SpoolLimits;
  readonly #recordings = new Map<Id, SpooledRecording>();
  #usedBytes = 0;
  readonly #space: SpaceAccount = {
    reserve: (bytes) => {
      if (this.#usedBytes + bytes > this.#limits.limitBytes) {
        throw new CodedError(
          'SPOOL_FULL',
          `Cannot keep more on this disk: ${this.#usedBytes} bytes wait for the server, the limit is ${this.#limits.limitBytes}.`,
          { details: { usedBytes: this.#usedBytes, limitBytes: this.#limits.limitBytes } },
        );
      }
      this.#usedBytes += bytes;
    },
    occupy: (bytes) => {
      this.#usedBytes += bytes;
    },
    release: (bytes) => {
      this.#usedBytes -= bytes;
    },
  };

  private constructor(directory: string, limits: SpoolLimits) {
    this.#directory = directory;
    this.#limits = limits;
  }

  /** Opens the spool and what earlier runs left in it; a folder that cannot be read is left alone and logged. */
  static async open(directory: string, limits: SpoolLimits, log: Logger): Promise<ChunkSpool> {
    await mkdir(directory, { recursive: true, mode: 0o700 });
    const spool = new ChunkSpool(directory, limits);
    for (const name of (await readdir(directory)).toSorted()) await spool.#recover(name, log);
    return spool;
  }

  /** Bytes of chunks on this disk. */
  get usedBytes(): number {
    return this.#usedBytes;
  }

  /** In the order in which they began. */
  get recordings(): SpooledRecording[] {
    return [...this.#recordings.values()].toSorted((a, b) => a.start.startedAtUs - b.start.startedAtUs);
  }

  /** Throws `SPOOL_FULL` when there is no room for even one segment, `SPOOL_FAILED` when the disk refuses. */
  async create(start: SpooledStart): Promise<SpooledRecording> {
    this.#space.reserve(this.#limits.segmentBytes);
    this.#space.release(this.#limits.segmentBytes);
    const recording = await SpooledRecording.create(start, this.#optionsFor(start.recordingId)).catch(
      (cause: unknown) => {
        throw new CodedError('SPOOL_FAILED', 'Cannot begin a recording on this disk.', { cause });
      },
    );
    this.#recordings.set(start.recordingId, recording);
    return recording;
  }

  /** Deletes a recording that is complete at the relay. */
  async remove(recording: SpooledRecording): Promise<void> {
    this.#recordings.delete(recording.start.recordingId);
    await recording.remove();
  }

  async close(): Promise<void> {
    await Promise.all([...this.#recordings.values()].map((recording) => recording.close()));
  }

  async #recover(name: string, log: Logger): Promise<void> {
    try {
      const { recording, cutBytes } = await SpooledRecording.recover(this.#optionsFor(name));
      const { recordingId } = recording.start;
      if (cutBytes > 0) log.warn({ recordingId, cutBytes }, 'a torn tail was cut off a spooled recording');
      if (recording.appendedCount === 0) return await recording.remove();
      this.#recordings.set(recordingId, recording);
    } catch (error) {
      log.error({ err: error, folder: name }, 'a folder of the spool cannot be read; left alone');
    }
  }

  #optionsFor(name: string) {
    return {
      directory: join(this.#directory, name),
      segmentBytes: this.#limits.segmentBytes,
      space: this.#space,
    };
  }
}
