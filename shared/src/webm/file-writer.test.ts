import { describe, expect, test } from 'vitest';
import * as webm from '../../testing/webm-bytes.ts';
import { readElements } from './ebml.ts';
import {
  encodeDate,
  encodeElement,
  encodeElementHeader,
  encodeString,
  encodeUnsigned,
  unsignedBytes,
  writeSize,
} from './ebml-writer.ts';
import { CLUSTER_HEADER_BYTES, encodeClusterHeader, encodeFileHead, tracksElement } from './file-writer.ts';
import { WebmScanner } from './scanner.ts';

const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex');

describe('EBML values', () => {
  test('an element takes as few bytes as it needs, and reads as it was written', () => {
    expect(hex(encodeElement(0xec))).toBe('ec80');
    expect(hex(encodeUnsigned(0xe7, 0))).toBe('e78100');
    expect(hex(encodeUnsigned(0x2ad7b1, 1_000_000))).toBe('2ad7b1830f4240');
    expect(hex(encodeString(0x4282, 'webm'))).toBe('42828477656 26d'.replace(' ', ''));
    const large = encodeElement(0xec, new Uint8Array(20_000));
    expect([...readElements(large, 0)]).toMatchObject([{ id: 0xec, data: { length: 20_000 } }]);
  });

  test.each([
    [126, 1],
    // All ones in one byte would say "unknown".
    [127, 2],
    [16_382, 2],
    [16_383, 3],
    [2 ** 28 - 1, 5],
    [2 ** 49, 8],
    [Number.MAX_SAFE_INTEGER, 8],
  ])('a size of %i takes %i bytes', (size, length) => {
    const header = encodeElementHeader(0xa3, size);
    expect(header.length).toBe(1 + length);
    expect(hex(header)).toBe(hex(webm.concat([0xa3], webm.vint(size, length))));
  });

  test('a size that does not fit is refused', () => {
    expect(() => writeSize(new Uint8Array(1), { at: 0, length: 1, value: 127 })).toThrow('does not fit');
  });

  test.each([
    [0, 1],
    [255, 1],
    [256, 2],
    [2 ** 32, 5],
    [Number.MAX_SAFE_INTEGER, 7],
  ])('the number %i takes %i bytes', (value, length) => {
    expect(unsignedBytes(value)).toBe(length);
    const [element] = readElements(encodeUnsigned(0xe7, value), 0);
    expect(element?.data.reduce((sum, byte) => sum * 256 + byte, 0)).toBe(value);
  });

  test('a date counts nanoseconds from 2001, backwards too', () => {
    const nanoseconds = (bytes: Uint8Array): bigint => Buffer.from(bytes).readBigInt64BE(3);
    expect(nanoseconds(encodeDate(0x4461, Date.UTC(2001, 0, 1) * 1000))).toBe(0n);
    expect(nanoseconds(encodeDate(0x4461, Date.UTC(2001, 0, 1) * 1000 + 7))).toBe(7000n);
    expect(nanoseconds(encodeDate(0x4461, 0))).toBe(-978_307_200_000_000_000n);
  });
});

describe('a file head', () => {
  const tracks = webm.tracks(webm.videoTrack(300));
  const cluster = (ticks: number, body: Uint8Array): Uint8Array =>
    webm.concat(encodeClusterHeader(ticks, body.length), body);

  test.each([1000, 2 ** 31, 2 ** 45])('points at clusters that begin at %i ticks and later', (firstTicks) => {
    const bodies = [0, 1, 2].map((n) => webm.simpleBlock(300, n, 0x80, new Uint8Array(100 * n + 1)));
    const clusters = bodies.map((body, n) => cluster(firstTicks + n * 2000, body));
    const starts = [0, 0, 0].map((_zero, n) =>
      clusters.slice(0, n).reduce((sum, { length }) => sum + length, 0),
    );
    const head = encodeFileHead({
      timestampScaleNs: 1_000_000,
      durationTicks: firstTicks + 4003,
      startsAtUs: 0,
      tracks,
      cueTrack: 300,
      cues: { count: 3, ticks: (n) => firstTicks + n * 2001, position: (n) => starts[n] ?? 0 },
      clusterBytes: clusters.reduce((sum, { length }) => sum + length, 0),
    });
    const scanner = new WebmScanner();
    const items = [...scanner.push(webm.concat(head, ...clusters)), ...scanner.finish()];
    expect(items[0]).toMatchObject({ type: 'init', end: head.length, durationMs: firstTicks + 4003 });
    const blocks = items.filter((item) => item.type === 'block');
    expect(blocks.map(({ timestampMs }) => timestampMs)).toEqual([0, 1, 2].map((n) => firstTicks + n * 2001));
    expect(hex(tracksElement(head))).toBe(hex(tracks));
  });

  test('a cluster header has its length whatever it says', () => {
    for (const [ticks, bytes] of [
      [0, 0],
      [Number.MAX_SAFE_INTEGER, 2 ** 50],
    ] as const) {
      expect(encodeClusterHeader(ticks, bytes).length).toBe(CLUSTER_HEADER_BYTES);
    }
  });

  test('Tracks are found behind whatever else stands before them', () => {
    const init = webm.concat(
      webm.element(0xec, new Uint8Array(5)),
      webm.ebmlHeader(),
      webm.openElement(0x18538067, webm.element(0xec, [1]), webm.info(), tracks, webm.element(0xec, [2])),
    );
    expect(hex(tracksElement(init))).toBe(hex(tracks));
    expect(() => tracksElement(webm.ebmlHeader())).toThrow(expect.objectContaining({ code: 'WEBM_INVALID' }));
  });
});
