/**
 * The folder with everything that was captured and that the relay has not confirmed as durable: one folder a
 * recording. It survives the end of the app, however that came.
 */
import { CodedError, type Id } from '@proofcast/shared';
import { mkdir, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import type { Logger } from 'pino';
import type { SpoolLimits } from './config.ts';
import type { RecordedSource, SpooledStart } from './recording-file.ts';
import { SpoolSpace } from './spool-space.ts';
import { SpooledRecording } from './spooled-recording.ts';

/** The folders of recordings are named after them; what else lies there is the spool's own. */
const RECORDING_FOLDER = /^rec_/;

export class ChunkSpool {
  readonly space: SpoolSpace;
  readonly #directory: string;
  readonly #limits: SpoolLimits;
  readonly #recordings = new Map<Id, SpooledRecording>();
  #isClosed = false;

  private constructor(directory: string, limits: SpoolLimits, onSpace: () => void) {
    this.space = new SpoolSpace(directory, limits, onSpace);
    this.#directory = directory;
    this.#limits = limits;
  }

  /**
   * Opens the spool and what earlier runs left in it; a folder that cannot be read is left alone and logged. `onSpace`
   * hears that the space has run out, and that there is some again.
   */
  static async open(
    directory: string,
    limits: SpoolLimits,
    { log, onSpace }: { log: Logger; onSpace: () => void },
  ): Promise<ChunkSpool> {
    await mkdir(directory, { recursive: true, mode: 0o700 });
    const spool = new ChunkSpool(directory, limits, onSpace);
    const names = (await readdir(directory)).filter((name) => RECORDING_FOLDER.test(name));
    for (const name of names.toSorted()) await spool.#recover(name, log);
    await spool.space.takeBallast().catch((error: unknown) => {
      log.warn({ err: error }, 'no room can be kept for the events of a full disk');
    });
    return spool;
  }

  /** In the order in which they began. */
  get recordings(): SpooledRecording[] {
    return [...this.#recordings.values()].toSorted((a, b) => a.start.startedAtUs - b.start.startedAtUs);
  }

  /**
   * Throws `SPOOL_FULL` when there is no room for even one segment, `SPOOL_FAILED` when the disk refuses, and
   * `MESSAGE_UNEXPECTED` after `close`.
   */
  async create(start: SpooledStart, source: RecordedSource): Promise<SpooledRecording> {
    try {
      if (this.#isClosed) throw new CodedError('MESSAGE_UNEXPECTED', 'The spool is closed.');
      await this.space.checkRoom();
      const options = this.#optionsFor(start.recordingId);
      const recording = await SpooledRecording.create({ start, source }, options);
      this.#recordings.set(start.recordingId, recording);
      return recording;
    } catch (cause) {
      if (cause instanceof CodedError) throw cause;
      throw new CodedError('SPOOL_FAILED', 'Cannot begin a recording on this disk.', { cause });
    }
  }

  /** Deletes a recording that is complete at the relay, or that nobody wants any more. */
  async remove(recording: SpooledRecording): Promise<void> {
    this.#recordings.delete(recording.start.recordingId);
    await recording.remove();
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    await Promise.all([...this.#recordings.values()].map((recording) => recording.close()));
  }

  async #recover(name: string, log: Logger): Promise<void> {
    try {
      const { recording, cutBytes, isDamaged } = await SpooledRecording.recover(this.#optionsFor(name));
      const { recordingId } = recording.start;
      if (cutBytes > 0) log.warn({ recordingId, cutBytes }, 'a torn tail was cut off a spooled recording');
      if (isDamaged)
        log.error({ recordingId }, 'a spooled recording is damaged; what can be read of it is kept');
      if (recording.appendedCount === 0) return await (isDamaged ? recording.close() : recording.remove());
      this.#recordings.set(recordingId, recording);
    } catch (error) {
      log.error({ err: error, folder: name }, 'a folder of the spool cannot be read; left alone');
    }
  }

  #optionsFor(name: string) {
    return {
      directory: join(this.#directory, name),
      segmentBytes: this.#limits.segmentBytes,
      space: this.space,
      limits: this.#limits.recording,
    };
  }
}
