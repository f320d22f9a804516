/** Makes live recordings: new ones, and those whose journal an earlier run of the relay, or a disk error, left open. */
import { hash } from 'node:crypto';
import type { Logger } from 'pino';
import { CodedError, encodeStartRecord, type Id } from '@proofcast/shared';
import type { RecordingRow } from './database/schema.ts';
import type { DiskSpace } from './journal/disk-space.ts';
import type { Journal } from './journal/journal.ts';
import type { RecordingIdentity } from './journal/journal-start.ts';
import type { JournalStore } from './journal/store.ts';
import { LiveRecording, type RecordingOwner } from './live-recording.ts';
import type { MediaClock } from './media-clock.ts';
import type { MediaLimits } from './media-limits.ts';
import { recordingNotFound, type RecordingCatalogue } from './recording/catalogue.ts';
import { RecordingIndex } from './recording/recording-index.ts';

export interface RecordingOpenerOptions {
  readonly store: JournalStore;
  readonly catalogue: RecordingCatalogue;
  readonly disk: DiskSpace;
  readonly clock: MediaClock;
  readonly limits: MediaLimits;
  readonly graceMs: number;
  readonly log: Logger;
}

/** A journal that was read again. Either it is to be opened, or it is complete and its files are to be closed. */
export interface RecoveredJournal {
  readonly identity: RecordingIdentity;
  readonly chunkCount: number;
  /** Whether the journal says that nothing follows. */
  readonly isEnded: boolean;
  /** Relay's clock when the last record was received; null when there is none. */
  readonly lastReceivedAtMs: number | null;
  open(owner: RecordingOwner): LiveRecording;
  close(): Promise<void>;
}

export class RecordingOpener {
  readonly #options: RecordingOpenerOptions;

  constructor(options: RecordingOpenerOptions) {
    this.#options = options;
  }

  /** What the database says about a recording that may not be live. */
  find(recordingId: Id): Promise<RecordingRow | null> {
    return this.#options.catalogue.find(recordingId);
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
    return this.#build(journal, {
      index: this.#newIndex(chain),
      owner,
      waitingSinceMs: clock.nowMs(),
      publisherClockOffsetUs: 0,
    });
  }

  /** Null when nothing of the recording is on disk. Throws `STORAGE_FAILED` when its journal cannot be read. */
  async recover(recordingId: Id): Promise<RecoveredJournal | null> {
    const { store, clock } = this.#options;
    const index = this.#newIndex(new Uint8Array());
    let isEnded = false;
    let lastReceivedAtUs: number | null = null;
    // The smallest difference is the one with the least waiting in it (a spool, a slow network).
    let leastOffsetUs = Number.POSITIVE_INFINITY;
    const journal = await store.recover(recordingId, (record, stored) => {
      lastReceivedAtUs = record.receivedAtUs;
      if (record.kind === 'media' || record.kind === 'event') {
        const { kind, epoch, sequence, captureTimeUs, chain, payload } = record;
        // An end that could not be synced, and after which the publisher came back.
        isEnded = false;
        index.check({ kind, epoch, sequence, captureTimeUs, chain, payload }).store(stored);
        leastOffsetUs = Math.min(leastOffsetUs, record.receivedAtUs - captureTimeUs);
      } else if (record.kind === 'end') isEnded = true;
    });
    if (journal === null) return null;
    const { identity } = journal;
    const lastReceivedAtMs = lastReceivedAtUs === null ? null : Math.floor(lastReceivedAtUs / 1000);
    return {
      identity,
      chunkCount: journal.chunkCount,
      isEnded,
      lastReceivedAtMs,
      open: (owner) =>
        this.#build(journal, {
          // Without a chunk nothing has told the chain value that the first one must follow from.
          index: index.nextSequence > 0 ? index : this.#newIndex(startChain(identity)),
          owner,
          waitingSinceMs: lastReceivedAtMs ?? clock.nowMs(),
          publisherClockOffsetUs: Number.isFinite(leastOffsetUs) ? leastOffsetUs : 0,
        }),
      close: () => journal.close(),
    };
  }

  #newIndex(chain: Uint8Array): RecordingIndex {
    return new RecordingIndex({ chain, maxEntries: this.#options.limits.maxIndexedChunks });
  }

  #build(
    journal: Journal,
    parts: {
      index: RecordingIndex;
      owner: RecordingOwner;
      waitingSinceMs: number;
      publisherClockOffsetUs: number;
    },
  ): LiveRecording {
    const { clock, limits, graceMs, log } = this.#options;
    return new LiveRecording({ journal, clock, limits, graceMs, log, ...parts });
  }
}

/** [C1] What the chain of a recording begins with. */
function startChain(identity: RecordingIdentity): Uint8Array {
  return hash('sha256', encodeStartRecord(identity), 'buffer');
}
