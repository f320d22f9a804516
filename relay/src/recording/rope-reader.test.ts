import { setImmediate } from 'node:timers/promises';
import { seededRandom } from '@proofcast/shared/testing/random';
import { describe, expect, test } from 'vitest';
import {
  RANGE_READ_BYTES,
  READ_BYTES,
  readBatches,
  readPieces,
  type Piece,
  type ReadBytes,
} from './rope-reader.ts';

const FILES = [1, 2].map((seed) => Buffer.from(seededRandom(seed).bytes(3 * READ_BYTES)));
const extent = (segment: number, start: number, byteLength: number): Piece => ({
  kind: 'extent',
  segment,
  start,
  byteLength,
});
const own = (text: string): Piece => ({ kind: 'bytes', bytes: Buffer.from(text) });

/** Reads the pieces and answers what was read, and with which reads of files. */
async function read(pieces: readonly Piece[]): Promise<{ bytes: Buffer; reads: number[][] }> {
  const reads: number[][] = [];
  const readBytes: ReadBytes = async (segment, start, byteLength) => {
    reads.push([segment, start, byteLength]);
    return FILES[segment]?.subarray(start, start + byteLength) ?? Buffer.of();
  };
  const parts: Uint8Array[] = [];
  for await (const part of readPieces(pieces, readBytes)) parts.push(part);
  return { bytes: Buffer.concat(parts), reads };
}

const wanted = (pieces: readonly Piece[]): Buffer =>
  Buffer.concat(
    pieces.map((piece) =>
      piece.kind === 'bytes'
        ? piece.bytes
        : (FILES[piece.segment]?.subarray(piece.start, piece.start + piece.byteLength) ?? Buffer.of()),
    ),
  );

describe('pieces of a journal', () => {
  test.each([
    [
      'close together are fetched with one read',
      [extent(0, 10, 5), own('abc'), extent(0, 179, 100), extent(0, 600, 1)],
      [[0, 10, 591]],
    ],
    [
      'far apart are fetched one by one',
      [extent(0, 10, 5), extent(0, 200_000, 5)],
      [
        [0, 10, 5],
        [0, 200_000, 5],
      ],
    ],
    [
      'of two files are fetched one by one',
      [extent(0, 10, 5), extent(1, 20, 5)],
      [
        [0, 10, 5],
        [1, 20, 5],
      ],
    ],
    [
      'that lie before one another are fetched one by one',
      [extent(0, 100, 5), extent(0, 20, 5)],
      [
        [0, 100, 5],
        [0, 20, 5],
      ],
    ],
    [
      'that are large are fetched in parts',
      [extent(0, 7, RANGE_READ_BYTES + 3)],
      [
        [0, 7, RANGE_READ_BYTES],
        [0, 7 + RANGE_READ_BYTES, 3],
      ],
    ],
    [
      'are never more than one read may fetch',
      [extent(0, 0, RANGE_READ_BYTES - 10), extent(0, RANGE_READ_BYTES - 5, 10)],
      [
        [0, 0, RANGE_READ_BYTES - 10],
        [0, RANGE_READ_BYTES - 5, 10],
      ],
    ],
    ['need no read when they are in memory', [own('abc'), own('d')], []],
  ])('[R8] %s', async (_what, pieces, reads) => {
    const made = await read(pieces);
    expect(made.bytes.equals(wanted(pieces))).toBe(true);
    expect(made.reads).toEqual(reads);
  });

  test('[R9] are good in a ring of buffers for as long as it says', async () => {
    const pieces = Array.from({ length: 40 }, (_value, n) => extent(n % 2, n * 1000, 500));
    const ring = Array.from({ length: 4 }, () => Buffer.alloc(READ_BYTES));
    const readBytes: ReadBytes = async (segment, start, byteLength, into) => {
      if (into === undefined || !ring.some((buffer) => buffer === into)) throw new Error('Not in the ring.');
      FILES[segment]?.copy(into, 0, start, start + byteLength);
      return into.subarray(0, byteLength);
    };
    const held: (readonly Uint8Array[])[] = [];
    let count = 0;
    for await (const parts of readBatches(pieces, readBytes, ring)) {
      held.push(parts);
      if (held.length > 3) held.shift();
      count += 1;
      const expected = wanted(pieces.slice(count - held.length, count));
      expect(Buffer.concat(held.flat()).equals(expected)).toBe(true);
    }
    expect(count).toBe(40);
  });

  test('[R8] fail with what reading fails with, the one that was read ahead too', async () => {
    const refuse: ReadBytes = async (_segment, start) => {
      if (start > 0) throw new Error('gone');
      return Buffer.alloc(5);
    };
    const reading = readPieces([extent(0, 0, 5), extent(1, 20, 5)], refuse);
    expect((await reading.next()).value).toHaveLength(5);
    // Longer than it takes to be told of a rejection that nobody handles.
    for (let turns = 0; turns < 5; turns++) await setImmediate();
    await expect(reading.next()).rejects.toThrow('gone');
    expect((await reading.next()).done).toBe(true);
  });
});
