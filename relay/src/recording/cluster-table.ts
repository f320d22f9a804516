/**
 * The clusters of one recording, in order, 63 bytes each: where they are in the bytes of their epoch, and what times
 * they hold. A cluster is a row as soon as its timestamp is known, and grows with every whole block.
 */
import { NO_BLOCK_TICKS } from './chunk-table.ts';
import { float64, int16, uint32, uint8 } from './column.ts';

/** Offsets are positions in the bytes of the epoch, times are ticks of the epoch's timestamp scale. */
export interface ClusterEntry {
  readonly row: number;
  readonly epoch: number;
  /** Where its header begins. */
  readonly sourceStart: number;
  /** Where its timestamp ends; only blocks and the like follow. */
  readonly bodyStart: number;
  /** Behind its last whole element so far. */
  readonly end: number;
  readonly timestampTicks: number;
  /** Whether its first video block is key; known as soon as the header of that block is. */
  readonly isKey: boolean;
  /** Of whole blocks, except that the first video block of a key cluster is known by its header. Null: none yet. */
  readonly firstVideoTicks: number | null;
  readonly lastVideoTicks: number | null;
  /** The largest time of any block. */
  readonly lastBlockTicks: number | null;
  /** Whole ones. */
  readonly videoBlocks: number;
}

export class ClusterTable {
  readonly #epoch = uint32();
  readonly #sourceStart = float64();
  readonly #bodyStart = float64();
  readonly #end = float64();
  readonly #timestampTicks = float64();
  readonly #isKey = uint8();
  readonly #firstVideoTicks = int16();
  readonly #firstVideoEnd = float64();
  readonly #lastVideoTicks = int16();
  readonly #lastBlockTicks = int16();
  readonly #videoBlocks = uint32();
  readonly #holeStartTicks = int16();
  readonly #holeTicks = uint32();
  #length = 0;

  get length(): number {
    return this.#length;
  }

  get byteLength(): number {
    const columns = [
      this.#epoch,
      this.#sourceStart,
      this.#bodyStart,
      this.#end,
      this.#timestampTicks,
      this.#isKey,
      this.#firstVideoTicks,
      this.#firstVideoEnd,
      this.#lastVideoTicks,
      this.#lastBlockTicks,
      this.#videoBlocks,
      this.#holeStartTicks,
      this.#holeTicks,
    ];
    return columns.reduce((sum, column) => sum + column.byteLength, 0);
  }

  begin(cluster: { epoch: number; sourceStart: number; bodyStart: number; timestampTicks: number }): void {
    const row = this.#length;
    this.#epoch.set(row, cluster.epoch);
    this.#sourceStart.set(row, cluster.sourceStart);
    this.#bodyStart.set(row, cluster.bodyStart);
    this.#end.set(row, cluster.bodyStart);
    this.#timestampTicks.set(row, cluster.timestampTicks);
    this.#isKey.set(row, 0);
    this.#firstVideoTicks.set(row, NO_BLOCK_TICKS);
    this.#firstVideoEnd.set(row, Number.POSITIVE_INFINITY);
    this.#lastVideoTicks.set(row, NO_BLOCK_TICKS);
    this.#lastBlockTicks.set(row, NO_BLOCK_TICKS);
    this.#videoBlocks.set(row, 0);
    this.#holeStartTicks.set(row, 0);
    this.#holeTicks.set(row, 0);
    this.#length += 1;
  }

  /** Largest time of the blocks of the newest cluster, in ticks from its timestamp, or `NO_BLOCK_TICKS`. */
  get newestLastBlockTicks(): number {
    return this.#lastBlockTicks.get(this.#length - 1);
  }

  /** The newest cluster begins with a key picture at this time. */
  markKey(ticks: number): void {
    const row = this.#length - 1;
    this.#isKey.set(row, 1);
    this.#firstVideoTicks.set(row, ticks - this.timestampTicks(row));
  }

  /** A block of the newest cluster is whole. */
  addBlock({ end, ticks, isVideo }: { end: number; ticks: number; isVideo: boolean }): void {
    const row = this.#length - 1;
    const relative = ticks - this.timestampTicks(row);
    this.#end.set(row, end);
    this.#lastBlockTicks.set(row, Math.max(this.#lastBlockTicks.get(row), relative));
    if (!isVideo) return;
    if (this.#videoBlocks.get(row) === 0) {
      this.#firstVideoTicks.set(row, relative);
      this.#firstVideoEnd.set(row, end);
    } else this.#noteHole(row, relative);
    this.#lastVideoTicks.set(row, Math.max(this.#lastVideoTicks.get(row), relative));
    this.#videoBlocks.set(row, this.#videoBlocks.get(row) + 1);
  }

  /** The newest cluster holds whole elements up to here. */
  extend(end: number): void {
    this.#end.set(this.#length - 1, end);
  }

  /** Null when there is no such row. */
  entry(row: number): ClusterEntry | null {
    if (row < 0 || row >= this.#length) return null;
    return {
      row,
      epoch: this.epoch(row),
      sourceStart: this.sourceStart(row),
      bodyStart: this.bodyStart(row),
      end: this.end(row),
      timestampTicks: this.timestampTicks(row),
      isKey: this.isKey(row),
      firstVideoTicks: this.#absolute(row, this.#firstVideoTicks.get(row)),
      lastVideoTicks: this.#absolute(row, this.#lastVideoTicks.get(row)),
      lastBlockTicks: this.lastBlockTicks(row),
      videoBlocks: this.videoBlocks(row),
    };
  }

  epoch(row: number): number {
    return this.#epoch.get(row);
  }

  sourceStart(row: number): number {
    return this.#sourceStart.get(row);
  }

  bodyStart(row: number): number {
    return this.#bodyStart.get(row);
  }

  end(row: number): number {
    return this.#end.get(row);
  }

  timestampTicks(row: number): number {
    return this.#timestampTicks.get(row);
  }

  isKey(row: number): boolean {
    return this.#isKey.get(row) === 1;
  }

  /** Time of the first video block; only of a cluster that has one. */
  firstVideoTicks(row: number): number {
    return this.timestampTicks(row) + this.#firstVideoTicks.get(row);
  }

  /** Where the first video block ends; infinite as long as it is not whole. */
  firstVideoEnd(row: number): number {
    return this.#firstVideoEnd.get(row);
  }

  lastBlockTicks(row: number): number | null {
    return this.#absolute(row, this.#lastBlockTicks.get(row));
  }

  videoBlocks(row: number): number {
    return this.#videoBlocks.get(row);
  }

  /** The longest time between two pictures, from the first to the second; null when it has fewer than two. */
  longestHole(row: number): { readonly fromTicks: number; readonly toTicks: number } | null {
    const lengthTicks = this.#holeTicks.get(row);
    if (lengthTicks === 0) return null;
    const fromTicks = this.timestampTicks(row) + this.#holeStartTicks.get(row);
    return { fromTicks, toTicks: fromTicks + lengthTicks };
  }

  /** The row of the cluster that begins at `sourceStart` of `epoch`, or of the first one behind that place. */
  find(epoch: number, sourceStart: number): number {
    let low = 0;
    let high = this.#length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      const number = this.#epoch.get(middle);
      const isBefore = number < epoch || (number === epoch && this.#sourceStart.get(middle) < sourceStart);
      if (isBefore) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  #noteHole(row: number, relativeTicks: number): void {
    const before = this.#lastVideoTicks.get(row);
    if (relativeTicks - before <= this.#holeTicks.get(row)) return;
    this.#holeStartTicks.set(row, before);
    this.#holeTicks.set(row, relativeTicks - before);
  }

  #absolute(row: number, relativeTicks: number): number | null {
    return relativeTicks === NO_BLOCK_TICKS ? null : this.timestampTicks(row) + relativeTicks;
  }
}
