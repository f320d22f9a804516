/**
 * Where a spooled recording stands behind a chunk: all that the next chunk follows from. Every segment file begins with
 * it, so that a recording can go on after every chunk of it was confirmed and deleted.
 */
import {
  bytesEqual,
  encodeStartRecord,
  SHA256_BYTES,
  type Chunk,
  type RecordingStart,
} from '@proofcast/shared';
import { hash } from 'node:crypto';

export interface SpoolPosition {
  readonly nextSequence: number;
  /** Of the last chunk; -1 before the first one. */
  readonly epoch: number;
  /** Whether media may follow without a new epoch. */
  readonly isEpochOpen: boolean;
  /** How many of the chunks before are events. */
  readonly eventCount: number;
  /** Publisher's clock at the last chunk; at the start of the recording before the first one. */
  readonly captureTimeUs: number;
  /** Chain value of the last chunk. */
  readonly chain: Uint8Array;
}

/**
 *    0  4 B  magic
 *    4  u32  flags: 1 = an epoch is open
 *    8  u64  next sequence
 *   16  i32  epoch
 *   20  u32  number of events
 *   24  u64  capture time of the last chunk (µs since 1970)
 *   32  32 B chain value
 *   64  32 B SHA-256 of everything before
 */
export const POSITION_BYTES = 96;

const MAGIC = 0xf050_5332;
const FLAG_EPOCH_OPEN = 1;
const CHAIN_OFFSET = 32;
const HASH_OFFSET = CHAIN_OFFSET + SHA256_BYTES;

/** [C1] Where every recording begins. */
export function firstPosition(start: RecordingStart): SpoolPosition {
  return {
    nextSequence: 0,
    epoch: -1,
    isEpochOpen: false,
    eventCount: 0,
    captureTimeUs: start.startedAtUs,
    chain: sha256(encodeStartRecord(start)),
  };
}

/** The position behind `chunk`, which follows `before`. */
export function positionBehind(
  before: SpoolPosition,
  { kind, sequence, epoch, captureTimeUs, chain }: Omit<Chunk, 'payload' | 'sha256' | 'signature'>,
  isEpochOpen: boolean,
): SpoolPosition {
  return {
    nextSequence: sequence + 1,
    epoch,
    isEpochOpen,
    eventCount: before.eventCount + (kind === 'event' ? 1 : 0),
    captureTimeUs,
    // A copy: the chain value must not keep a whole file in memory.
    chain: chain.slice(),
  };
}

export function isSamePosition(a: SpoolPosition, b: SpoolPosition): boolean {
  return (
    a.nextSequence === b.nextSequence &&
    a.epoch === b.epoch &&
    a.isEpochOpen === b.isEpochOpen &&
    bytesEqual(a.chain, b.chain)
  );
}

export function encodePosition(position: SpoolPosition): Uint8Array {
  const { nextSequence, epoch, isEpochOpen, eventCount, captureTimeUs, chain } = position;
  const bytes = new Uint8Array(POSITION_BYTES);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, MAGIC);
  view.setUint32(4, isEpochOpen ? FLAG_EPOCH_OPEN : 0);
  view.setBigUint64(8, BigInt(nextSequence));
  view.setInt32(16, epoch);
  view.setUint32(20, eventCount);
  view.setBigUint64(24, BigInt(captureTimeUs));
  bytes.set(chain, CHAIN_OFFSET);
  bytes.set(sha256(bytes.subarray(0, HASH_OFFSET)), HASH_OFFSET);
  return bytes;
}

/** Null when the bytes are none, for instance because a crash tore them. */
export function decodePosition(bytes: Uint8Array): SpoolPosition | null {
  if (bytes.length < POSITION_BYTES) return null;
  const view = new DataView(bytes.buffer, bytes.byteOffset, POSITION_BYTES);
  const isWhole =
    view.getUint32(0) === MAGIC &&
    bytesEqual(sha256(bytes.subarray(0, HASH_OFFSET)), bytes.subarray(HASH_OFFSET, POSITION_BYTES));
  if (!isWhole) return null;
  return {
    nextSequence: Number(view.getBigUint64(8)),
    epoch: view.getInt32(16),
    isEpochOpen: (view.getUint32(4) & FLAG_EPOCH_OPEN) !== 0,
    eventCount: view.getUint32(20),
    captureTimeUs: Number(view.getBigUint64(24)),
    chain: bytes.slice(CHAIN_OFFSET, HASH_OFFSET),
  };
}

export function sha256(bytes: Uint8Array): Uint8Array {
  return hash('sha256', bytes, 'buffer');
}
