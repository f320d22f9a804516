/**
 * What the relay does with what an earlier run left: reads the journals again while it serves already, brings journals
 * and database into agreement, waits for the publishers of unfinished recordings, and seals the finished ones. The
 * journals are right where the two differ, except that a journal is not needed beside files which hold all of it.
 */
import type { Logger } from 'pino';
import { CodedError, toCodedError, type Id } from '@proofcast/shared';
import type { RecordingRow } from './database/schema.ts';
import type { JournalStore } from './journal/store.ts';
import type { LiveStreams } from './live-streams.ts';
import type { MediaClock } from './media-clock.ts';
import type { RecordingOpener } from './recording-opener.ts';
import type { RecordingCatalogue } from './recording/catalogue.ts';
import { whyJournalIsNeeded } from './recording/leftover-journal.ts';
import type { OpenRecording } from './recording/open-recording.ts';
import type { SealingQueue } from './recording/sealing.ts';
import type { Tombstones } from './retention/tombstones.ts';
import type { StreamDirectory } from './stream-directory.ts';

export interface ResumeOptions {
  readonly store: JournalStore;
  readonly recordingsDir: string;
  readonly catalogue: RecordingCatalogue;
  readonly tombstones: Tombstones;
  readonly directory: StreamDirectory;
  readonly opener: RecordingOpener;
  readonly streams: LiveStreams;
  readonly sealing: SealingQueue;
  readonly clock: MediaClock;
  readonly log: Logger;
  /** Journals that are read at the same time; as many again when somebody waits for them. */
  readonly concurrentRecoveries: number;
  readonly abort: AbortSignal;
}

interface Pending {
  readonly done: PromiseWithResolvers<void>;
  state: 'waiting' | 'urgent' | 'running';
}

export class ResumedRecordings {
  readonly #options: ResumeOptions;
  readonly #pending = new Map<Id, Pending>();
  #runningCount = 0;

  constructor(options: ResumeOptions) {
    this.#options = options;
  }

  /** Finds out what there is to be read, and begins. Throws when folder or database cannot be read. */
  async begin(): Promise<void> {
    const { store, catalogue, tombstones, log } = this.#options;
    await store.removeUnfinishedImports();
    const deletedIds = new Set((await tombstones.unfinished()).map(({ recordingId }) => recordingId));
    const recordingIds = new Set(await store.recordingIds());
    const missing = new CodedError('STORAGE_FAILED', 'The journal of the recording is missing.');
    for (const recordingId of await catalogue.idsOfUnmerged()) {
      if (recordingIds.has(recordingId) || deletedIds.has(recordingId)) continue;
      log.error({ recordingId }, 'the journal of a recording is missing');
      await catalogue.markFailed(recordingId, missing);
    }
    for (const recordingId of recordingIds) {
      if (deletedIds.has(recordingId)) continue;
      this.#pending.set(recordingId, { done: Promise.withResolvers(), state: 'waiting' });
    }
    this.#startNext();
  }

  /** Journals that are still to be read. */
  get pendingCount(): number {
    return this.#pending.size;
  }

  /** Resolves when the recording is no longer to be read; it comes before those that nobody waits for. */
  async whenRead(recordingId: Id): Promise<void> {
    const pending = this.#pending.get(recordingId);
    if (pending === undefined) return;
    if (pending.state === 'waiting') pending.state = 'urgent';
    this.#startNext();
    await pending.done.promise;
  }

  /** Resolves when all have been read, or the relay shuts down. */
  async whenIdle(): Promise<void> {
    await Promise.all([...this.#pending.values()].map(({ done }) => done.promise));
  }

  /** Call it after `abort`. Those that wait for a recording are let go. */
  async close(): Promise<void> {
    for (const [recordingId, { state, done }] of this.#pending) {
      if (state === 'running') continue;
      this.#pending.delete(recordingId);
      done.resolve();
    }
    await this.whenIdle();
  }

  #startNext(): void {
    const { concurrentRecoveries, abort } = this.#options;
    while (!abort.aborted) {
      const next = this.#next(this.#runningCount < concurrentRecoveries);
      if (next === undefined || this.#runningCount >= 2 * concurrentRecoveries) return;
      const [recordingId, pending] = next;
      pending.state = 'running';
      this.#runningCount += 1;
      void this.#resumeOrFail(recordingId).finally(() => {
        this.#runningCount -= 1;
        this.#pending.delete(recordingId);
        pending.done.resolve();
        this.#startNext();
      });
    }
  }

  #next(isRoomForAny: boolean): [Id, Pending] | undefined {
    const waiting = [...this.#pending];
    const urgent = waiting.find(([, { state }]) => state === 'urgent');
    return urgent ?? (isRoomForAny ? waiting.find(([, { state }]) => state === 'waiting') : undefined);
  }

  /** One recording that cannot be resumed does not keep the others from it. */
  async #resumeOrFail(recordingId: Id): Promise<void> {
    const { catalogue, log, abort } = this.#options;
    try {
      await this.#resume(recordingId);
    } catch (error) {
      if (abort.aborted) return;
      log.error({ recordingId, err: error }, 'cannot resume a recording; its journal is kept');
      await catalogue.markFailed(recordingId, toCodedError(error)).catch((cause: unknown) => {
        log.error({ recordingId, err: cause }, 'cannot note that a recording failed');
      });
    }
  }

  async #resume(recordingId: Id): Promise<void> {
    const { store, catalogue, opener, clock } = this.#options;
    const row = await catalogue.find(recordingId);
    const isMerged = row !== null && (row.state === 'sealed' || row.manifest_path !== null);
    if (isMerged && !(await this.#isNeeded(row))) return store.remove(recordingId);
    // Trying again makes no picture where there is none.
    if (row?.state === 'failed' && row.failure_code === 'RECORDING_EMPTY') return;
    const recording = await opener.recover(recordingId, row?.chunk_count ?? 0);
    if (recording === null) {
      // It was being begun; no publisher was told of it.
      if (row !== null) await catalogue.remove(recordingId);
      return;
    }
    try {
      if (row === null) await catalogue.insert(recording.identity, clock.nowMs());
      // The relay died while it wrote the end, and what it wrote was cut.
      else if (isMerged || (recording.ending === null && row.state !== 'recording'))
        await catalogue.markResumed(recordingId);
      await this.#handOver(recording);
    } catch (error) {
      await recording.close();
      throw error;
    }
  }

  /**
   * The relay died before it had removed a journal that was not needed any more, or before anything was added to one
   * that was made again. Either way the files hold all of it, if they are what they were.
   */
  async #isNeeded(row: RecordingRow): Promise<boolean> {
    const { store, recordingsDir, abort: signal, log } = this.#options;
    const { recording_id: recordingId } = row;
    const reason = await whyJournalIsNeeded(row, { store, recordingsDir, signal });
    if (reason === null) return false;
    log.error({ recordingId, code: reason.code, err: reason }, 'a journal is kept, and sealed again');
    return true;
  }

  async #handOver(recording: OpenRecording): Promise<void> {
    const { directory, streams, sealing, clock, log, abort } = this.#options;
    const { recordingId, streamId } = recording.identity;
    const { snapshotCount: chunkCount, ending } = recording;
    log.info({ recordingId, chunkCount, ending: ending?.reason ?? null }, 'recovered a recording');
    const mayGoOn = (await directory.find(streamId)) !== null;
    abort.throwIfAborted();
    if (mayGoOn && ending === null) return streams.adopt(recording);
    // Nobody publishes for a device that was revoked meanwhile.
    if (!mayGoOn && (ending === null || ending.reason === 'publisher-lost')) {
      await recording.end({ reason: 'device-revoked', atMs: clock.nowMs(), publisherAtMs: null });
    }
    sealing.take(recording);
  }
}
