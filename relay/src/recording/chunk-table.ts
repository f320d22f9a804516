/**
 * The chunks of one recording, 50 bytes each: what they are, which bytes of their epoch they hold, and where these
 * are in the journal.
 */
import type { ChunkKind } from '@proofcast/shared';
import type { StoredPayload } from '../journal/journal-tail.ts';
import { float64, int16, uint32, uint8 } from './column.ts';

/** One chunk, and which bytes of its epoch it holds. An event holds none. */
export interface ChunkEntry {
  readonly sequence: number;
  readonly kind: ChunkKind;
  readonly epoch: number;
  readonly captureTimeUs: number;
  readonly receivedAtUs: number;
  readonly streamStart: number;
  readonly streamEnd: number;
  readonly stored: StoredPayload;
}

export interface NewChunk {
  readonly kind: ChunkKind;
  readonly epoch: number;
  readonly captureTimeUs: number;
  readonly receivedAtUs: number;
  readonly payloadBytes: number;
  readonly streamStart: number;
  /** How many of the epoch's bytes so far stand behind the last whole element of a cluster. */
  readonly tornBytes: number;
  /** Largest time of the blocks of the newest cluster so far, in ticks from its timestamp, or `NO_BLOCK_TICKS`. */
  readonly lastBlockTicks: number;
  readonly stored: StoredPayload;
}

/** Stands for no block; a relative time has 16 bits with a sign, and no recorder goes back as far as this. */
export const NO_BLOCK_TICKS = -32_768;

const MEDIA = 1;

export class ChunkTable {
  readonly #kind = uint8();
  readonly #epoch = uint32();
  readonly #captureTimeUs = float64();
  readonly #receivedAtUs = float64();
  readonly #streamStart = float64();
  readonly #payloadBytes = uint32();
  readonly #tornBytes = uint32();
  readonly #lastBlockTicks = int16();
  readonly #segment = uint32();
  readonly #start = float64();
  #length = 0;
  /** Places that the journal may still move: those of the newest chunks, without a hole. */
  #unsettled: StoredPayload[] = [];

  /** How many there are; the newest is one less. */
  get length(): number {
    return this.#length;
  }

  get byteLength(): number {
    const columns = [
      this.#kind,
      this.#epoch,
      this.#captureTimeUs,
      this.#receivedAtUs,
      this.#streamStart,
      this.#payloadBytes,
      this.#tornBytes,
      this.#lastBlockTicks,
      this.#segment,
      this.#start,
    ];
    return columns.reduce((sum, column) => sum + column.byteLength, 0);
  }

  append(chunk: NewChunk): ChunkEntry {
    this.#settle();
    const sequence = this.#length;
    this.#kind.set(sequence, chunk.kind === 'media' ? MEDIA : 0);
    this.#epoch.set(sequence, chunk.epoch);
    this.#captureTimeUs.set(sequence, chunk.captureTimeUs);
    this.#receivedAtUs.set(sequence, chunk.receivedAtUs);
    this.#streamStart.set(sequence, chunk.streamStart);
    this.#payloadBytes.set(sequence, chunk.payloadBytes);
    this.#tornBytes.set(sequence, chunk.tornBytes);
    this.#lastBlockTicks.set(sequence, chunk.lastBlockTicks);
    this.#length += 1;
    this.#unsettled.push(chunk.stored);
    const { kind, epoch, captureTimeUs, receivedAtUs, streamStart, stored } = chunk;
    const streamEnd = streamStart + (kind === 'media' ? chunk.payloadBytes : 0);
    return { sequence, kind, epoch, captureTimeUs, receivedAtUs, streamStart, streamEnd, stored };
  }

  /** Null when there is no such chunk yet. */
  entry(sequence: number): ChunkEntry | null {
    if (sequence < 0 || sequence >= this.#length) return null;
    return {
      sequence,
      kind: this.kind(sequence),
      epoch: this.epoch(sequence),
      captureTimeUs: this.captureTimeUs(sequence),
      receivedAtUs: this.receivedAtUs(sequence),
      streamStart: this.streamStart(sequence),
      streamEnd: this.streamEnd(sequence),
      stored: this.stored(sequence),
    };
  }

  kind(sequence: number): ChunkKind {
    return this.#kind.get(sequence) === MEDIA ? 'media' : 'event';
  }

  epoch(sequence: number): number {
    return this.#epoch.get(sequence);
  }

  captureTimeUs(sequence: number): number {
    return this.#captureTimeUs.get(sequence);
  }

  receivedAtUs(sequence: number): number {
    return this.#receivedAtUs.get(sequence);
  }

  payloadBytes(sequence: number): number {
    return this.#payloadBytes.get(sequence);
  }

  /** Which byte of its epoch the chunk begins with, or is before, if it is an event. */
  streamStart(sequence: number): number {
    return this.#streamStart.get(sequence);
  }

  streamEnd(sequence: number): number {
    const start = this.#streamStart.get(sequence);
    return this.kind(sequence) === 'media' ? start + this.#payloadBytes.get(sequence) : start;
  }

  /** Where the last whole element of a cluster ended when this chunk was the newest. */
  wholeEnd(sequence: number): number {
    return this.streamEnd(sequence) - this.#tornBytes.get(sequence);
  }

  /** Of the cluster that was the newest when this chunk was; see `NewChunk`. */
  lastBlockTicks(sequence: number): number {
    return this.#lastBlockTicks.get(sequence);
  }

  /** Where the payload is. The journal may move what is not durable, so the answer is not to be kept. */
  stored(sequence: number): StoredPayload {
    const unsettled = this.#unsettled[sequence - (this.#length - this.#unsettled.length)];
    if (unsettled !== undefined) return unsettled;
    const segment = this.#segment.get(sequence);
    const start = this.#start.get(sequence);
    const byteLength = this.#payloadBytes.get(sequence);
    return { isDurable: true, place: { kind: 'file', segment, start, byteLength } };
  }

  /** Number of the chunk that holds byte `offset` of `epoch`; null when it has not arrived. */
  find(epoch: number, offset: number): number | null {
    // Epochs and, within them, offsets only grow: the last chunk that begins no later holds the byte or none does.
    let low = 0;
    let high = this.#length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      const number = this.#epoch.get(middle);
      const isLater = number > epoch || (number === epoch && this.#streamStart.get(middle) > offset);
      if (isLater) high = middle;
      else low = middle + 1;
    }
    const sequence = low - 1;
    return sequence >= 0 && this.epoch(sequence) === epoch && offset < this.streamEnd(sequence)
      ? sequence
      : null;
  }

  /** Writes down the places that are final, oldest first. */
  #settle(): void {
    const first = this.#length - this.#unsettled.length;
    let count = 0;
    for (; this.#unsettled[count]?.isDurable === true; count++) {
      const place = this.#unsettled[count]?.place;
      if (place?.kind !== 'file') break;
      this.#segment.set(first + count, place.segment);
      this.#start.set(first + count, place.start);
    }
    if (count > 0) this.#unsettled.splice(0, count);
  }
}
