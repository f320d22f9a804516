/** Where a player can begin: the clusters of a recording whose first video block is key, by place and by time. */
import type { RecordingIndex } from './recording-index.ts';

export interface KeyPoint {
  readonly epoch: number;
  /** Where the cluster begins in the epoch's bytes. */
  readonly streamStart: number;
  /** The chunk in which it begins. */
  readonly sequence: number;
  /** Bytes of that chunk which come before it. */
  readonly offset: number;
  /** Wall clock of its first picture (publisher's clock, µs since 1970). */
  readonly timeUs: number;
}

export class KeyPoints {
  readonly #index: Pick<RecordingIndex, 'chunks' | 'clusters' | 'epochs' | 'epoch'>;

  constructor(index: Pick<RecordingIndex, 'chunks' | 'clusters' | 'epochs' | 'epoch'>) {
    this.#index = index;
  }

  newest(): KeyPoint | null {
    const { clusters, epoch } = this.#index;
    const row = this.#keyBefore(clusters.length, epoch?.firstCluster);
    return row === null ? null : this.#point(row);
  }

  /** Not by halving: the clock of a later epoch may be behind that of an earlier one. */
  at(timeUs: number): KeyPoint | null {
    let first: number | null = null;
    for (let row = this.#keyBefore(this.#index.clusters.length); row !== null; row = this.#keyBefore(row)) {
      if (this.#timeUs(row) <= timeUs) return this.#point(row);
      first = row;
    }
    return first === null ? null : this.#point(first);
  }

  next(after: KeyPoint): KeyPoint | null {
    const { clusters } = this.#index;
    for (let row = clusters.find(after.epoch, after.streamStart + 1); row < clusters.length; row++) {
      if (clusters.isKey(row)) return this.#point(row);
    }
    return null;
  }

  #keyBefore(end: number, first = 0): number | null {
    for (let row = end - 1; row >= first; row--) if (this.#index.clusters.isKey(row)) return row;
    return null;
  }

  #point(row: number): KeyPoint | null {
    const { chunks, clusters } = this.#index;
    const epoch = clusters.epoch(row);
    const streamStart = clusters.sourceStart(row);
    const sequence = chunks.find(epoch, streamStart);
    if (sequence === null) return null;
    const offset = streamStart - chunks.streamStart(sequence);
    return { epoch, streamStart, sequence, offset, timeUs: this.#timeUs(row) };
  }

  #timeUs(row: number): number {
    const { clusters, epochs } = this.#index;
    return epochs[clusters.epoch(row)]?.wallTimeUs(clusters.firstVideoTicks(row)) ?? 0;
  }
}
