// The header that a SimpleBlock's and a Block's data begin with (RFC 9559, sections 10.1 and 10.2).

import type { CodedError } from '../errors.ts';
import { invalid, readVint, unsupported, vintLength } from './ebml.ts';

const TIMESTAMP_AND_FLAGS_BYTES = 3;
const KEYFRAME_FLAG = 0x80;
const INVISIBLE_FLAG = 0x08;
const LACING_FLAGS = 0x06;
const DISCARDABLE_FLAG = 0x01;

/** With the shortest track number. */
export const MIN_BLOCK_HEADER_BYTES = 1 + TIMESTAMP_AND_FLAGS_BYTES;

/** `isKeyframe` and `isDiscardable` are bits of a SimpleBlock only; in a Block they are reserved. */
export interface BlockHeader {
  trackNumber: number;
  /** Signed, in ticks, from the cluster's timestamp. */
  relativeTimestamp: number;
  isKeyframe: boolean;
  isInvisible: boolean;
  isDiscardable: boolean;
}

/** Length of the block header that `bytes` begins with. `offset` is only for the error. */
export function blockHeaderLength(bytes: Uint8Array, offset: number): number {
  const trackNumberLength = vintLength(bytes[0] ?? 0);
  if (trackNumberLength > 8) throw noTrackNumber(offset);
  return trackNumberLength + TIMESTAMP_AND_FLAGS_BYTES;
}

/**
 * Reads the block header that `bytes` begins with, which must hold all of it. Laced blocks are refused: they carry
 * several frames under one time, so no index of them could be right; the recorder never makes them.
 */
export function readBlockHeader(bytes: Uint8Array, offset: number): BlockHeader {
  const trackNumberLength = vintLength(bytes[0] ?? 0);
  const trackNumber = readVint(bytes, 0, trackNumberLength);
  if (trackNumber === null) throw noTrackNumber(offset);
  const [high = 0, low = 0, flags = 0] = bytes.subarray(trackNumberLength);
  if ((flags & LACING_FLAGS) !== 0) {
    throw unsupported(`The block at byte ${offset} is laced: expected one frame per block.`, {
      offset,
      trackNumber,
    });
  }
  return {
    trackNumber,
    relativeTimestamp: ((high << 24) >> 16) | low,
    isKeyframe: (flags & KEYFRAME_FLAG) !== 0,
    isInvisible: (flags & INVISIBLE_FLAG) !== 0,
    isDiscardable: (flags & DISCARDABLE_FLAG) !== 0,
  };
}

function noTrackNumber(offset: number): CodedError {
  return invalid(`The block at byte ${offset} has no valid track number.`, { offset });
}
