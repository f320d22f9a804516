/**
 * A webm file that does not exist: its head is computed from the index, its blocks are in the journal. Every range of
 * it can be read at once, and a file that is written from it has the same bytes. Numbered rules: docs/journal.md,
 * section R.
 */
import {
  CLUSTER_HEADER_BYTES,
  encodeClusterHeader,
  encodeFileHead,
  tracksElement,
  type WebmCues,
} from '@proofcast/shared';
import { float64, uint32 } from './column.ts';
import { shiftTicksAt, type EpochPlan, type PartPlan } from './parts.ts';
import type { ClusterTable } from './cluster-table.ts';
import type { RecordingIndex } from './recording-index.ts';
import { epochPieces, readBatches, readPieces, type Piece, type ReadBytes } from './rope-reader.ts';

/** To be counted up when the same chunks make other bytes than before, so that no player mixes both. */
const LAYOUT_VERSION = 2;

/** Where a cluster's blocks are: `[bodyStart, bodyEnd)` of the epoch's bytes, and from `fileOffset` on in the file. */
export interface RopeCluster {
  /** Where its header begins in the epoch's bytes. */
  readonly sourceStart: number;
  readonly bodyStart: number;
  readonly bodyEnd: number;
  readonly fileOffset: number;
}

export interface Rope {
  readonly plan: PartPlan;
  readonly sizeBytes: number;
  readonly durationMs: number;
  /** A strong entity tag, quotes included (RFC 9110, section 8.8.3). */
  readonly etag: string;
  /**
   * The bytes `[start, end)`, in pieces of any size. What is read stays valid while it is used and is not to be
   * written to. Throws `STORAGE_FAILED`, also when the journal was closed meanwhile.
   */
  read(start: number, end: number): AsyncGenerator<Uint8Array>;
  /** All of it, in large batches, read into the buffers of `ring`; see `readBatches`. Throws as `read` does. */
  readAll(ring: readonly Uint8Array[]): AsyncGenerator<readonly Uint8Array[]>;
  /** The clusters of one of its epochs, in order. */
  clusters(epoch: EpochPlan): Generator<RopeCluster>;
}

/** The strong entity tag of a part of the first `chunkCount` chunks, of the rope and of a file written from it. */
export function ropeEtag(
  recordingId: string,
  { part, chunkCount }: { part: number; chunkCount: number },
): string {
  return `"${LAYOUT_VERSION}-${recordingId}-${part}-${chunkCount}"`;
}

/** Reads nothing yet, and takes a few milliseconds for hours of recording. */
export function openRope(options: {
  recordingId: string;
  plan: PartPlan;
  index: RecordingIndex;
  readBytes: ReadBytes;
}): Rope {
  return new JournalRope(options);
}

/** The size that the rope has. For whoever wants to know it of many parts and reads none. */
export function ropeSize({ plan, index }: { plan: PartPlan; index: RecordingIndex }): number {
  const layout = new Layout(plan, index.clusters);
  return encodeHead({ plan, index, layout }).length + layout.clusterBytes;
}

class JournalRope implements Rope {
  readonly plan: PartPlan;
  readonly sizeBytes: number;
  readonly etag: string;
  readonly #index: RecordingIndex;
  readonly #readBytes: ReadBytes;
  readonly #head: Uint8Array;
  /** One row for each cluster of the part. */
  readonly #layout: Layout;

  constructor(options: Parameters<typeof openRope>[0]) {
    const { recordingId, plan, index, readBytes } = options;
    this.plan = plan;
    this.etag = ropeEtag(recordingId, plan);
    this.#index = index;
    this.#readBytes = readBytes;
    this.#layout = new Layout(plan, index.clusters);
    this.#head = encodeHead({ plan, index, layout: this.#layout });
    this.sizeBytes = this.#head.length + this.#layout.clusterBytes;
  }

  get durationMs(): number {
    return this.plan.durationMs;
  }

  read(start: number, end: number): AsyncGenerator<Uint8Array> {
    if (start < 0 || start > end || end > this.sizeBytes) {
      throw new RangeError(`Cannot read bytes ${start} to ${end} of ${this.sizeBytes}.`);
    }
    return readPieces(this.#pieces(start, end), this.#readBytes);
  }

  readAll(ring: readonly Uint8Array[]): AsyncGenerator<readonly Uint8Array[]> {
    return readBatches(this.#pieces(0, this.sizeBytes), this.#readBytes, ring);
  }

  *clusters(epoch: EpochPlan): Generator<RopeCluster> {
    const { clusters } = this.#index;
    for (let row = epoch.firstRow; row < epoch.endRow; row++) {
      const n = this.#layout.numberOf(epoch, row);
      yield {
        sourceStart: clusters.sourceStart(row),
        bodyStart: clusters.bodyStart(row),
        bodyEnd: bodyEnd(clusters, epoch, row),
        fileOffset: this.#head.length + this.#layout.position(n) + CLUSTER_HEADER_BYTES,
      };
    }
  }

  *#pieces(start: number, end: number): Generator<Piece> {
    const headBytes = this.#head.length;
    if (start < headBytes && start < end) {
      yield { kind: 'bytes', bytes: this.#head.subarray(start, Math.min(end, headBytes)) };
    }
    let position = Math.max(start, headBytes);
    for (let n = this.#layout.find(position - headBytes); position < end; n++) {
      for (const piece of this.#clusterPieces(n, { from: position, to: end })) {
        yield piece;
        position += piece.kind === 'bytes' ? piece.bytes.length : piece.byteLength;
      }
    }
  }

  /** What of the n-th cluster lies between these bytes of the file. */
  *#clusterPieces(n: number, { from, to }: { from: number; to: number }): Generator<Piece> {
    const { clusters, chunks } = this.#index;
    const { epoch, row } = this.#layout.source(n);
    const start = this.#head.length + this.#layout.position(n);
    const bodyStart = clusters.bodyStart(row);
    const bodyBytes = bodyEnd(clusters, epoch, row) - bodyStart;
    const bodyOffset = start + CLUSTER_HEADER_BYTES;
    if (from < bodyOffset) {
      const header = encodeClusterHeader(clusters.timestampTicks(row) + shiftTicksAt(epoch, row), bodyBytes);
      yield { kind: 'bytes', bytes: header.subarray(from - start, to - start) };
    }
    const begin = Math.max(from - bodyOffset, 0);
    const length = Math.min(to - bodyOffset, bodyBytes);
    if (begin < length) {
      yield* epochPieces(chunks, {
        epoch: epoch.number,
        start: bodyStart + begin,
        end: bodyStart + length,
      });
    }
  }
}

/** Where the clusters of a part are in its file, counted from the beginning of the first one. */
class Layout {
  readonly #epochs: readonly EpochPlan[];
  /** Number of the first cluster of each epoch. */
  readonly #firstNumbers: number[] = [];
  readonly #positions: Float64Array;
  readonly clusterBytes: number;

  constructor({ epochs }: PartPlan, clusters: ClusterTable) {
    this.#epochs = epochs;
    let count = 0;
    for (const { firstRow, endRow } of epochs) {
      this.#firstNumbers.push(count);
      count += endRow - firstRow;
    }
    this.#positions = new Float64Array(count);
    let position = 0;
    let n = 0;
    for (const epoch of epochs) {
      for (let row = epoch.firstRow; row < epoch.endRow; row++) {
        this.#positions[n] = position;
        position += CLUSTER_HEADER_BYTES + bodyEnd(clusters, epoch, row) - clusters.bodyStart(row);
        n += 1;
      }
    }
    this.clusterBytes = position;
  }

  position(n: number): number {
    return this.#positions[n] ?? this.clusterBytes;
  }

  numberOf(epoch: EpochPlan, row: number): number {
    const at = this.#epochs.indexOf(epoch);
    return (this.#firstNumbers[at] ?? 0) + row - epoch.firstRow;
  }

  /** Which row of the table of clusters the n-th one is. */
  source(n: number): { epoch: EpochPlan; row: number } {
    const at = this.#firstNumbers.findLastIndex((first) => first <= n);
    const epoch = this.#epochs[at];
    if (epoch === undefined) throw new Error(`The part has no cluster ${n}.`);
    return { epoch, row: epoch.firstRow + n - (this.#firstNumbers[at] ?? 0) };
  }

  /** Number of the cluster that holds byte `offset`. */
  find(offset: number): number {
    let low = 0;
    let high = this.#positions.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (this.position(middle) <= offset) low = middle + 1;
      else high = middle;
    }
    return low - 1;
  }
}

function encodeHead(parts: { plan: PartPlan; index: RecordingIndex; layout: Layout }): Uint8Array {
  const { plan, index, layout } = parts;
  const init = index.epochs[plan.epochs[0]?.number ?? 0]?.init;
  if (!init) throw new Error('An epoch with a picture has an init segment.');
  return encodeFileHead({
    timestampScaleNs: plan.timestampScaleNs,
    durationTicks: plan.durationTicks,
    startsAtUs: plan.startsAtUs,
    tracks: tracksElement(init),
    cueTrack: plan.tracks.find(({ kind }) => kind === 'video')?.number ?? 1,
    cues: cuesOf(parts),
    clusterBytes: layout.clusterBytes,
  });
}

function cuesOf({
  plan,
  index,
  layout,
}: {
  plan: PartPlan;
  index: RecordingIndex;
  layout: Layout;
}): WebmCues {
  const { clusters } = index;
  const numbers = uint32();
  const times = float64();
  let count = 0;
  for (const epoch of plan.epochs) {
    for (let row = epoch.firstRow; row < epoch.endRow; row++) {
      if (!clusters.isKey(row) || clusters.firstVideoEnd(row) > epoch.wholeEnd) continue;
      numbers.set(count, layout.numberOf(epoch, row));
      // A block may be before its cluster; a time before zero cannot be written, and zero finds it too.
      times.set(count, Math.max(0, clusters.firstVideoTicks(row) + shiftTicksAt(epoch, row)));
      count += 1;
    }
  }
  return { count, ticks: (n) => times.get(n), position: (n) => layout.position(numbers.get(n)) };
}

function bodyEnd(clusters: ClusterTable, epoch: EpochPlan, row: number): number {
  return Math.min(clusters.end(row), epoch.wholeEnd);
}
