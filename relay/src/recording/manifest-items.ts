/**
 * Turns the chunks of a journal into the items of a manifest. Pure. Knows for each epoch which of its bytes a media file
 * has, and where; all others become items of their own.
 */
import { MAX_OWN_BYTES, type ManifestItem } from '@proofcast/shared';
import type { JournalRecord } from '../journal/record.ts';
import type { Rope, RopeCluster } from './rope.ts';

/** Bytes of an epoch that stand, as they were, in a media file. */
export interface FileExtent {
  /** Position in the bytes of the epoch. */
  readonly streamStart: number;
  readonly byteLength: number;
  /** Position in the file. */
  readonly fileOffset: number;
}

/** Where the bytes of an epoch went. */
export interface EpochLayout {
  readonly number: number;
  /** Which of the media files. */
  readonly part: number;
  /** The file's time at the epoch's timestamp zero. */
  readonly fileStartMs: number;
  /** Ascending in the epoch and in the file; none overlaps another. */
  readonly extents: Iterable<FileExtent>;
}

/** Where the clusters of all files went. */
export function layoutOf(ropes: readonly Pick<Rope, 'plan' | 'clusters'>[]): EpochLayout[] {
  return ropes.flatMap((rope) =>
    rope.plan.epochs.map((epoch) => ({
      number: epoch.number,
      part: rope.plan.part,
      fileStartMs: epoch.shiftMs,
      extents: extentsOf(rope.clusters(epoch)),
    })),
  );
}

function* extentsOf(clusters: Iterable<RopeCluster>): Generator<FileExtent> {
  for (const { bodyStart, bodyEnd, fileOffset } of clusters) {
    yield { streamStart: bodyStart, byteLength: bodyEnd - bodyStart, fileOffset };
  }
}

export type HashedChunk = JournalRecord & { readonly kind: 'media' | 'event'; readonly sha256: Uint8Array };

export class ManifestItems {
  readonly #layouts: ReadonlyMap<number, EpochLayout>;
  #epoch: number | null = null;
  /** Bytes of the epoch that have come. */
  #position = 0;
  #extents: Iterator<FileExtent> = [].values();
  #extent: FileExtent | null = null;

  constructor(layouts: readonly EpochLayout[]) {
    this.#layouts = new Map(layouts.map((layout) => [layout.number, layout]));
  }

  /** The items of the next chunk; it stands last. Throws when the layout is not one of the chunks that come. */
  *take(chunk: HashedChunk): Generator<ManifestItem> {
    if (chunk.epoch !== this.#epoch) yield this.#beginEpoch(chunk.epoch);
    const { kind: type, captureTimeUs, receivedAtUs, sha256, signature, payload } = chunk;
    const facts = { captureTimeUs, receivedAtUs, sha256, signature };
    if (type === 'event') yield { ...facts, type, payload };
    else {
      yield* this.#takeBytes(payload);
      yield { ...facts, type, payloadBytes: payload.length };
    }
  }

  /** No chunk follows. Throws as `take` does. */
  finish(): void {
    if (this.#extent === null) return;
    throw new Error(`Epoch ${this.#epoch} ends at byte ${this.#position}: a file has more of it.`);
  }

  #beginEpoch(number: number): ManifestItem {
    this.finish();
    const layout = this.#layouts.get(number);
    this.#epoch = number;
    this.#position = 0;
    this.#extents = (layout?.extents ?? [])[Symbol.iterator]();
    this.#nextExtent();
    return { type: 'epoch', number, part: layout?.part ?? null, fileStartMs: layout?.fileStartMs ?? null };
  }

  *#takeBytes(payload: Uint8Array): Generator<ManifestItem> {
    const start = this.#position;
    const end = start + payload.length;
    while (this.#position < end) {
      const extent = this.#extent;
      const ownEnd = Math.min(end, extent?.streamStart ?? end);
      for (; this.#position < ownEnd; this.#position = Math.min(ownEnd, this.#position + MAX_OWN_BYTES)) {
        const from = this.#position - start;
        yield { type: 'own', bytes: payload.subarray(from, Math.min(from + MAX_OWN_BYTES, ownEnd - start)) };
      }
      if (extent === null || this.#position === end) continue;
      const { streamStart, byteLength, fileOffset } = extent;
      if (this.#position === streamStart) yield { type: 'file', offset: fileOffset, length: byteLength };
      this.#position = Math.min(end, streamStart + byteLength);
      if (this.#position === streamStart + byteLength) this.#nextExtent();
    }
  }

  #nextExtent(): void {
    let next = this.#extents.next();
    while (next.done !== true && next.value.byteLength === 0) next = this.#extents.next();
    this.#extent = next.done === true ? null : next.value;
    if (this.#extent !== null && this.#extent.streamStart < this.#position) {
      throw new Error(`An extent of epoch ${this.#epoch} begins before byte ${this.#position}.`);
    }
  }
}
