/**
 * Makes ended recordings playable, a few at a time: journal → webm file → check → database → the journal may go.
 * Whatever fails leaves the journal as it was; the recording is `failed` and sealed again at the next start.
 */
import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import type { Logger } from 'pino';
import { CodedError, toCodedError, type Id } from '@proofcast/shared';
import type { RecordingRow } from '../database/schema.ts';
import type { JournalReader } from '../journal/journal-reader.ts';
import type { JournalStore } from '../journal/store.ts';
import type { MediaClock } from '../media-clock.ts';
import type { RecordingCatalogue } from './catalogue.ts';
import { makeDurableFolder, publishFile, removeByPrefix } from './durable-file.ts';
import { FfmpegError, type Ffmpeg } from './ffmpeg.ts';
import { mergeEpochs } from './merge.ts';
import { recordingPaths } from './paths.ts';
import { planSeal, type SealPlan } from './seal-plan.ts';
import { makeThumbnail } from './thumbnail.ts';

export interface SealingOptions {
  readonly store: JournalStore;
  readonly catalogue: RecordingCatalogue;
  readonly ffmpeg: Ffmpeg;
  /** Folder of the sealed recordings. */
  readonly recordingsDir: string;
  readonly clock: MediaClock;
  readonly concurrentSeals: number;
  readonly log: Logger;
}

export class SealingQueue {
  readonly #options: SealingOptions;
  readonly #abort = new AbortController();
  #isClosing = false;
  readonly #waiting: Id[] = [];
  readonly #running = new Map<Id, Promise<void>>();
  readonly #marking = new Set<Promise<void>>();

  constructor(options: SealingOptions) {
    this.#options = options;
  }

  /** Takes a recording whose journal is complete and closed. `chunkCount` is null when it is not known. */
  take(recordingId: Id, chunkCount: number | null): void {
    const marked = this.#markAndEnqueue(recordingId, chunkCount).finally(() => this.#marking.delete(marked));
    this.#marking.add(marked);
  }

  /** Resolves when nothing is being sealed or waits for it. */
  async whenIdle(): Promise<void> {
    while (this.#running.size + this.#marking.size > 0) {
      await Promise.all([...this.#running.values(), ...this.#marking]);
    }
  }

  /** Lets running seals end within `graceMs`, then cuts them off; they run again at the next start. Idempotent. */
  async close(graceMs: number): Promise<void> {
    this.#isClosing = true;
    this.#waiting.length = 0;
    const cancel = this.#options.clock.schedule(() => this.#abort.abort(), graceMs);
    await this.whenIdle();
    cancel();
    this.#abort.abort();
  }

  async #markAndEnqueue(recordingId: Id, chunkCount: number | null): Promise<void> {
    const { catalogue, log } = this.#options;
    try {
      await catalogue.markSealing(recordingId, chunkCount);
      if (this.#isClosing || this.#waiting.includes(recordingId)) return;
      this.#waiting.push(recordingId);
      this.#startNext();
    } catch (error) {
      log.error({ recordingId, err: error }, 'cannot begin to seal a recording');
    }
  }

  #startNext(): void {
    while (this.#running.size < this.#options.concurrentSeals) {
      const index = this.#waiting.findIndex((recordingId) => !this.#running.has(recordingId));
      const [recordingId] = index === -1 ? [] : this.#waiting.splice(index, 1);
      if (recordingId === undefined) return;
      const run = this.#sealOrFail(recordingId).finally(() => {
        this.#running.delete(recordingId);
        this.#startNext();
      });
      this.#running.set(recordingId, run);
    }
  }

  async #sealOrFail(recordingId: Id): Promise<void> {
    const { log, catalogue } = this.#options;
    try {
      await this.#seal(recordingId);
    } catch (error) {
      // Cut off by a shutdown: the state stays `sealing`, and the next start goes on.
      if (this.#abort.signal.aborted) return;
      const coded = toCodedError(error);
      const stderrTail = error instanceof FfmpegError ? error.stderrTail : undefined;
      log.error({ recordingId, err: error, stderrTail }, 'cannot seal a recording');
      await catalogue.markFailed(recordingId, coded).catch((cause: unknown) => {
        log.error({ recordingId, err: cause }, 'cannot note that a recording failed');
      });
    }
  }

  async #seal(recordingId: Id): Promise<void> {
    const { store, catalogue } = this.#options;
    const row = await catalogue.find(recordingId);
    if (row === null)
      throw new CodedError('INTERNAL', `The recording ${recordingId} is not in the database.`);
    const reader = await store.read(recordingId);
    if (reader === null) throw new CodedError('STORAGE_FAILED', 'The journal of the recording is missing.');
    try {
      await this.#sealFrom(reader, row);
    } finally {
      await reader.close();
    }
  }

  async #sealFrom(reader: JournalReader, row: RecordingRow): Promise<void> {
    const { store, catalogue, log } = this.#options;
    const recordingId = row.recording_id;
    const startedMs = performance.now();
    const plan = await planSeal(reader);
    if (row.chunk_count !== null && plan.chunkCount < row.chunk_count) {
      throw new CodedError(
        'STORAGE_FAILED',
        `The journal has ${plan.chunkCount} of the ${row.chunk_count} chunks of the recording.`,
      );
    }
    if (plan.chunkCount === 0) {
      await catalogue.remove(recordingId);
      await store.remove(recordingId);
      log.info({ recordingId }, 'removed a recording that never began');
      return;
    }
    if (plan.epochs.length === 0) {
      throw new CodedError('RECORDING_EMPTY', 'No picture arrived before the recording ended.');
    }
    const { mediaBytes, durationMs, mediaPath, thumbnailPath } = await this.#makeFiles(reader, { row, plan });
    const { chunkCount, journalBytes } = plan;
    const facts = {
      mediaPath,
      mediaBytes,
      thumbnailPath,
      durationMs,
      startedAtMs: startOf(plan),
      endedAtMs: endOf(plan),
      chunkCount,
      journalBytes,
    };
    await catalogue.markSealed(recordingId, facts, this.#options.clock.nowMs());
    await store.remove(recordingId);
    const tookMs = Math.round(performance.now() - startedMs);
    log.info({ recordingId, durationMs, mediaBytes, tookMs }, 'sealed a recording');
  }

  async #makeFiles(reader: JournalReader, { row, plan }: { row: RecordingRow; plan: SealPlan }) {
    const { ffmpeg, recordingsDir } = this.#options;
    const { signal } = this.#abort;
    const paths = recordingPaths({
      companyId: row.company_id,
      deviceId: row.device_id,
      recordingId: row.recording_id,
      startedAtMs: row.started_at_ms,
    });
    const folder = join(recordingsDir, paths.folder);
    const temporaryPath = join(folder, paths.temporaryPrefix);
    const mediaPath = join(recordingsDir, paths.media);
    await makeDurableFolder(recordingsDir, folder);
    // Also what an earlier attempt left when the relay died in the middle of it.
    await removeByPrefix(folder, paths.temporaryPrefix);
    try {
      const merged = await mergeEpochs({ ffmpeg, reader, epochs: plan.epochs, temporaryPath, signal });
      await publishFile(merged.path, mediaPath);
      const { size: mediaBytes } = await stat(mediaPath);
      const { durationMs } = merged;
      const thumbnailPath = await this.#tryThumbnail(row, {
        mediaPath,
        durationMs,
        temporaryPath: `${temporaryPath}.jpg`,
        path: join(recordingsDir, paths.thumbnail),
      });
      return {
        mediaPath: paths.media,
        mediaBytes,
        durationMs,
        thumbnailPath: thumbnailPath ? paths.thumbnail : null,
      };
    } finally {
      await removeByPrefix(folder, paths.temporaryPrefix);
    }
  }

  /** Whether there is a thumbnail now. A failure is logged and changes nothing else. */
  async #tryThumbnail(
    row: RecordingRow,
    picture: { mediaPath: string; durationMs: number; temporaryPath: string; path: string },
  ): Promise<boolean> {
    try {
      await makeThumbnail(this.#options.ffmpeg, picture, this.#abort.signal);
      return true;
    } catch (error) {
      // Cut off by a shutdown: the next start does all of it again.
      this.#abort.signal.throwIfAborted();
      const stderrTail = error instanceof FfmpegError ? error.stderrTail : undefined;
      this.#options.log.warn(
        { recordingId: row.recording_id, err: error, stderrTail },
        'a recording has no thumbnail',
      );
      return false;
    }
  }
}

/** Publisher's wall clock at timestamp zero of the first epoch. */
function startOf({ epochs: [first] }: SealPlan): number {
  return first === undefined ? 0 : Math.round(first.start.startedAtUs / 1000);
}

/** Publisher's wall clock at the last picture. */
function endOf({ epochs }: SealPlan): number {
  const last = epochs.at(-1);
  return last === undefined ? 0 : Math.round(last.start.startedAtUs / 1000 + last.lastPictureMs);
}
