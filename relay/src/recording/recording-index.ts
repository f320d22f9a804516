/**
 * What a recording is known to contain: pure, fed chunk by chunk, in the same way while it is received and when its
 * journal is read again. Decides whether a chunk may follow, and knows every chunk, cluster, epoch and event.
 */
import {
  type Chunk,
  CodedError,
  copyBytes,
  parseMessage,
  RECORDING_EVENTS,
  type RecordingEvent,
  toCodedError,
  type WebmItem,
} from '@proofcast/shared';
import { Value } from 'typebox/value';
import type { StoredPayload } from '../journal/journal-tail.ts';
import { checkAccepted } from './accepted-media.ts';
import { ChunkTable, type ChunkEntry } from './chunk-table.ts';
import { ClusterTable } from './cluster-table.ts';
import { IndexedEpoch, MAX_INIT_BYTES, MAX_TORN_BYTES } from './indexed-epoch.ts';
import { KeyPoints, type KeyPoint } from './key-points.ts';

export type { ChunkEntry } from './chunk-table.ts';
export type { ClusterEntry } from './cluster-table.ts';
export type { IndexedEpoch, OpenEpoch } from './indexed-epoch.ts';
export type { KeyPoint } from './key-points.ts';

/** All init segments of a recording are kept in memory; a recorder's has a few hundred bytes. */
const MAX_ALL_INIT_BYTES = 16 * 1024 * 1024;

/** Events are kept in memory too; a day has a few hundred. */
export const MAX_EVENTS = 100_000;

/** Each may make a file of its own, and all are named in the head of the manifest. A day of restarts has a few hundred. */
export const MAX_EPOCHS = 10_000;

/** Each takes 63 bytes of memory as long as the recording is open; a recorder makes one every two seconds, or a few. */
const MAX_CLUSTERS = 4_000_000;

/** The longest event that the schema allows has about one kilobyte. */
const MAX_EVENT_BYTES = 4096;

export type IndexedChunk = Pick<
  Chunk,
  'kind' | 'epoch' | 'sequence' | 'captureTimeUs' | 'chain' | 'payload'
> & { readonly receivedAtUs: number };

/** What a chunk turned out to be. `store` puts it into the index once it has a place in the journal. */
export interface CheckedChunk {
  readonly event: RecordingEvent | null;
  store(stored: StoredPayload): ChunkEntry;
}

export interface IndexedEvent {
  readonly sequence: number;
  readonly epoch: number;
  readonly captureTimeUs: number;
  readonly event: RecordingEvent;
}

export class RecordingIndex {
  readonly chunks = new ChunkTable();
  readonly clusters = new ClusterTable();
  readonly #maxChunks: number;
  readonly #maxClusters: number;
  readonly #epochs: IndexedEpoch[] = [];
  readonly #events: IndexedEvent[] = [];
  readonly #keyPoints: KeyPoints;
  #chain: Uint8Array;
  #isStalled = false;
  #initBytes = 0;

  /** `chain` is what the chain of the recording begins with. What goes beyond one of the limits is refused. */
  constructor(options: { chain: Uint8Array; maxChunks: number; maxClusters?: number }) {
    this.#chain = options.chain;
    this.#maxChunks = options.maxChunks;
    this.#maxClusters = options.maxClusters ?? MAX_CLUSTERS;
    this.#keyPoints = new KeyPoints(this);
  }

  get nextSequence(): number {
    return this.chunks.length;
  }

  /** Chain value of the newest chunk. */
  get chain(): Uint8Array {
    return this.#chain;
  }

  /** The current one. */
  get epoch(): IndexedEpoch | null {
    return this.#epochs.at(-1) ?? null;
  }

  /** All of them; number n is the n-th. */
  get epochs(): readonly IndexedEpoch[] {
    return this.#epochs;
  }

  /** In the order of their chunks. */
  get events(): readonly IndexedEvent[] {
    return this.#events;
  }

  /** Whether the newest word of the publisher is that its capture delivers nothing. */
  get isStalled(): boolean {
    return this.#isStalled;
  }

  /** Of the current epoch. */
  get newestKey(): KeyPoint | null {
    return this.#keyPoints.newest();
  }

  /** Null when the chunk is not known yet. */
  entry(sequence: number): ChunkEntry | null {
    return this.chunks.entry(sequence);
  }

  /**
   * The newest key point whose wall-clock time (publisher's clock, µs since 1970) is not after `timeUs`, of any epoch;
   * the first one of all when there is none. Null when there is no key point yet.
   */
  keyPointAt(timeUs: number): KeyPoint | null {
    return this.#keyPoints.at(timeUs);
  }

  /** The key point behind `after`, of the same epoch or a later one. */
  nextKeyPoint(after: KeyPoint): KeyPoint | null {
    return this.#keyPoints.next(after);
  }

  /**
   * Checks the next chunk, whose number, hash and chain are right, against what is known. Nothing of the index changes
   * until `store`, except that an epoch whose bytes are no webm takes no more media. Throws `CHUNK_EPOCH_INVALID`,
   * `EVENT_INVALID`, `WEBM_INVALID`, `WEBM_UNSUPPORTED`, or `RECORDING_FULL` when the recording has as many chunks,
   * epochs, events or clusters as it may.
   */
  check(chunk: IndexedChunk): CheckedChunk {
    const { epoch: current, chunks } = this;
    if (chunks.length >= this.#maxChunks) {
      throw new CodedError(
        'RECORDING_FULL',
        `Cannot take chunk ${chunk.sequence}: a recording has at most ${this.#maxChunks}; begin a new one.`,
      );
    }
    const nextEpoch = this.#epochs.length;
    if (chunk.epoch !== nextEpoch && chunk.epoch !== current?.number) {
      throw epochInvalid(chunk, `expected ${current === null ? '0' : `${current.number} or ${nextEpoch}`}`);
    }
    if (chunk.kind === 'media') {
      if (current === null || chunk.epoch === nextEpoch) {
        throw epochInvalid(chunk, 'an epoch begins with the event epoch-started');
      }
      return this.#checkMedia(chunk, current);
    }
    if (this.#events.length >= MAX_EVENTS) {
      throw new CodedError(
        'RECORDING_FULL',
        `Cannot take chunk ${chunk.sequence}: a recording has at most ${MAX_EVENTS} events; begin a new one.`,
      );
    }
    const event = parseEvent(chunk.payload);
    const startsEpoch = event.type === 'epoch-started';
    if (startsEpoch !== (chunk.epoch === nextEpoch)) {
      throw epochInvalid(chunk, 'the event epoch-started is the first chunk of an epoch, and only that');
    }
    if (startsEpoch && nextEpoch >= MAX_EPOCHS) {
      throw new CodedError(
        'RECORDING_FULL',
        `Cannot begin epoch ${nextEpoch}: a recording has at most ${MAX_EPOCHS}; begin a new one.`,
      );
    }
    return { event, store: (stored) => this.#storeEvent(chunk, event, stored) };
  }

  #checkMedia(chunk: IndexedChunk, epoch: IndexedEpoch): CheckedChunk {
    if (epoch.isEnded) throw epochInvalid(chunk, 'the epoch has ended, and takes no more media');
    if (epoch.refusal !== null) throw epoch.refusal;
    try {
      const items = epoch.scanner.push(chunk.payload);
      checkAccepted(items);
      this.#checkLimits(epoch, { payloadBytes: chunk.payload.length, items });
      return { event: null, store: (stored) => this.#storeMedia(chunk, { epoch, items, stored }) };
    } catch (error) {
      epoch.refusal = toCodedError(error);
      throw epoch.refusal;
    }
  }

  #storeEvent(chunk: IndexedChunk, event: RecordingEvent, stored: StoredPayload): ChunkEntry {
    const { sequence, epoch, captureTimeUs } = chunk;
    if (event.type === 'epoch-started') {
      this.epoch?.end();
      const firstCluster = this.clusters.length;
      this.#epochs.push(
        new IndexedEpoch({ number: epoch, start: event.data, firstSequence: sequence, firstCluster }),
      );
    }
    if (event.type === 'epoch-ended') this.epoch?.end();
    if (event.type === 'capture-stalled') this.#isStalled = true;
    else if (event.type === 'capture-resumed' || event.type === 'epoch-started') this.#isStalled = false;
    this.#events.push({ sequence, epoch, captureTimeUs, event });
    return this.#remember(chunk, stored);
  }

  #storeMedia(
    chunk: IndexedChunk,
    found: { epoch: IndexedEpoch; items: readonly WebmItem[]; stored: StoredPayload },
  ): ChunkEntry {
    const { epoch, items, stored } = found;
    const initBytesBefore = epoch.init?.length ?? 0;
    epoch.addMedia(chunk.payload, items, this.clusters);
    this.#initBytes += (epoch.init?.length ?? 0) - initBytesBefore;
    return this.#remember(chunk, stored);
  }

  #remember(chunk: IndexedChunk, stored: StoredPayload): ChunkEntry {
    const { kind, captureTimeUs, receivedAtUs, payload } = chunk;
    const epoch = this.epoch;
    if (epoch === null) throw new Error('Every chunk belongs to an epoch.');
    // A copy: the chain value must not keep the whole chunk in memory.
    this.#chain = copyBytes(chunk.chain);
    return this.chunks.append({
      kind,
      epoch: epoch.number,
      captureTimeUs,
      receivedAtUs,
      payloadBytes: payload.length,
      streamStart: epoch.streamEnd - (kind === 'media' ? payload.length : 0),
      tornBytes: epoch.streamEnd - epoch.wholeEnd,
      lastBlockTicks: epoch.lastBlockTicks,
      stored,
    });
  }

  #checkLimits(
    epoch: IndexedEpoch,
    { payloadBytes, items }: { payloadBytes: number; items: readonly WebmItem[] },
  ): void {
    const streamEnd = epoch.streamEnd + payloadBytes;
    const init = items.find((item) => item.type === 'init');
    const initBytes = epoch.init?.length ?? init?.end ?? streamEnd;
    if (initBytes > MAX_INIT_BYTES) {
      throw new CodedError(
        'WEBM_UNSUPPORTED',
        `The epoch has no cluster within its first ${MAX_INIT_BYTES} bytes.`,
      );
    }
    if (init !== undefined && this.#initBytes + init.end > MAX_ALL_INIT_BYTES) {
      throw new CodedError(
        'WEBM_UNSUPPORTED',
        `The init segments of the recording exceed ${MAX_ALL_INIT_BYTES} bytes; begin a new one.`,
      );
    }
    const clusterCount = this.clusters.length + items.filter(({ type }) => type === 'cluster').length;
    if (clusterCount > this.#maxClusters) {
      throw new CodedError(
        'RECORDING_FULL',
        `A recording has at most ${this.#maxClusters} clusters; begin a new one.`,
      );
    }
    const hasWhole = items.some((item) => item.type === 'block' || item.type === 'clusterEnd');
    if (!hasWhole && streamEnd - epoch.wholeEnd > MAX_TORN_BYTES) {
      throw new CodedError('WEBM_UNSUPPORTED', `The epoch has no block within ${MAX_TORN_BYTES} bytes.`);
    }
  }
}

/** Only what the schema names is kept: events stay in memory as long as the recording does. */
function parseEvent(payload: Uint8Array): RecordingEvent {
  if (payload.length > MAX_EVENT_BYTES) {
    throw new CodedError(
      'EVENT_INVALID',
      `Cannot accept the event: it has ${payload.length} bytes, at most ${MAX_EVENT_BYTES} are taken.`,
    );
  }
  try {
    const event = parseMessage(RECORDING_EVENTS, new TextDecoder('utf-8', { fatal: true }).decode(payload));
    Value.Clean(RECORDING_EVENTS[event.type], event.data);
    return event;
  } catch (cause) {
    const because = cause instanceof CodedError ? cause.message : 'it is not UTF-8';
    throw new CodedError('EVENT_INVALID', `Cannot accept the event: ${because}`, { cause });
  }
}

function epochInvalid(chunk: IndexedChunk, because: string): CodedError {
  return new CodedError(
    'CHUNK_EPOCH_INVALID',
    `Cannot accept chunk ${chunk.sequence} of epoch ${chunk.epoch}: ${because}.`,
    { details: { epoch: chunk.epoch } },
  );
}
