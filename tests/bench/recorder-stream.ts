/**
 * What a recorder of 30 pictures a second delivers, at any bit rate and for any length, made of two real pictures: the
 * bytes are webm as Chromium writes it (clusters of unknown size, each begun by a key picture every two seconds), they
 * decode, and cost next to nothing to make.
 */
import { WebmScanner, type WebmBlock, type WebmItem } from '@proofcast/shared';
import { concat, element, idBytes, unknownSize } from '@proofcast/shared/testing/webm-bytes';
import { loadWebmClip } from '@proofcast/shared/testing/webm-clip';

const FRAMES_PER_CLUSTER = 60;
export const CLUSTER_MS = 2000;
const CLUSTER_ID = 0x1f43b675;
const TIMESTAMP_ID = 0xe7;
const SIMPLE_BLOCK_ID = 0xa3;
/** A block's track number, timestamp and flags. */
const BLOCK_HEAD_BYTES = 4;
const FLAG_KEY = 0x80;

export class RecorderStream {
  readonly #init: Uint8Array;
  /** Each picture of a cluster as an element; the first one is key. */
  readonly #blocks: readonly Uint8Array[];
  #frames = 0;
  #endMs = 0;

  constructor({ bitsPerSecond }: { bitsPerSecond: number }) {
    const { bytes } = loadWebmClip('vp8');
    const items = new WebmScanner().push(bytes);
    this.#init = bytes.subarray(0, find(items, (item) => item.type === 'init').end);
    const key = pictureOf(
      bytes,
      find(
        items,
        isBlock((block) => block.isKeyframe),
      ),
    );
    const other = pictureOf(
      bytes,
      find(
        items,
        isBlock((block) => !block.isKeyframe),
      ),
    );
    const frameBytes = Math.round((bitsPerSecond / 8) * (CLUSTER_MS / 1000 / FRAMES_PER_CLUSTER));
    this.#blocks = Array.from({ length: FRAMES_PER_CLUSTER }, (_, index) =>
      makeBlock(index === 0 ? key : other, { index, byteLength: frameBytes }),
    );
  }

  /** The next slice: as many whole pictures as fall into `durationMs`. */
  take(durationMs: number): Uint8Array {
    const parts: Uint8Array[] = this.#frames === 0 ? [this.#init] : [];
    this.#endMs += durationMs;
    const until = Math.floor((this.#endMs / CLUSTER_MS) * FRAMES_PER_CLUSTER);
    for (; this.#frames < until; this.#frames++) {
      const index = this.#frames % FRAMES_PER_CLUSTER;
      if (index === 0) parts.push(clusterHeader((this.#frames / FRAMES_PER_CLUSTER) * CLUSTER_MS));
      parts.push(this.#blocks[index]!);
    }
    return concat(...parts);
  }
}

function pictureOf(bytes: Uint8Array, block: WebmBlock): Uint8Array {
  const whole = bytes.subarray(block.start, block.end);
  // A SimpleBlock: one byte of id, then its size, whose first byte tells how many there are (RFC 8794, 4).
  return whole.subarray(1 + Math.clz32(whole[1]!) - 23 + BLOCK_HEAD_BYTES);
}

/** Zeros behind a VP8 picture belong to no partition that a decoder reads (RFC 6386, 9.5). */
function makeBlock(
  picture: Uint8Array,
  { index, byteLength }: { index: number; byteLength: number },
): Uint8Array {
  const relativeMs = Math.round((index * CLUSTER_MS) / FRAMES_PER_CLUSTER);
  const head = [0x81, relativeMs >> 8, relativeMs & 0xff, index === 0 ? FLAG_KEY : 0];
  const padding = new Uint8Array(Math.max(0, byteLength - picture.length - BLOCK_HEAD_BYTES));
  return element(SIMPLE_BLOCK_ID, head, picture, padding);
}

function clusterHeader(timestampMs: number): Uint8Array {
  const bytes = new Uint8Array(8);
  new DataView(bytes.buffer).setBigUint64(0, BigInt(timestampMs));
  return concat(idBytes(CLUSTER_ID), unknownSize(), element(TIMESTAMP_ID, bytes));
}

function find<T extends WebmItem>(items: readonly WebmItem[], isWanted: (item: WebmItem) => item is T): T {
  const found = items.find(isWanted);
  if (found === undefined) throw new Error('The clip has no such item.');
  return found;
}

function isBlock(isWanted: (block: WebmBlock) => boolean): (item: WebmItem) => item is WebmBlock {
  return (item): item is WebmBlock => item.type === 'block' && isWanted(item);
}
