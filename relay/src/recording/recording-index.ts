/**
 * What a recording is known to contain: pure, fed chunk by chunk, in the same way while it is received and when its
 * journal is read again. Decides whether a chunk may follow, and where a viewer can begin.
 */
import {
  CodedError,
  parseMessage,
  RECORDING_EVENTS,
  toCodedError,
  WebmScanner,
  type Chunk,
  type EpochStart,
  type RecordingEvent,
  type WebmItem,
} from '@proofcast/shared';
import type { StoredPayload } from '../journal/journal-tail.ts';

/** An init segment is a few hundred bytes; this bounds what is kept in memory until it is complete. */
const MAX_INIT_BYTES = 1024 * 1024;
/** A viewer who reads from the journal when a new key cluster comes still finds its chunks. */
const KEPT_KEY_POINTS = 3;

export interface OpenEpoch {
  readonly number: number;
  readonly start: EpochStart;
  /** The exact bytes before the first cluster; null until that has begun. */
  readonly init: Uint8Array | null;
}

/** Where the newest cluster begins whose first video block is key: in the epoch's bytes, and in which chunk. */
export interface KeyPoint {
  readonly epoch: number;
  readonly streamStart: number;
  readonly sequence: number;
  /** Bytes of that chunk which come before it. */
  readonly offset: number;
}

/** One chunk, and which bytes of its epoch it holds. An event holds none. */
export interface ChunkEntry {
  readonly sequence: number;
  readonly kind: Chunk['kind'];
  readonly epoch: number;
  readonly captureTimeUs: number;
  readonly streamStart: number;
  readonly streamEnd: number;
  readonly stored: StoredPayload;
}

export type IndexedChunk = Pick<Chunk, 'kind' | 'epoch' | 'sequence' | 'captureTimeUs' | 'chain' | 'payload'>;

/** What a chunk turned out to be. `store` puts it into the index once it has a place in the journal. */
export interface CheckedChunk {
  readonly event: RecordingEvent | null;
  store(stored: StoredPayload): ChunkEntry;
}

interface EpochState {
  number: number;
  start: EpochStart;
  scanner: WebmScanner;
  /** Bytes of the epoch so far. */
  streamEnd: number;
  init: Uint8Array | null;
  /** The bytes of the epoch as long as the init segment is not complete. */
  initParts: Uint8Array[];
  keyPoints: KeyPoint[];
  /** Where the newest cluster begins, which may still turn out to be key. */
  clusterStart: number;
  /** Why the epoch takes no more media. */
  refusal: CodedError | null;
}

export class RecordingIndex {
  readonly #maxEntries: number;
  #epoch: EpochState | null = null;
  #nextSequence = 0;
  #chain: Uint8Array;
  #isStalled = false;
  /** A run of consecutive chunks up to the newest, oldest first. */
  #entries: ChunkEntry[] = [];

  /** `chain` is what the chain of the recording begins with; `maxEntries` chunks are remembered at most. */
  constructor(options: { chain: Uint8Array; maxEntries: number }) {
    this.#chain = options.chain;
    this.#maxEntries = options.maxEntries;
  }

  get nextSequence(): number {
    return this.#nextSequence;
  }

  /** Chain value of the newest chunk. */
  get chain(): Uint8Array {
    return this.#chain;
  }

  get epoch(): OpenEpoch | null {
    return this.#epoch;
  }

  /** Whether the newest word of the publisher is that its capture delivers nothing. */
  get isStalled(): boolean {
    return this.#isStalled;
  }

  get newestKey(): KeyPoint | null {
    return this.#epoch?.keyPoints.at(-1) ?? null;
  }

  /** Null when the chunk is not remembered any more, or not known yet. */
  entry(sequence: number): ChunkEntry | null {
    const first = this.#entries[0];
    return first === undefined ? null : (this.#entries[sequence - first.sequence] ?? null);
  }

  /**
   * Checks the next chunk, whose number, hash and chain are right, against what is known. Nothing of the index changes
   * until `store`, except that an epoch whose bytes are no webm takes no more media. Throws `CHUNK_EPOCH_INVALID`,
   * `EVENT_INVALID`, `WEBM_INVALID` or `WEBM_UNSUPPORTED`.
   */
  check(chunk: IndexedChunk): CheckedChunk {
    const current = this.#epoch;
    const nextEpoch = current === null ? 0 : current.number + 1;
    if (chunk.epoch !== nextEpoch && chunk.epoch !== current?.number) {
      throw epochInvalid(chunk, `expected ${current === null ? '0' : `${current.number} or ${nextEpoch}`}`);
    }
    if (chunk.kind === 'media') {
      if (current === null || chunk.epoch === nextEpoch) {
        throw epochInvalid(chunk, 'an epoch begins with the event epoch-started');
      }
      return this.#checkMedia(chunk, current);
    }
    const event = parseEvent(chunk.payload);
    const startsEpoch = event.type === 'epoch-started';
    if (startsEpoch !== (chunk.epoch === nextEpoch)) {
      throw epochInvalid(chunk, 'the event epoch-started is the first chunk of an epoch, and only that');
    }
    return { event, store: (stored) => this.#storeEvent(chunk, event, stored) };
  }

  #checkMedia(chunk: IndexedChunk, epoch: EpochState): CheckedChunk {
    if (epoch.refusal !== null) throw epoch.refusal;
    try {
      const items = epoch.scanner.push(chunk.payload);
      checkInit(epoch, { payloadBytes: chunk.payload.length, items });
      return { event: null, store: (stored) => this.#storeMedia(chunk, { epoch, items, stored }) };
    } catch (error) {
      epoch.refusal = toCodedError(error);
      throw epoch.refusal;
    }
  }

  #storeEvent(chunk: IndexedChunk, event: RecordingEvent, stored: StoredPayload): ChunkEntry {
    if (event.type === 'epoch-started') {
      this.#epoch = {
        number: chunk.epoch,
        start: event.data,
        scanner: new WebmScanner(),
        streamEnd: 0,
        init: null,
        initParts: [],
        keyPoints: [],
        clusterStart: 0,
        refusal: null,
      };
    }
    if (event.type === 'capture-stalled') this.#isStalled = true;
    else if (event.type === 'capture-resumed' || event.type === 'epoch-started') this.#isStalled = false;
    const streamEnd = this.#epoch?.streamEnd ?? 0;
    const entry = this.#remember(chunk, { streamStart: streamEnd, streamEnd, stored });
    if (this.#epoch !== null) this.#forgetOld(this.#epoch);
    return entry;
  }

  #storeMedia(
    chunk: IndexedChunk,
    found: { epoch: EpochState; items: readonly WebmItem[]; stored: StoredPayload },
  ): ChunkEntry {
    const { epoch, items, stored } = found;
    const streamStart = epoch.streamEnd;
    epoch.streamEnd += chunk.payload.length;
    if (epoch.init === null) epoch.initParts.push(chunk.payload.slice());
    const entry = this.#remember(chunk, { streamStart, streamEnd: epoch.streamEnd, stored });
    for (const item of items) {
      if (item.type === 'init') {
        epoch.init = Buffer.concat(epoch.initParts).subarray(0, item.end);
        epoch.initParts = [];
      }
      if (item.type === 'cluster') epoch.clusterStart = item.start;
      if (item.type === 'keyCluster') this.#rememberKey(epoch, item.start);
    }
    this.#forgetOld(epoch);
    return entry;
  }

  #remember(
    chunk: IndexedChunk,
    place: Pick<ChunkEntry, 'streamStart' | 'streamEnd' | 'stored'>,
  ): ChunkEntry {
    const { sequence, kind, epoch, captureTimeUs } = chunk;
    const entry: ChunkEntry = { sequence, kind, epoch, captureTimeUs, ...place };
    this.#entries.push(entry);
    this.#nextSequence = sequence + 1;
    // A copy: the chain value must not keep the whole chunk in memory.
    this.#chain = chunk.chain.slice();
    return entry;
  }

  #rememberKey(epoch: EpochState, streamStart: number): void {
    const entry = this.#entries.findLast(
      ({ kind, epoch: number, streamStart: start }) =>
        kind === 'media' && number === epoch.number && start <= streamStart,
    );
    if (entry === undefined || streamStart >= entry.streamEnd) return;
    epoch.keyPoints.push({
      epoch: epoch.number,
      streamStart,
      sequence: entry.sequence,
      offset: streamStart - entry.streamStart,
    });
    if (epoch.keyPoints.length > KEPT_KEY_POINTS) epoch.keyPoints.shift();
  }

  /** Keeps what a viewer may still need: from the oldest key point, or from the cluster that may become one. */
  #forgetOld(epoch: EpochState): void {
    const neededFrom = epoch.keyPoints[0]?.streamStart ?? epoch.clusterStart;
    const first = this.#entries.findIndex(
      (entry) => entry.epoch === epoch.number && entry.streamEnd > neededFrom,
    );
    const surplus = this.#entries.length - this.#maxEntries;
    const count = Math.max(first, surplus, 0);
    if (count === 0) return;
    this.#entries.splice(0, count);
    const oldest = this.#entries[0]?.sequence ?? this.#nextSequence;
    epoch.keyPoints = epoch.keyPoints.filter(({ sequence }) => sequence >= oldest);
  }
}

function checkInit(
  { init, streamEnd }: EpochState,
  { payloadBytes, items }: { payloadBytes: number; items: readonly WebmItem[] },
): void {
  if (init !== null || streamEnd + payloadBytes <= MAX_INIT_BYTES) return;
  if (items.some((item) => item.type === 'init' && item.end <= MAX_INIT_BYTES)) return;
  throw new CodedError(
    'WEBM_UNSUPPORTED',
    `The epoch has no cluster within its first ${MAX_INIT_BYTES} bytes.`,
  );
}

function parseEvent(payload: Uint8Array): RecordingEvent {
  let text: string;
  try {
    text = new TextDecoder('utf-8', { fatal: true }).decode(payload);
    return parseMessage(RECORDING_EVENTS, text);
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
