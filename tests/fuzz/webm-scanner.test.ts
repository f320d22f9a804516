// Random cuts and random damage of real recordings. A failing seed is printed in the test's title: add it to
// KEPT_SEEDS with a name. WEBM_CLIPS names a folder of other recordings (from tests/media/record-clips.ts).

import { describe, expect, test } from 'vitest';
import { CodedError } from '../../shared/src/errors.ts';
import { freshSeed, seededRandom, type Random } from '../../shared/testing/random.ts';
import { concat } from '../../shared/testing/webm-bytes.ts';
import { loadWebmClips } from '../../shared/testing/webm-clip.ts';
import { cutEvery, scanPieces, type WebmScan } from '../../shared/testing/webm-scan.ts';
import { WebmScanner } from '../../shared/src/webm.ts';

const clips = loadWebmClips(process.env.WEBM_CLIPS);
/** Small enough that scans of damaged bytes often run into them. */
const TIGHT_LIMITS = { maxHeldElementBytes: 200, maxPassedElementBytes: 20_000 };

const KEPT_SEEDS = { 'the first one': 1 };
const SEEDS = [...Object.entries(KEPT_SEEDS), ['fresh', freshSeed()] as const];
const CUTS_PER_CLIP = 60;
const DAMAGES_PER_CLIP = 250;
/** An item needs at least this many bytes of stream (an empty SimpleBlock and its keyCluster: 6 for two). */
const MIN_BYTES_PER_ITEM = 3;

describe.each(SEEDS)('seed: %s (%i)', (_name, seed) => {
  test.each(clips)(
    '[W1] $name: however it is cut, the same items come, each with the byte that makes it known',
    (clip) => {
      const random = seededRandom(seed);
      const byByte = scanPieces(cutEvery(clip.bytes, 1));
      expect(byByte.failure).toBeNull();
      expectSame(scanPieces([clip.bytes]), byByte);
      expectSame(scanPieces(clip.slices), byByte);
      for (let i = 0; i < CUTS_PER_CLIP; i++) {
        const pieces = cutAtRandom(clip.bytes, random);
        const scan = scanPieces(pieces);
        expectSame(scan, byByte);
        expectReportedInTime(scan, byByte, pieces);
      }
    },
  );

  test.each(clips)(
    '[W3] $name: damaged, it ends with items or a coded error, the same however it is cut',
    (clip) => {
      const random = seededRandom(seed);
      for (let i = 0; i < DAMAGES_PER_CLIP; i++) {
        const bytes = damage(clip.bytes, random);
        const limits = random.pick([{}, TIGHT_LIMITS]);
        const whole = scanPieces([bytes], limits);
        expectSame(scanPieces(cutAtRandom(bytes, random), limits), whole);
        expect(whole.items.length).toBeLessThanOrEqual(bytes.length / MIN_BYTES_PER_ITEM);
        if (whole.failure !== null) expect(whole.failure).toBeInstanceOf(CodedError);
        expectOrdered(whole, bytes.length);
      }
    },
  );

  test('[W3] noise ends with a coded error', () => {
    const random = seededRandom(seed);
    for (let i = 0; i < 2000; i++) {
      const { items, failure } = scanPieces([random.bytes(random.integer(1, 500))]);
      expect(items).toEqual([]);
      if (failure !== null) expect(failure).toBeInstanceOf(CodedError);
    }
  });
});

test('[W3] an endless element costs no memory: payload is counted, not kept', () => {
  const [clip] = clips;
  if (clip === undefined) throw new Error('There is no clip.');
  const scanner = new WebmScanner({ limits: { maxPassedElementBytes: Number.MAX_SAFE_INTEGER } });
  scanner.push(clip.bytes);
  scanner.push(Uint8Array.of(0xec, 0x01, 0, 0x10, 0, 0, 0, 0, 0));
  const piece = new Uint8Array(1024 * 1024);
  const before = process.memoryUsage();
  for (let i = 0; i < 4096; i++) expect(scanner.push(piece)).toHaveLength(0);
  const after = process.memoryUsage();
  expect(after.arrayBuffers - before.arrayBuffers).toBeLessThan(16 * piece.length);
  expect(scanner.offset).toBeGreaterThan(4096 * piece.length);
});

function expectSame(scan: WebmScan, expected: WebmScan): void {
  expect(scan.items).toEqual(expected.items);
  expect(scan.failure).toEqual(expected.failure);
}

/** Each item comes with the very piece that brings the byte with which it comes when bytes come one by one. */
function expectReportedInTime(scan: WebmScan, byByte: WebmScan, pieces: Uint8Array[]): void {
  const ends: number[] = [];
  for (const piece of pieces) ends.push((ends.at(-1) ?? 0) + piece.length);
  let next = 0;
  const expected = byByte.reportedAt.map((at) => {
    while ((ends[next] ?? at) < at) next++;
    return ends[next];
  });
  expect(scan.reportedAt).toEqual(expected);
}

/** Extents lie in the stream, do not overlap, and come in order; every cluster that begins also ends. */
function expectOrdered({ items }: WebmScan, length: number): void {
  let position = 0;
  let openClusters = 0;
  for (const item of items) {
    if (item.type === 'cluster') openClusters++;
    if (item.type === 'clusterEnd') openClusters--;
    if (item.type !== 'block') continue;
    expect(item.start).toBeGreaterThanOrEqual(position);
    expect(item.end).toBeGreaterThan(item.start);
    position = item.end;
  }
  expect(openClusters).toBe(0);
  expect(position).toBeLessThanOrEqual(length);
}

/** Pieces from empty to large, in a mixture that differs from case to case. */
function cutAtRandom(bytes: Uint8Array, random: Random): Uint8Array[] {
  const largest = random.pick([3, 20, 300, 5000, 50_000]);
  const pieces: Uint8Array[] = [];
  for (let start = 0; start < bytes.length;) {
    const length = random.integer(0, largest);
    pieces.push(bytes.subarray(start, start + length));
    start += length;
  }
  return pieces;
}

function damage(original: Uint8Array, random: Random): Uint8Array {
  let bytes: Uint8Array = original.slice();
  const count = random.integer(1, 6);
  for (let i = 0; i < count; i++) bytes = random.pick(DAMAGES)(bytes, random);
  return bytes;
}

const DAMAGES: readonly ((bytes: Uint8Array, random: Random) => Uint8Array)[] = [
  function flipBit(bytes, random) {
    const at = anywhere(bytes, random);
    bytes[at] = (bytes[at] ?? 0) ^ (1 << random.integer(0, 8));
    return bytes;
  },
  function overwrite(bytes, random) {
    const value = random.pick([0x00, 0x01, 0x7f, 0x80, 0xa0, 0xa1, 0xa3, 0xe7, 0xec, 0xff]);
    return bytes.fill(value, ...extent(bytes, random, 6));
  },
  function remove(bytes, random) {
    const [start, end] = extent(bytes, random, 40);
    return concat(bytes.subarray(0, start), bytes.subarray(end));
  },
  function repeat(bytes, random) {
    const [start, end] = extent(bytes, random, 3000);
    return concat(bytes.subarray(0, end), bytes.subarray(start));
  },
  function insertNoise(bytes, random) {
    const at = anywhere(bytes, random);
    return concat(bytes.subarray(0, at), random.bytes(random.integer(1, 30)), bytes.subarray(at));
  },
  function truncate(bytes, random) {
    return bytes.slice(0, anywhere(bytes, random));
  },
  function append(bytes, random) {
    return concat(bytes, random.pick(clips).bytes);
  },
];

/** Half of the damage goes to the header, which is a small part of the bytes. */
function anywhere(bytes: Uint8Array, random: Random): number {
  return random.integer(0, random.fraction() < 0.5 ? Math.min(250, bytes.length) : bytes.length);
}

function extent(bytes: Uint8Array, random: Random, maxLength: number): [start: number, end: number] {
  const start = anywhere(bytes, random);
  return [start, Math.min(bytes.length, start + random.integer(1, maxLength))];
}
