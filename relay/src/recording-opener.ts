/**
 * Opens recordings: new ones, those whose journal an earlier run of the relay, or a disk error, left behind, and those
 * that were merged before their publisher came back.
 */
import { hash } from 'node:crypto';
import { join } from 'node:path';
import type { Logger } from 'pino';
import { CodedError, encodeStartRecord, type Id } from '@proofcast/shared';
import type { RecordingRow } from './database/schema.ts';
import type { DiskSpace } from './journal/disk-space.ts';
import type { Journal } from './journal/journal.ts';
import { parseEnd, type RecordingIdentity } from './journal/journal-start.ts';
import { JournalDamagedError } from './journal/journal-reader.ts';
import type { JournalRecord } from './journal/record.ts';
import type { JournalStore } from './journal/store.ts';
import { LiveRecording, recordingSealed, type RecordingOwner } from './live-recording.ts';
import type { MediaClock } from './media-clock.ts';
import type { MediaLimits } from './media-limits.ts';
import { PayloadCache } from './payload-cache.ts';
import { isForGood, recordingNotFound, type RecordingCatalogue } from './recording/catalogue.ts';
import type { EndedRecording, HeldRecording } from './recording/ended-recordings.ts';
import { whyJournalIsNeeded } from './recording/leftover-journal.ts';
import { OpenRecording, type Ending } from './recording/open-recording.ts';
import type { OpenRecordings } from './recording/open-recordings.ts';
import { RecordingIndex } from './recording/recording-index.ts';
import type { SealingQueue } from './recording/sealing.ts';
import { unseal } from './recording/unseal.ts';
import type { Tombstones } from './retention/tombstones.ts';

export interface RecordingOpenerOptions {
  readonly store: JournalStore;
  readonly catalogue: RecordingCatalogue;
  readonly tombstones: Tombstones;
  readonly sealing: SealingQueue;
  readonly recordings: OpenRecordings;
  readonly recordingsDir: string;
  readonly disk: DiskSpace;
  readonly clock: MediaClock;
  readonly limits: MediaLimits;
  readonly graceMs: number;
  readonly log: Logger;
  /** Ends long readings when the relay shuts down. */
  readonly abort: AbortSignal;
}

export class RecordingOpener {
  readonly #options: RecordingOpenerOptions;
  readonly #payloads: PayloadCache;

  constructor(options: RecordingOpenerOptions) {
    this.#options = options;
    this.#payloads = new PayloadCache({ maxBytes: options.limits.maxCachedPayloadBytes });
  }

  /**
   * What the database says about a recording that may not be live. Throws `RECORDING_DELETED` when it was of this stream,
   * and `RECORDING_NOT_FOUND` when it was of another one.
   */
  async find(recordingId: Id, streamId: Id): Promise<RecordingRow | null> {
    const { tombstones, catalogue } = this.#options;
    const buriedStreamId = await tombstones.streamOf(recordingId);
    if (buriedStreamId === null) return catalogue.find(recordingId);
    if (buriedStreamId !== streamId) throw recordingNotFound(recordingId);
    throw new CodedError('RECORDING_DELETED', `The recording ${recordingId} was deleted.`);
  }

  /** Throws `STORAGE_FULL`, `STORAGE_FAILED`, or `RECORDING_NOT_FOUND` when the id is somebody's already. */
  async create(identity: RecordingIdentity, owner: RecordingOwner): Promise<LiveRecording> {
    const { store, catalogue, disk, clock } = this.#options;
    const { recordingId } = identity;
    await disk.checkRoomForRecording();
    if (await store.has(recordingId)) throw recordingNotFound(recordingId);
    const chain = startChain(identity);
    let journal: Journal;
    try {
      journal = await store.create(identity, chain);
    } catch (cause) {
      throw new CodedError('STORAGE_FAILED', 'Cannot begin a journal; the log of the relay tells more.', {
        cause,
      });
    }
    try {
      await catalogue.insert(identity, clock.nowMs());
    } catch (error) {
      await journal.close();
      await store.remove(recordingId);
      throw error;
    }
    const recording = new OpenRecording({ journal, index: this.#newIndex(chain), ending: null });
    return this.live(recording, { owner, waitingSinceMs: clock.nowMs() });
  }

  /**
   * Goes on with a recording whose publisher was thought lost, wherever it is by now. Throws `RECORDING_SEALED` when it
   * was ended for good, `RECORDING_DAMAGED` when it cannot be read any more, `RECORDING_NOT_READY` while it is being
   * deleted, and `STORAGE_FAILED`.
   */
  async resume(found: RecordingRow, owner: RecordingOwner): Promise<LiveRecording> {
    const { sealing, recordings, clock, log } = this.#options;
    const { recording_id: recordingId } = found;
    this.#checkMayResume(found);
    const unclaim = recordings.claim(recordingId);
    try {
      const putBack = await sealing.withdraw(recordingId);
      try {
        const { recording, release } = await this.#takeUp(recordingId);
        log.info({ recordingId, chunkCount: recording.snapshotCount }, 'a publisher came back');
        const live = this.live(recording, { owner, waitingSinceMs: clock.nowMs() });
        release();
        return live;
      } catch (error) {
        putBack?.();
        throw error;
      }
    } finally {
      unclaim();
    }
  }

  /** Opens the journal again of a recording that has ended. Throws `STORAGE_FAILED`, and `SHUTTING_DOWN`. */
  async reopen({ identity: { recordingId }, chunkCount }: EndedRecording): Promise<OpenRecording> {
    this.#options.abort.throwIfAborted();
    const recording = await this.recover(recordingId, chunkCount);
    if (recording !== null) return recording;
    throw new JournalDamagedError(`The journal of ${recordingId} is missing.`);
  }

  /**
   * Reads a journal again, which has at least so many chunks. Null when nothing of it is on disk. Throws
   * `STORAGE_FAILED` when it cannot be read, and `SHUTTING_DOWN`.
   */
  async recover(recordingId: Id, leastChunkCount: number): Promise<OpenRecording | null> {
    const { abort, store } = this.#options;
    let index = this.#newIndex(new Uint8Array());
    let ending: Ending | null = null;
    const reading = store.recover({ recordingId, leastChunkCount }, (record, stored) => {
      abort.throwIfAborted();
      if (record.kind === 'end') {
        ending = endingOf(record);
      } else if (record.kind !== 'start') {
        // Behind an end when the publisher came back.
        ending = null;
        index.check({ ...record, kind: record.kind }).store(stored);
      }
    });
    const journal = await reading.catch((cause: unknown) => {
      if (cause instanceof CodedError) throw cause;
      const message = `Cannot read the journal of ${recordingId}; the log of the relay tells more.`;
      throw new CodedError('STORAGE_FAILED', message, { cause });
    });
    if (journal === null) return null;
    // Without a chunk nothing has told the chain value that the first one must follow from.
    if (index.nextSequence === 0) index = this.#newIndex(startChain(journal.identity));
    return new OpenRecording({ journal, index, ending });
  }

  /** Lets a publisher feed the recording; its grace time runs. */
  live(
    recording: OpenRecording,
    { owner, waitingSinceMs }: { owner: RecordingOwner; waitingSinceMs: number },
  ): LiveRecording {
    const { recordings, clock, limits, graceMs, log } = this.#options;
    recordings.addLive(recording);
    const payloads = this.#payloads;
    const { epochToleranceMs } = limits;
    return new LiveRecording({
      recording,
      owner,
      clock,
      graceMs,
      limits,
      epochToleranceMs,
      payloads,
      log,
      waitingSinceMs,
    });
  }

  /** Nobody finds a recording any more that was closed without an end. */
  forget(recording: OpenRecording): void {
    this.#options.recordings.removeLive(recording);
  }

  /** The database may not know yet that a recording has ended, but who has it open does. */
  #checkMayResume({ recording_id: recordingId, is_complete, chunk_count }: RecordingRow): void {
    const ended = this.#options.recordings.ended(recordingId);
    if (ended !== null && isForGood(ended.ending.reason)) {
      throw recordingSealed(recordingId, ended.chunkCount);
    }
    if (is_complete === 1) throw recordingSealed(recordingId, chunk_count);
  }

  /** Only when the database has it as going on, anything may be added to it. */
  async #takeUp(recordingId: Id): Promise<HeldRecording> {
    const { catalogue, recordings } = this.#options;
    // What was known before the queue let go of it may be old by now.
    const row = await catalogue.find(recordingId);
    if (row === null) throw recordingNotFound(recordingId);
    this.#checkMayResume(row);
    const held = await recordings.hold(recordingId).catch(asDamaged(recordingId));
    const recording = held?.recording ?? (await this.#readAgain(row).catch(asDamaged(recordingId)));
    try {
      await catalogue.markResumed(recordingId);
    } catch (error) {
      if (held === null) await recording.close();
      held?.release();
      throw error;
    }
    recording.resume();
    return { recording, release: held?.release ?? (() => undefined) };
  }

  async #readAgain(row: RecordingRow): Promise<OpenRecording> {
    const { recording_id: recordingId } = row;
    if (row.manifest_path !== null && (await this.#mayBeUnsealed(row))) {
      await this.#unseal(row, row.manifest_path);
    }
    const recording = await this.recover(recordingId, row.chunk_count ?? 0);
    if (recording !== null) return recording;
    throw new JournalDamagedError(`The journal of ${recordingId} is missing.`);
  }

  /** Removes what is left of a journal beside the files; false when that is the better of the two. */
  async #mayBeUnsealed(row: RecordingRow): Promise<boolean> {
    const { store, recordingsDir, abort: signal, log } = this.#options;
    const { recording_id: recordingId } = row;
    if (!(await store.has(recordingId))) return true;
    const reason = await whyJournalIsNeeded(row, { store, recordingsDir, signal });
    if (reason === null) await store.remove(recordingId);
    else log.error({ recordingId, code: reason.code, err: reason }, 'a journal is kept beside its files');
    return reason === null;
  }

  /** Makes the journal again of a recording that was merged. Its files stay until it is merged again. */
  async #unseal(row: RecordingRow, manifestPath: string): Promise<void> {
    const { store, recordingsDir, disk, abort } = this.#options;
    const { recording_id: recordingId } = row;
    await disk.checkRoomFor(row.journal_bytes ?? 0);
    const identity: RecordingIdentity = {
      recordingId,
      companyId: row.company_id,
      streamId: row.stream_id,
      deviceId: row.device_id,
      startedAtUs: row.started_at_us,
    };
    await unseal({ identity, manifestPath: join(recordingsDir, manifestPath), store, signal: abort });
  }

  #newIndex(chain: Uint8Array): RecordingIndex {
    return new RecordingIndex({ chain, maxChunks: this.#options.limits.maxChunksPerRecording });
  }
}

/** What a publisher is told, to whom it makes no difference which file is damaged. */
function asDamaged(recordingId: Id): (error: unknown) => never {
  return (error) => {
    if (!(error instanceof JournalDamagedError)) throw error;
    throw new CodedError('RECORDING_DAMAGED', error.message, { cause: error, details: { recordingId } });
  };
}

function endingOf(record: JournalRecord): Ending {
  const { captureTimeUs, receivedAtUs } = record;
  return {
    reason: parseEnd(record).reason,
    atMs: Math.floor(receivedAtUs / 1000),
    publisherAtMs: captureTimeUs === 0 ? null : Math.floor(captureTimeUs / 1000),
  };
}

/** [C1] What the chain of a recording begins with. */
function startChain(identity: RecordingIdentity): Uint8Array {
  return hash('sha256', encodeStartRecord(identity), 'buffer');
}
