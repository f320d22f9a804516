/** One run of the recorder as far as it has arrived. Puts what the scanner finds into the table of clusters. */
import {
  type CodedError,
  copyBytes,
  type EpochStart,
  type WebmItem,
  WebmScanner,
  type WebmTrack,
} from '@proofcast/shared';
import { NO_BLOCK_TICKS } from './chunk-table.ts';
import type { ClusterTable } from './cluster-table.ts';

/** An init segment is a few hundred bytes; this bounds what is kept in memory of each. */
export const MAX_INIT_BYTES = 1024 * 1024;
/** Without a whole block for so long, there is something else than a recording; above the scanner's largest block. */
export const MAX_TORN_BYTES = 128 * 1024 * 1024;

/** What a player needs to begin. */
export interface OpenEpoch {
  readonly number: number;
  readonly start: EpochStart;
  /** The exact bytes before the first cluster; null until that has begun. */
  readonly init: Uint8Array | null;
}

export class IndexedEpoch implements OpenEpoch {
  readonly number: number;
  readonly start: EpochStart;
  /** Number of the chunk with the event that begins it. */
  readonly firstSequence: number;
  /** Row of its first cluster in the table; the first row of the next epoch when it has none. */
  readonly firstCluster: number;
  /** Why the epoch takes no more media, when its bytes are no webm. */
  refusal: CodedError | null = null;
  #scanner: WebmScanner | null = new WebmScanner();
  #init: Uint8Array | null = null;
  /** The bytes of the epoch as long as the init segment is not complete. */
  #initParts: Uint8Array[] = [];
  #tracks: readonly WebmTrack[] = [];
  #timestampScaleNs = 0;
  #streamEnd = 0;
  #wholeEnd = 0;
  #lastBlockTicks = NO_BLOCK_TICKS;
  #videoBlocks = 0;
  #lastPictureMs: number | null = null;

  constructor(parts: { number: number; start: EpochStart; firstSequence: number; firstCluster: number }) {
    this.number = parts.number;
    this.start = parts.start;
    this.firstSequence = parts.firstSequence;
    this.firstCluster = parts.firstCluster;
  }

  get scanner(): WebmScanner {
    if (this.#scanner === null) throw new Error(`Epoch ${this.number} has ended.`);
    return this.#scanner;
  }

  /** Whether its publisher, or the next epoch, says that no media follows. */
  get isEnded(): boolean {
    return this.#scanner === null;
  }

  get init(): Uint8Array | null {
    return this.#init;
  }

  /** Empty until the init segment is complete. */
  get tracks(): readonly WebmTrack[] {
    return this.#tracks;
  }

  /** Zero until the init segment is complete. */
  get timestampScaleNs(): number {
    return this.#timestampScaleNs;
  }

  /** Bytes of the epoch so far. */
  get streamEnd(): number {
    return this.#streamEnd;
  }

  /** Where the last whole element of a cluster ends; zero when there is none. */
  get wholeEnd(): number {
    return this.#wholeEnd;
  }

  /** Largest time of the blocks of the newest cluster, in ticks from its timestamp, or `NO_BLOCK_TICKS`. */
  get lastBlockTicks(): number {
    return this.#lastBlockTicks;
  }

  get videoBlocks(): number {
    return this.#videoBlocks;
  }

  /** Milliseconds from the epoch's start; null when it has no picture. */
  get lastPictureMs(): number | null {
    return this.#lastPictureMs;
  }

  /** Wall-clock time (publisher's clock, µs since 1970) of `ticks` of this epoch. */
  wallTimeUs(ticks: number): number {
    return this.start.startedAtUs + Math.round((ticks * this.#timestampScaleNs) / 1000);
  }

  /** Takes the bytes of a chunk, in which the scanner has found `items`. */
  addMedia(payload: Uint8Array, items: readonly WebmItem[], clusters: ClusterTable): void {
    this.#streamEnd += payload.length;
    if (this.#init === null) this.#initParts.push(copyBytes(payload));
    for (const item of items) this.#note(item, clusters);
    // The open cluster ends, so far, behind its last whole element.
    for (const owed of this.scanner.finish()) this.#note(owed, clusters);
  }

  /** No media follows. Lets go of the scanner. Idempotent. */
  end(): void {
    this.#scanner = null;
    this.#initParts = [];
  }

  #note(item: WebmItem, clusters: ClusterTable): void {
    switch (item.type) {
      case 'init':
        this.#init = copyBytes(Buffer.concat(this.#initParts).subarray(0, item.end));
        this.#initParts = [];
        this.#tracks = item.tracks;
        this.#timestampScaleNs = item.timestampScaleNs;
        return;
      case 'cluster':
        this.#lastBlockTicks = NO_BLOCK_TICKS;
        clusters.begin({
          epoch: this.number,
          sourceStart: item.start,
          bodyStart: item.timestampEnd,
          timestampTicks: item.timestamp,
        });
        return;
      case 'keyCluster':
        clusters.markKey(this.#toTicks(item.timestampMs));
        return;
      case 'clusterEnd':
        clusters.extend(item.end);
        this.#wholeEnd = item.end;
        return;
      case 'block': {
        const { timestampMs, trackKind, end } = item;
        clusters.addBlock({ end, ticks: this.#toTicks(timestampMs), isVideo: trackKind === 'video' });
        this.#lastBlockTicks = clusters.newestLastBlockTicks;
        this.#wholeEnd = end;
        if (trackKind !== 'video') return;
        this.#videoBlocks += 1;
        this.#lastPictureMs = Math.max(this.#lastPictureMs ?? timestampMs, timestampMs);
      }
    }
  }

  #toTicks(ms: number): number {
    return Math.round((ms * 1e6) / this.#timestampScaleNs);
  }
}
