/** All journals of the relay: makes, recovers, reads and removes them, and runs the group commit. */
import type { Logger } from 'pino';
import type { Id } from '@proofcast/shared';
import type { MediaClock } from '../media-clock.ts';
import { Committer } from './committer.ts';
import type { JournalFolder } from './journal-files.ts';
import { JournalReader } from './journal-reader.ts';
import { importJournal, isUnfinishedImport } from './journal-import.ts';
import { parseSegmentName, segmentName, type RecordingIdentity } from './journal-start.ts';
import type { StoredPayload } from './journal-tail.ts';
import { NO_TIMINGS, type JournalTimings } from './journal-timings.ts';
import { Journal, type JournalChunk } from './journal.ts';
import type { JournalRecord } from './record.ts';

/** The names of the files of each recording, the first one first. */
export type JournalFiles = ReadonlyMap<Id, readonly string[]>;

export class JournalStore {
  readonly #folder: JournalFolder;
  readonly #committer: Committer;
  readonly #clock: MediaClock;
  readonly #log: Logger;
  readonly #timings: JournalTimings;
  readonly #markDirty = (journal: Journal): void => this.#committer.markDirty(journal);

  /** Owns no journal: who creates or recovers one closes it. */
  constructor(options: {
    folder: JournalFolder;
    clock: MediaClock;
    commitIntervalMs: number;
    log: Logger;
    timings?: JournalTimings;
  }) {
    const { folder, clock, commitIntervalMs, log, timings = NO_TIMINGS } = options;
    this.#timings = timings;
    this.#folder = folder;
    this.#clock = clock;
    this.#log = log;
    this.#committer = new Committer({
      clock,
      intervalMs: commitIntervalMs,
      onError: (error) => log.error({ err: error }, 'a commit failed in an unforeseen way'),
    });
  }

  /** What there is at the moment, with one look at the folder. */
  async list(): Promise<JournalFiles> {
    const all = new Map<Id, string[]>();
    for (const [recordingId, numbers] of await this.#listAll()) {
      all.set(
        recordingId,
        numbers.map((number) => segmentName(recordingId, number)),
      );
    }
    return all;
  }

  /** Ids of the recordings that have a journal. */
  async recordingIds(): Promise<Id[]> {
    return [...(await this.#listAll()).keys()];
  }

  /** Throws what the disk says; `EEXIST` when the recording has a journal. */
  create(identity: RecordingIdentity, chain: Uint8Array): Promise<Journal> {
    return Journal.create({
      folder: this.#folder,
      identity,
      chain,
      nowUs: this.#clock.nowMs() * 1000,
      markDirty: this.#markDirty,
      timings: this.#timings,
    });
  }

  /**
   * See `Journal.recover`. A journal of which nothing was ever on disk is removed. What `onRecord` throws ends the
   * reading and leaves the files as they are.
   */
  async recover(
    { recordingId, leastChunkCount }: { recordingId: Id; leastChunkCount: number },
    onRecord: (record: JournalRecord, stored: StoredPayload) => void,
  ): Promise<Journal | null> {
    const segmentNumbers = (await this.#listAll()).get(recordingId) ?? [];
    const journal = await Journal.recover({
      folder: this.#folder,
      recordingId,
      segmentNumbers,
      leastChunkCount,
      markDirty: this.#markDirty,
      timings: this.#timings,
      onRecord,
      onCut: (cut) => this.#log.warn({ recordingId, ...cut }, 'cut a torn tail off a journal'),
    });
    if (journal === null) await this.remove(recordingId);
    return journal;
  }

  /** Makes the journal of a recording that has none from its chunks, ended as one whose publisher was lost. */
  import(parts: {
    identity: RecordingIdentity;
    chain: Uint8Array;
    chunks: AsyncIterable<JournalChunk>;
  }): Promise<void> {
    const nowUs = this.#clock.nowMs() * 1000;
    return importJournal({ folder: this.#folder, ...parts, endReason: 'publisher-lost', nowUs });
  }

  /** Removes what imports left that did not come to their end. */
  async removeUnfinishedImports(): Promise<void> {
    const names = (await this.#folder.list()).filter(isUnfinishedImport);
    for (const name of names) await this.#folder.remove(name);
  }

  /** The files of a recording and their sizes. */
  async files(recordingId: Id): Promise<{ name: string; sizeBytes: number }[]> {
    const numbers = (await this.#listAll()).get(recordingId) ?? [];
    const files: { name: string; sizeBytes: number }[] = [];
    for (const number of numbers) {
      const file = await this.#folder.open(segmentName(recordingId, number));
      try {
        files.push({ name: file.name, sizeBytes: await file.sizeBytes() });
      } finally {
        await file.close();
      }
    }
    return files;
  }

  /** For reading a journal that nobody writes; null when nothing of it is on disk. The caller closes. */
  async read(recordingId: Id): Promise<JournalReader | null> {
    const segmentNumbers = (await this.#listAll()).get(recordingId) ?? [];
    return JournalReader.open(this.#folder, recordingId, segmentNumbers);
  }

  async has(recordingId: Id): Promise<boolean> {
    return (await this.#listAll()).has(recordingId);
  }

  /** Removes all files of a recording, the last first, so that what is left at any moment has its beginning. */
  async remove(recordingId: Id): Promise<void> {
    const numbers = (await this.#listAll()).get(recordingId) ?? [];
    for (const number of numbers.toReversed()) await this.#folder.remove(segmentName(recordingId, number));
    await this.#folder.sync();
  }

  close(): void {
    this.#committer.close();
  }

  /** The numbers of the files of each recording, ascending. */
  async #listAll(): Promise<Map<Id, number[]>> {
    const all = new Map<Id, number[]>();
    for (const name of await this.#folder.list()) {
      const parsed = parseSegmentName(name);
      if (parsed === null) continue;
      const numbers = all.get(parsed.recordingId) ?? [];
      numbers.push(parsed.segment);
      all.set(parsed.recordingId, numbers);
    }
    for (const numbers of all.values()) numbers.sort((a, b) => a - b);
    return all;
  }
}
