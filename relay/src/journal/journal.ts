/**
 * The journal of one recording: an append-only sequence of chunks on disk, in one file, or in more after a disk error.
 * What has been appended is kept in memory until it is durable, so that it can be written again into a new file.
 * Numbered rules: docs/journal.md.
 */
import { CodedError } from '@proofcast/shared';
import type { JournalFolder } from './journal-files.ts';
import { JournalDamagedError, JournalReader, type OpenSegment } from './journal-reader.ts';
import type { EndReason, JournalStart, RecordingIdentity } from './journal-start.ts';
import {
  durableAfter,
  readTail,
  type DurableState,
  type Pending,
  type RecoveredTail,
  type StoredPayload,
} from './journal-tail.ts';
import { NO_TIMINGS, secondsSince, type JournalTimings } from './journal-timings.ts';
import { encodeRecordHeader, ownRecord, RECORD_HEADER_BYTES, type JournalRecord } from './record.ts';
import { createSegment, type Segment } from './segment.ts';

/** One chunk as the journal keeps it. */
export type JournalChunk = Pick<
  JournalRecord,
  'epoch' | 'sequence' | 'captureTimeUs' | 'receivedAtUs' | 'chain' | 'signature' | 'payload'
> & { readonly kind: 'media' | 'event' };

/** What the journal tells its owner; each is called from a commit, never from `append`. */
export interface JournalEvents {
  /** Chunks 0 … `durableCount` − 1 are on disk. */
  onDurable(durableCount: number): void;
  /** A file ended because of `cause`; the recording goes on in file `segment`. */
  onContinued(segment: number, cause: unknown): void;
  /** The disk takes nothing more. Nothing was acknowledged that is not on disk; the journal is to be recovered. */
  onFailed(error: CodedError): void;
}

type State =
  | { readonly kind: 'open' }
  | { readonly kind: 'failed'; readonly error: CodedError }
  | { readonly kind: 'closed' };

export class Journal {
  readonly identity: RecordingIdentity;
  readonly #folder: JournalFolder;
  readonly #segments: Segment[];
  readonly #markDirty: (journal: Journal) => void;
  readonly #timings: JournalTimings;
  #events: JournalEvents = { onDurable() {}, onContinued() {}, onFailed() {} };
  #state: State = { kind: 'open' };
  #pending: Pending[] = [];
  #undurableBytes = 0;
  /** What the next file would begin with. */
  #durable: DurableState;
  #chunkCount: number;
  #commit: Promise<void> | null = null;

  private constructor(options: {
    identity: RecordingIdentity;
    folder: JournalFolder;
    segments: Segment[];
    markDirty: (journal: Journal) => void;
    durable: DurableState;
    timings: JournalTimings;
  }) {
    this.identity = options.identity;
    this.#folder = options.folder;
    this.#segments = options.segments;
    this.#markDirty = options.markDirty;
    this.#timings = options.timings;
    this.#durable = options.durable;
    this.#chunkCount = options.durable.count;
  }

  /**
   * Creates the first file and makes it durable. `chain` is what the chain begins with.
   * `markDirty` is called when there is something to `commit`. Throws what the disk says.
   */
  static async create(options: {
    folder: JournalFolder;
    identity: RecordingIdentity;
    chain: Uint8Array;
    nowUs: number;
    markDirty: (journal: Journal) => void;
    timings?: JournalTimings;
  }): Promise<Journal> {
    const { folder, identity, chain, markDirty, timings = NO_TIMINGS } = options;
    const startRecord = ownRecord({
      kind: 'start',
      content: { format: 'proofcast-journal', ...identity, segment: 0, continuesBecause: null },
      epoch: 0,
      sequence: 0,
      receivedAtUs: options.nowUs,
      durableBytes: 0,
      chain,
    });
    const { recordingId } = identity;
    const segment = await createSegment(folder, { recordingId, number: 0, startRecord });
    return new Journal({
      identity,
      folder,
      segments: [segment],
      markDirty,
      durable: { count: 0, chain, epoch: 0 },
      timings,
    });
  }

  /**
   * Opens what an earlier run of the relay left. Calls `onRecord` for every chunk and for the end, in order; cuts a
   * torn tail; and writes and syncs again what was not known to be durable, because a page that looks written may
   * exist in memory only. Null when nothing of the recording was ever on disk.
   * Throws `STORAGE_FAILED` when acknowledged chunks cannot be read, of which there are `leastChunkCount` by the word of
   * somebody else, or when the disk refuses.
   */
  static async recover(options: {
    folder: JournalFolder;
    recordingId: string;
    segmentNumbers: readonly number[];
    leastChunkCount?: number;
    markDirty: (journal: Journal) => void;
    onRecord: (record: JournalRecord, stored: StoredPayload) => void;
    onCut: (cut: { file: string; validBytes: number; cutBytes: number }) => void;
    timings?: JournalTimings;
  }): Promise<Journal | null> {
    const { folder, markDirty, timings = NO_TIMINGS } = options;
    const reader = await JournalReader.open(folder, options.recordingId, options.segmentNumbers);
    if (reader === null) {
      if ((options.leastChunkCount ?? 0) === 0) return null;
      throw new JournalDamagedError(`The journal of ${options.recordingId} has no beginning.`);
    }
    let journal: Journal | null = null;
    try {
      const tail = await readTail(reader, options.onRecord);
      checkCount(reader, tail, options.leastChunkCount ?? 0);
      const { format: _format, segment: _segment, continuesBecause: _because, ...identity } = reader.start;
      for (const name of reader.unfinishedNames) await folder.remove(name);
      const { validBytes, sizeBytes } = reader.lastEnd;
      const last = reader.segments.at(-1) as OpenSegment;
      if (sizeBytes > validBytes) {
        await last.file.truncate(validBytes);
        options.onCut({ file: last.file.name, validBytes, cutBytes: sizeBytes - validBytes });
      }
      const segments = reader.segments.map((segment) => ({ ...segment, position: 0, durableBytes: 0 }));
      journal = new Journal({ identity, folder, segments, markDirty, durable: tail.durable, timings });
      await journal.#restore(tail);
      return journal;
    } catch (error) {
      // The journal may have opened another file meanwhile.
      await (journal ?? reader).close();
      throw error;
    }
  }

  /** Who hears of this journal from now on. */
  set events(events: JournalEvents) {
    this.#events = events;
  }

  get chunkCount(): number {
    return this.#chunkCount;
  }

  get durableCount(): number {
    return this.#durable.count;
  }

  /** Bytes that are held in memory because they are not durable. */
  get undurableBytes(): number {
    return this.#undurableBytes;
  }

  get isOpen(): boolean {
    return this.#state.kind === 'open';
  }

  /** Takes the next chunk; it is written with the next commit. Throws when the journal is failed or closed. */
  append(chunk: JournalChunk): StoredPayload {
    this.#checkOpen();
    if (chunk.sequence !== this.#chunkCount) {
      throw new Error(`Cannot append chunk ${chunk.sequence}: expected ${this.#chunkCount}.`);
    }
    const stored: StoredPayload = { isDurable: false, place: { kind: 'memory', bytes: chunk.payload } };
    this.#chunkCount += 1;
    this.#enqueue({ record: chunk, stored, takenAtMs: performance.now() });
    return stored;
  }

  /**
   * Writes that nothing follows; resolves when that and all before it is durable. Chunks may follow nevertheless, when
   * a publisher comes back that was thought lost. `captureTimeUs` is the time by the publisher's clock, as far as it is
   * known. Throws `STORAGE_FAILED`.
   */
  async end(ending: { reason: EndReason; nowUs: number; captureTimeUs: number }): Promise<void> {
    // In a commit of its own, so that it confirms all that came before it.
    await this.flush();
    const record = ownRecord({
      kind: 'end',
      content: { reason: ending.reason },
      epoch: this.#durable.epoch,
      sequence: this.#chunkCount,
      captureTimeUs: ending.captureTimeUs,
      receivedAtUs: ending.nowUs,
      durableBytes: 0,
      chain: this.#durable.chain,
    });
    this.#enqueue({ record, stored: null });
    await this.flush();
  }

  /** Resolves when all that was appended before is durable. Throws `STORAGE_FAILED`. */
  async flush(): Promise<void> {
    while (this.#pending.length > 0) {
      this.#checkOpen();
      await this.commit();
    }
    this.#checkOpen();
  }

  /** Writes what is pending and syncs it. Never throws: a failure is told to `onFailed`. Calls share one run. */
  commit(): Promise<void> {
    this.#commit ??= this.#runCommit().finally(() => {
      this.#commit = null;
      if (this.#pending.length > 0 && this.isOpen) this.#markDirty(this);
    });
    return this.#commit;
  }

  /** Throws `STORAGE_FAILED` when the payload cannot be read. */
  async readPayload(stored: StoredPayload): Promise<Uint8Array> {
    const { place } = stored;
    if (place.kind === 'memory') return place.bytes;
    return this.readBytes(place.segment, place.start, place.byteLength);
  }

  /**
   * Bytes of one file, until the journal is closed; in `into`, when it is given and large enough. Throws
   * `STORAGE_FAILED` when they cannot be read.
   */
  async readBytes(
    segmentNumber: number,
    start: number,
    byteLength: number,
    into?: Uint8Array,
  ): Promise<Uint8Array> {
    const segment = this.#segments.find(({ number }) => number === segmentNumber);
    let bytes: Uint8Array | undefined;
    try {
      bytes = await segment?.file.read(start, byteLength, into);
    } catch (cause) {
      throw storageFailed(`Cannot read from the journal of ${this.identity.recordingId}`, cause);
    }
    if (bytes?.length === byteLength) return bytes;
    throw storageFailed(`The journal of ${this.identity.recordingId} is shorter than expected`, undefined);
  }

  /** Makes durable what can be, and closes the files. Idempotent. */
  async close(): Promise<void> {
    if (this.#state.kind === 'closed') return;
    while (this.isOpen && this.#pending.length > 0) await this.commit();
    this.#state = { kind: 'closed' };
    await Promise.allSettled(this.#segments.map(({ file }) => file.close()));
  }

  #checkOpen(): void {
    if (this.#state.kind === 'open') return;
    if (this.#state.kind === 'failed') throw this.#state.error;
    throw storageFailed(`The journal of ${this.identity.recordingId} is closed`, undefined);
  }

  #enqueue(pending: Pending): void {
    this.#pending.push(pending);
    this.#undurableBytes += pending.record.payload.length;
    this.#markDirty(this);
  }

  async #runCommit(): Promise<void> {
    // What is appended from here on belongs to the next commit.
    const batch = this.#pending.slice();
    if (batch.length === 0 || !this.isOpen) return;
    const startedMs = performance.now();
    let segment = this.#lastSegment;
    try {
      await this.#writeAndSync(segment, batch);
    } catch (cause) {
      // After an error nobody knows what of the file is on disk, and a second sync that succeeds proves nothing:
      // the kernel may have dropped the pages (https://wiki.postgresql.org/wiki/Fsync_Errors).
      try {
        segment = await this.#continueInNewSegment(cause);
        await this.#writeAndSync(segment, batch);
      } catch (secondCause) {
        this.#fail(secondCause);
        return;
      }
      this.#events.onContinued(segment.number, cause);
    }
    this.#settle(batch);
    this.#timings.commitSeconds.observe(secondsSince(startedMs));
  }

  async #writeAndSync(segment: Segment, batch: readonly Pending[]): Promise<void> {
    const { durableBytes } = segment;
    let position = segment.position;
    const parts: Uint8Array[] = [];
    const places: StoredPayload['place'][] = [];
    for (const { record } of batch) {
      const start = position + RECORD_HEADER_BYTES;
      const byteLength = record.payload.length;
      parts.push(encodeRecordHeader({ ...record, durableBytes }), record.payload);
      places.push({ kind: 'file', segment: segment.number, start, byteLength });
      position = start + byteLength;
    }
    await segment.file.write(parts, segment.position);
    const writtenAtMs = performance.now();
    await segment.file.datasync();
    this.#timings.datasyncSeconds.observe(secondsSince(writtenAtMs));
    segment.position = position;
    segment.durableBytes = position;
    batch.forEach(({ stored }, index) => {
      if (stored === null) return;
      stored.place = places[index] as StoredPayload['place'];
      stored.isDurable = true;
    });
  }

  #settle(batch: readonly Pending[]): void {
    this.#pending.splice(0, batch.length);
    for (const { record, takenAtMs } of batch) {
      this.#undurableBytes -= record.payload.length;
      if (takenAtMs !== undefined) this.#timings.ackSeconds.observe(secondsSince(takenAtMs));
    }
    const last = batch.at(-1);
    if (last !== undefined) this.#durable = durableAfter(last.record);
    this.#events.onDurable(this.#durable.count);
  }

  async #continueInNewSegment(cause: unknown): Promise<Segment> {
    const number = this.#lastSegment.number + 1;
    const content: JournalStart = {
      format: 'proofcast-journal',
      ...this.identity,
      segment: number,
      continuesBecause: String(cause).slice(0, 200),
    };
    const startRecord = ownRecord({
      kind: 'start',
      content,
      epoch: this.#durable.epoch,
      sequence: this.#durable.count,
      receivedAtUs: this.#pending[0]?.record.receivedAtUs ?? 0,
      durableBytes: 0,
      chain: this.#durable.chain,
    });
    const { recordingId } = this.identity;
    const segment = await createSegment(this.#folder, { recordingId, number, startRecord });
    this.#segments.push(segment);
    return segment;
  }

  #fail(cause: unknown): void {
    const error = storageFailed(`Cannot write the journal of ${this.identity.recordingId}`, cause);
    this.#state = { kind: 'failed', error };
    this.#events.onFailed(error);
  }

  /** Positions the last file behind what is durable and writes the rest again. */
  async #restore(tail: RecoveredTail): Promise<void> {
    const segment = this.#lastSegment;
    segment.position = tail.durableEnd;
    segment.durableBytes = tail.durableEnd;
    for (const pending of tail.pending) {
      this.#pending.push(pending);
      this.#undurableBytes += pending.record.payload.length;
      if (pending.stored !== null) this.#chunkCount += 1;
    }
    await this.#folder.sync();
    await this.flush();
  }

  get #lastSegment(): Segment {
    return this.#segments.at(-1) as Segment;
  }
}

function checkCount({ start }: JournalReader, { durable, pending }: RecoveredTail, least: number): void {
  const count = pending.reduce((_, { record }) => durableAfter(record).count, durable.count);
  if (count >= least) return;
  throw new JournalDamagedError(
    `The journal of ${start.recordingId} has ${count} of ${least} chunks that were acknowledged.`,
  );
}

function storageFailed(what: string, cause: unknown): CodedError {
  return new CodedError('STORAGE_FAILED', `${what}; the log of the relay tells more.`, { cause });
}
