// The whole contract of the scanner on hand-made bytes, one describe per kind of item; one file, as every case runs
// both in one piece and byte by byte. Real recordings: tests/media; random cuts and damage: tests/fuzz.

import { describe, expect, test } from 'vitest';
import * as webm from '../testing/webm-bytes.ts';
import { cutEvery, scanPieces, type WebmScan } from '../testing/webm-scan.ts';
import { CodedError } from './errors.ts';
import { WebmScanner, type WebmItem, type WebmLimits } from './webm.ts';

const SEGMENT = 0x18538067;
const CLUSTER = 0x1f43b675;
const INFO = 0x1549a966;
const BLOCK_GROUP = 0xa0;
const BLOCK = 0xa1;
const BLOCK_DURATION = 0x9b;
const REFERENCE_BLOCK = 0xfb;
const BLOCK_ADDITIONS = 0x75a1;
const DISCARD_PADDING = 0x75a2;
const PREV_SIZE = 0xab;
const CUES = 0x1c53bb6b;
const SEEK_HEAD = 0x114d9b74;
const TAGS = 0x1254c367;
const VOID = 0xec;
const CRC_32 = 0xbf;
const CONTENT_ENCODINGS = 0x6d80;
const KEY = 0x80;

/** Scans in one piece and byte by byte, which must not make a difference. */
function scan(bytes: Uint8Array, limits: Partial<WebmLimits> = {}): WebmScan {
  const whole = scanPieces([bytes], limits);
  const byByte = scanPieces(cutEvery(bytes, 1), limits);
  expect(byByte.items).toEqual(whole.items);
  expect(byByte.failure).toEqual(whole.failure);
  return byByte;
}

function itemsOf(bytes: Uint8Array): WebmItem[] {
  const { items, failure } = scan(bytes);
  expect(failure).toBeNull();
  return items;
}

function ofType<T extends WebmItem['type']>(items: WebmItem[], type: T): Extract<WebmItem, { type: T }>[] {
  return items.filter((item): item is Extract<WebmItem, { type: T }> => item.type === type);
}

function blocksOf(bytes: Uint8Array) {
  return ofType(itemsOf(bytes), 'block');
}

function failureOf(bytes: Uint8Array, limits: Partial<WebmLimits> = {}): CodedError {
  const { failure } = scan(bytes, limits);
  if (!(failure instanceof CodedError)) throw new Error(`Expected a CodedError, got ${String(failure)}.`);
  return failure;
}

function expectInvalid(bytes: Uint8Array, message: RegExp): void {
  const failure = failureOf(bytes);
  expect(failure.code).toBe('WEBM_INVALID');
  expect(failure.message).toMatch(message);
}

function expectUnsupported(bytes: Uint8Array, message: RegExp, limits: Partial<WebmLimits> = {}): void {
  const failure = failureOf(bytes, limits);
  expect(failure.code).toBe('WEBM_UNSUPPORTED');
  expect(failure.message).toMatch(message);
}

/** A live stream with these clusters. */
function live(...clusters: Uint8Array[]): Uint8Array {
  return webm.concat(webm.initSegment(), ...clusters);
}

/** A live stream of one Cluster, at tick 1000, with these children. */
function liveCluster(...children: Uint8Array[]): Uint8Array {
  return live(webm.openCluster(1000, ...children));
}

function group(...children: Uint8Array[]): Uint8Array {
  return webm.element(BLOCK_GROUP, ...children);
}

function block(track: number, relativeTimestamp: number, flags = 0): Uint8Array {
  return webm.element(BLOCK, webm.blockData(track, relativeTimestamp, flags));
}

/** A BlockMore. */
function more(...children: Uint8Array[]): Uint8Array {
  return webm.element(0xa6, ...children);
}

describe('init segment', () => {
  test('the init segment ends where the first Cluster begins and tells the tracks', () => {
    const init = webm.initSegment();
    const [first] = itemsOf(webm.concat(init, webm.openCluster(0)));
    expect(first).toEqual({
      type: 'init',
      start: 0,
      end: init.length,
      timestampScaleNs: 1_000_000,
      durationMs: null,
      tracks: [
        { kind: 'video', number: 1, codecId: 'V_VP9', codecPrivate: null, widthPx: 640, heightPx: 360 },
        {
          kind: 'audio',
          number: 2,
          codecId: 'A_OPUS',
          codecPrivate: null,
          samplingRateHz: 48_000,
          channels: 2,
        },
      ],
    });
  });

  test('the init segment is known with the header of the first Cluster, not before', () => {
    const init = webm.initSegment();
    const clusterHeader = webm.openElement(CLUSTER);
    const { items, reportedAt } = scan(webm.concat(init, clusterHeader));
    expect(items.map((item) => item.type)).toEqual(['init']);
    expect(reportedAt).toEqual([init.length + clusterHeader.length]);
  });

  test('an init segment that no Cluster follows is not reported', () => {
    expect(itemsOf(webm.initSegment())).toEqual([]);
  });

  test('Duration, CodecPrivate, tracks of other kinds and default values are read', () => {
    const tracks = webm.tracks(
      webm.audioTrack(1, webm.element(0x63a2, [7, 8, 9])),
      webm.element(0xae, webm.unsigned(0xd7, 300), webm.unsigned(0x83, 17), webm.ascii(0x86, 'S_TEXT')),
      webm.element(0xae, webm.unsigned(0xd7, 3), webm.unsigned(0x83, 2), webm.ascii(0x86, 'A_VORBIS')),
    );
    const info = webm.element(INFO, webm.unsigned(0x2ad7b1, 500_000), webm.float64(0x4489, 9000));
    const bytes = webm.concat(
      webm.ebmlHeader(),
      webm.openElement(SEGMENT, info, tracks, webm.openCluster(0)),
    );
    const [init] = ofType(itemsOf(bytes), 'init');
    expect(init?.durationMs).toBe(4500);
    expect(init?.tracks).toEqual([
      {
        kind: 'audio',
        number: 1,
        codecId: 'A_OPUS',
        codecPrivate: new Uint8Array([7, 8, 9]),
        samplingRateHz: 48_000,
        channels: 2,
      },
      { kind: 'other', number: 300, codecId: 'S_TEXT', codecPrivate: null },
      {
        kind: 'audio',
        number: 3,
        codecId: 'A_VORBIS',
        codecPrivate: null,
        samplingRateHz: 8000,
        channels: 1,
      },
    ]);
  });

  test.each([0, -1, Number.NaN, Number.POSITIVE_INFINITY])('a Duration of %f tells nothing', (duration) => {
    const info = webm.element(INFO, webm.float64(0x4489, duration));
    const segment = webm.openElement(SEGMENT, info, webm.tracks(webm.videoTrack()), webm.openCluster(0));
    const [init] = ofType(itemsOf(webm.concat(webm.ebmlHeader(), segment)), 'init');
    expect(init?.durationMs).toBeNull();
  });

  test('what is reported does not change when the caller uses its buffer again', () => {
    const tracks = webm.tracks(webm.audioTrack(1, webm.element(0x63a2, [7, 8, 9])));
    const bytes = webm.concat(
      webm.ebmlHeader(),
      webm.openElement(SEGMENT, webm.info(), tracks, webm.openCluster(0)),
    );
    const [init] = ofType(new WebmScanner().push(bytes), 'init');
    bytes.fill(0);
    expect(init?.tracks[0]?.codecPrivate).toEqual(new Uint8Array([7, 8, 9]));
  });

  test('a track does not keep more of the stream alive than it says', () => {
    const tracks = webm.tracks(webm.audioTrack(1, webm.element(0x63a2, [7, 8, 9])));
    const segment = webm.openElement(SEGMENT, webm.info(), tracks, webm.openCluster(0));
    const [init] = ofType(itemsOf(webm.concat(webm.ebmlHeader(), segment)), 'init');
    expect(init?.tracks[0]?.codecPrivate?.buffer.byteLength).toBe(3);
  });

  test.each([
    ['another document type', webm.ebmlHeader('matroska'), /document type is "matroska"/],
    ['a newer EBML', webm.element(0x1a45dfa3, webm.unsigned(0x42f7, 2)), /EBMLReadVersion is 2/],
    ['longer ids', webm.element(0x1a45dfa3, webm.unsigned(0x42f2, 5)), /EBMLMaxIDLength is 5/],
    ['longer sizes', webm.element(0x1a45dfa3, webm.unsigned(0x42f3, 9)), /EBMLMaxSizeLength is 9/],
    ['a newer Matroska', webm.element(0x1a45dfa3, webm.unsigned(0x4285, 5)), /DocTypeReadVersion is 5/],
    ['an empty EBML header', webm.element(0x1a45dfa3), /document type is "matroska"/],
  ])('%s is refused as unsupported', (_what, header, message) => {
    expectUnsupported(header, message);
  });

  test('a stream that does not begin with an EBML header is refused', () => {
    expectInvalid(webm.openElement(SEGMENT), /begins with 0x18538067/);
    expectInvalid(webm.element(VOID, [0, 0]), /begins with 0xEC/);
    expectInvalid(new TextEncoder().encode('<html>'), /.+/);
  });

  test('a Cluster before Info or Tracks is refused', () => {
    for (const child of [webm.info(), webm.tracks(webm.videoTrack())]) {
      const bytes = webm.concat(webm.ebmlHeader(), webm.openElement(SEGMENT, child, webm.openCluster(0)));
      expectInvalid(bytes, /comes before Info or Tracks/);
    }
  });

  test('a second Info or Tracks is refused', () => {
    expectUnsupported(live(webm.info()), /second 0x1549A966/);
    expectUnsupported(live(webm.tracks(webm.videoTrack())), /second 0x1654AE6B/);
    expectUnsupported(live(webm.openCluster(0), webm.info()), /second 0x1549A966/);
  });

  test.each([
    ['no tracks', webm.tracks(), /describes no track/],
    ['two tracks of one number', webm.tracks(webm.videoTrack(1), webm.audioTrack(1)), /Two tracks/],
    [
      'a track without a codec',
      webm.tracks(webm.element(0xae, webm.unsigned(0xd7, 1))),
      /no number, type or codec/,
    ],
    ['a child that ends after its parent', webm.tracks([0xae, 0x85, 0xd7]), /does not end inside its parent/],
    ['a child whose header is cut off', webm.tracks([0x63]), /is cut off/],
    ['a child of unknown size', webm.tracks([0xae, 0xff]), /does not end inside its parent/],
    [
      'a number too long',
      webm.tracks(webm.videoTrack(1, webm.element(0xd7, new Uint8Array(9)))),
      /9 bytes long/,
    ],
    ['a number too large', webm.tracks(webm.videoTrack(1, webm.unsigned(0xd7, 2 ** 60))), /above 2\^53/],
    [
      'a codec name too long',
      webm.tracks(webm.videoTrack(1, webm.ascii(0x86, 'V'.repeat(300)))),
      /300 bytes long/,
    ],
  ])('%s is refused as invalid', (_what, tracks, message) => {
    expectInvalid(webm.concat(webm.ebmlHeader(), webm.openElement(SEGMENT, webm.info(), tracks)), message);
  });

  test('a TimestampScale of zero is refused', () => {
    expectInvalid(
      webm.concat(webm.ebmlHeader(), webm.openElement(SEGMENT, webm.info(0))),
      /TimestampScale is 0/,
    );
  });

  test('a compressed or encrypted track is refused', () => {
    const tracks = webm.tracks(webm.videoTrack(1, webm.element(CONTENT_ENCODINGS)));
    expectUnsupported(
      webm.concat(webm.ebmlHeader(), webm.openElement(SEGMENT, tracks)),
      /compressed or encrypted/,
    );
  });
});

describe('clusters', () => {
  test('a Cluster is known as soon as its Timestamp is, with where its header and Timestamp end', () => {
    const init = webm.initSegment();
    const header = webm.openElement(CLUSTER);
    const timestamp = webm.timestamp(70_000);
    const { items, reportedAt } = scan(webm.concat(init, header, timestamp));
    const timestampEnd = init.length + header.length + timestamp.length;
    expect(items[1]).toEqual({
      type: 'cluster',
      start: init.length,
      dataStart: init.length + header.length,
      timestampEnd,
      timestamp: 70_000,
      timestampMs: 70_000,
    });
    expect(reportedAt[1]).toBe(timestampEnd);
  });

  test('a Cluster of unknown size ends where the next one begins', () => {
    const first = webm.openCluster(0, webm.simpleBlock(1, 0, KEY));
    const init = webm.initSegment();
    const ends = ofType(itemsOf(webm.concat(init, first, webm.openCluster(2000))), 'clusterEnd');
    const end = init.length + first.length;
    expect(ends[0]).toEqual({ type: 'clusterEnd', start: init.length, end, firstVideoBlockIsKeyframe: true });
  });

  test.each([
    ['Cues', CUES],
    ['Tags', TAGS],
    ['SeekHead', SEEK_HEAD],
  ])('a Cluster of unknown size ends where %s begins', (_name, id) => {
    const bytes = liveCluster(webm.simpleBlock(1, 0, KEY));
    const items = itemsOf(webm.concat(bytes, webm.element(id, [1, 2, 3])));
    expect(items.at(-1)).toMatchObject({ type: 'clusterEnd', end: bytes.length });
  });

  test('Void, CRC-32 and unknown elements stay inside a Cluster of unknown size', () => {
    const bytes = liveCluster(
      webm.element(VOID, [0, 0, 0]),
      webm.element(CRC_32, [1, 2, 3, 4]),
      webm.element(0x4abc, [1]),
      webm.simpleBlock(1, 0, KEY),
      webm.element(VOID),
    );
    const items = itemsOf(bytes);
    expect(items.map((item) => item.type)).toEqual(['init', 'cluster', 'keyCluster', 'block', 'clusterEnd']);
    expect(items.at(-1)).toMatchObject({ end: bytes.length });
  });

  test('elements before the Timestamp count as the header', () => {
    const before = webm.concat(webm.element(CRC_32, [1, 2, 3, 4]), webm.unsigned(PREV_SIZE, 77));
    const init = webm.initSegment();
    const bytes = webm.concat(init, webm.openElement(CLUSTER, before, webm.timestamp(5)));
    const [cluster] = ofType(itemsOf(bytes), 'cluster');
    expect(cluster?.dataStart).toBe(init.length + 12);
    expect(cluster?.timestampEnd).toBe(bytes.length);
  });

  test('Segment and Clusters of known size are scanned as a muxer writes them', () => {
    const first = webm.cluster(0, webm.simpleBlock(1, 0, KEY), webm.simpleBlock(2, 3, KEY));
    const second = webm.cluster(2000, webm.simpleBlock(1, 0, KEY));
    const before = webm.concat(
      webm.element(SEEK_HEAD, [1, 2]),
      webm.element(VOID, new Uint8Array(300)),
      webm.info(),
      webm.tracks(webm.videoTrack(), webm.audioTrack()),
      webm.element(CUES, [1, 2, 3]),
    );
    const segment = webm.element(SEGMENT, before, first, second, webm.element(TAGS, [9]));
    const bytes = webm.concat(webm.ebmlHeader(), segment, webm.element(VOID, [0]));
    const { items, reportedAt, failure } = scan(bytes);
    expect(failure).toBeNull();
    expect(items.map((item) => item.type)).toEqual(
      'init cluster keyCluster block block clusterEnd cluster keyCluster block clusterEnd'.split(' '),
    );
    const [firstEnd, secondEnd] = ofType(items, 'clusterEnd');
    expect(firstEnd?.end).toBe((firstEnd?.start ?? 0) + first.length);
    expect(secondEnd).toMatchObject({ start: firstEnd?.end, end: (firstEnd?.end ?? 0) + second.length });
    expect(reportedAt[items.indexOf(firstEnd as WebmItem)]).toBe(firstEnd?.end);
  });

  test('a Cluster of unknown size in a Segment of known size ends with the Segment', () => {
    const clusterBytes = webm.openCluster(0, webm.simpleBlock(1, 0, KEY));
    const segment = webm.element(SEGMENT, webm.info(), webm.tracks(webm.videoTrack()), clusterBytes);
    const bytes = webm.concat(webm.ebmlHeader(), segment);
    const { items, reportedAt } = scan(bytes);
    expect(items.at(-1)).toMatchObject({ type: 'clusterEnd', end: bytes.length });
    expect(reportedAt.at(-1)).toBe(bytes.length);
  });

  test.each([1, 2, 3, 4, 5, 6, 7, 8])('an unknown size may be %i bytes long', (length) => {
    const bytes = live(
      webm.concat(
        webm.idBytes(CLUSTER),
        webm.unknownSize(length),
        webm.timestamp(1),
        webm.simpleBlock(1, 0, KEY),
      ),
    );
    expect(blocksOf(bytes)).toHaveLength(1);
  });

  test.each([1, 2, 3, 4, 5, 6, 7, 8])('a known size may be written in %i bytes', (length) => {
    const data = webm.blockData(1, 0, KEY);
    const bytes = liveCluster(webm.concat([0xa3], webm.vint(data.length, length), data));
    expect(blocksOf(bytes)).toMatchObject([{ end: bytes.length }]);
  });

  test('a Timestamp of no bytes is zero', () => {
    const bytes = live(webm.openElement(CLUSTER, webm.element(0xe7), webm.simpleBlock(1, 7, KEY)));
    expect(blocksOf(bytes)).toMatchObject([{ timestampMs: 7 }]);
  });

  test.each([
    ['no Timestamp, of known size', live(webm.element(CLUSTER)), /has no Timestamp/],
    [
      'no Timestamp, of unknown size',
      live(webm.openElement(CLUSTER), webm.openCluster(0)),
      /has no Timestamp/,
    ],
    [
      'a block before the Timestamp',
      live(webm.openElement(CLUSTER, webm.simpleBlock(1, 0))),
      /before its Cluster's/,
    ],
    [
      'a Timestamp of 9 bytes',
      live(webm.openElement(CLUSTER, webm.element(0xe7, new Uint8Array(9)))),
      /9 bytes/,
    ],
    ['a Timestamp above 2^53', live(webm.openElement(CLUSTER, webm.timestamp(2 ** 60))), /above 2\^53/],
    [
      'a child that ends after it',
      live(webm.concat(webm.idBytes(CLUSTER), [0x84], [0xe7, 0x83])),
      /after its parent/,
    ],
    ['another Cluster inside its size', live(webm.cluster(0, webm.cluster(0))), /has no place there/],
  ])('a Cluster with %s is refused', (_what, bytes, message) => {
    expectInvalid(bytes, message);
  });

  test('a Cluster inside a BlockGroup is refused, and the Cluster around it ends before the group', () => {
    const whole = liveCluster(webm.simpleBlock(1, 0, KEY));
    const { items, failure } = scan(webm.concat(whole, group(block(1, 1), webm.cluster(0))));
    expect(failure).toMatchObject({ code: 'WEBM_INVALID' });
    expect(items.at(-1)).toMatchObject({ type: 'clusterEnd', end: whole.length });
  });

  test('a second Timestamp is refused', () => {
    expectUnsupported(liveCluster(webm.timestamp(4)), /second 0xE7/);
  });

  test('a Cluster that ends after its Segment is refused', () => {
    const start = webm.concat(webm.info(), webm.tracks(webm.videoTrack()));
    const segment = webm.concat(webm.idBytes(SEGMENT), webm.vint(start.length + 10), start);
    const bytes = webm.concat(webm.ebmlHeader(), segment, webm.idBytes(CLUSTER), webm.vint(200, 2));
    expectInvalid(bytes, /after its parent/);
  });
});

describe('blocks', () => {
  test('a SimpleBlock tells its extent, track, time and flags', () => {
    const simple = webm.simpleBlock(2, 33, KEY | 0x08 | 0x01);
    const bytes = liveCluster(simple);
    expect(blocksOf(bytes)).toEqual([
      {
        type: 'block',
        form: 'simple',
        start: bytes.length - simple.length,
        end: bytes.length,
        clusterStart: webm.initSegment().length,
        trackNumber: 2,
        trackKind: 'audio',
        timestampMs: 1033,
        durationMs: null,
        isKeyframe: true,
        isInvisible: true,
        isDiscardable: true,
      },
    ]);
  });

  test('a BlockGroup with additions is one block from its own first byte to its last', () => {
    const whole = group(
      block(1, 40),
      webm.element(BLOCK_ADDITIONS, more(webm.unsigned(0xee, 1), webm.element(0xa5, new Uint8Array(50)))),
      webm.unsigned(BLOCK_DURATION, 20),
      webm.element(DISCARD_PADDING, [1]),
    );
    const bytes = liveCluster(whole);
    expect(blocksOf(bytes)).toEqual([
      {
        type: 'block',
        form: 'group',
        start: bytes.length - whole.length,
        end: bytes.length,
        clusterStart: webm.initSegment().length,
        trackNumber: 1,
        trackKind: 'video',
        timestampMs: 1040,
        durationMs: 20,
        isKeyframe: true,
        isInvisible: false,
        isDiscardable: false,
      },
    ]);
  });

  test('a BlockGroup is a keyframe unless it has a ReferenceBlock, wherever that stands', () => {
    const reference = webm.element(REFERENCE_BLOCK, [0xff]);
    const bytes = liveCluster(
      group(block(1, 0)),
      group(block(1, 1), reference),
      group(reference, block(1, 2, KEY)),
    );
    expect(blocksOf(bytes).map(({ isKeyframe }) => isKeyframe)).toEqual([true, false, false]);
  });

  test('the bits that only a SimpleBlock has mean nothing in a BlockGroup', () => {
    const [first] = blocksOf(liveCluster(group(block(1, 0, 0x81), webm.element(REFERENCE_BLOCK, [0xff]))));
    expect(first).toMatchObject({ isKeyframe: false, isDiscardable: false });
  });

  test('relative times are signed and scaled', () => {
    const header = webm.openElement(SEGMENT, webm.info(500_000), webm.tracks(webm.videoTrack()));
    const children = [-1, -32_768, 32_767, 0].map((relative) => webm.simpleBlock(1, relative));
    const bytes = webm.concat(webm.ebmlHeader(), header, webm.openCluster(100_000, ...children));
    expect(blocksOf(bytes).map(({ timestampMs }) => timestampMs)).toEqual([
      49_999.5, 33_616, 66_383.5, 50_000,
    ]);
  });

  test('track numbers may take more than one byte', () => {
    const tracks = webm.tracks(webm.videoTrack(300), webm.audioTrack(2));
    const init = webm.concat(webm.ebmlHeader(), webm.openElement(SEGMENT, webm.info(), tracks));
    const longForm = webm.element(0xa3, webm.vint(2, 8), [0, 5, KEY, 1]);
    const bytes = webm.concat(init, webm.openCluster(0, webm.simpleBlock(300, 4, KEY), longForm));
    expect(blocksOf(bytes)).toMatchObject([
      { trackNumber: 300, timestampMs: 4, isKeyframe: true },
      { trackNumber: 2, timestampMs: 5, isKeyframe: true },
    ]);
  });

  test('a block without a frame is refused as unsupported', () => {
    expectUnsupported(liveCluster(webm.simpleBlock(1, 0, KEY, [])), /holds no frame/);
    expectUnsupported(liveCluster(group(webm.element(0xa1, webm.blockData(1, 0, 0, [])))), /holds no frame/);
  });

  test.each([
    ['bytes that are no element', [0xa6, 0x85, 0xa5, 0x81, 1, 2, 3], /at byte/],
    ['bytes that are no element at all', [0, 0], /No element begins/],
    ['another element than BlockMore', webm.unsigned(0xee, 1), /has no place/],
    ['a child that ends after it', [0xa6, 0x90, 0xa5, 0x81, 1], /after its parent/],
    ['a number that is too long', more(webm.element(0xee, new Uint8Array(9))), /cannot be 9 bytes long/],
  ])('additions that hold %s are refused as invalid', (_what, bytes, message) => {
    expectInvalid(liveCluster(group(block(1, 0), webm.element(BLOCK_ADDITIONS, bytes))), message);
  });

  test('a group whose numbers are too long is refused as invalid', () => {
    for (const id of [REFERENCE_BLOCK, DISCARD_PADDING]) {
      expectInvalid(liveCluster(group(block(1, 0), webm.element(id, new Uint8Array(9)))), /9 bytes long/);
    }
  });

  test('a block is reported with its last byte', () => {
    const before = liveCluster();
    const simple = webm.simpleBlock(2, 0, KEY, new Uint8Array(1000));
    const { items, reportedAt } = scan(webm.concat(before, simple, webm.simpleBlock(2, 9)));
    const [first] = ofType(items, 'block');
    expect(reportedAt[items.indexOf(first as WebmItem)]).toBe(before.length + simple.length);
  });

  test.each([0x02, 0x04, 0x06])('a laced block (flags %i) is refused as unsupported', (lacing) => {
    expectUnsupported(liveCluster(webm.simpleBlock(1, 0, KEY | lacing)), /is laced/);
    expectUnsupported(liveCluster(group(block(1, 0, lacing))), /is laced/);
  });

  test('an encrypted block is refused as unsupported', () => {
    expectUnsupported(liveCluster(webm.element(0xaf, [0x81, 0, 0, 0])), /is encrypted/);
  });

  test.each([
    ['of a track that Tracks does not describe', webm.simpleBlock(3, 0), /of track 3/],
    ['shorter than its header', webm.element(0xa3, [0x81, 0, 0]), /shorter than its header/],
    [
      'shorter than its header with a long track number',
      webm.element(0xa3, [0x40, 1, 0, 0]),
      /shorter than its/,
    ],
    ['without a track number', webm.element(0xa3, [0, 0, 0, 0]), /no valid track number/],
    ['with an unknown track number', webm.element(0xa3, [0xff, 0, 0, 0]), /no valid track number/],
    ['of unknown size', webm.concat([0xa3, 0xff], webm.blockData(1, 0)), /has no size/],
    ['group of unknown size', webm.concat([0xa0, 0xff], block(1, 0)), /has no size/],
    ['group without a Block', group(webm.unsigned(BLOCK_DURATION, 1)), /has no Block/],
    ['group that is empty', group(), /has no Block/],
    ['group with a SimpleBlock', group(webm.simpleBlock(1, 0)), /no place there/],
    [
      'group whose Block ends after it',
      webm.concat([0xa0, 0x84, 0xa1, 0x88], [0x81, 0, 0, 0]),
      /after its parent/,
    ],
    ['outside its group', block(1, 0), /no place there/],
  ])('a block %s is refused as invalid', (_what, bytes, message) => {
    expectInvalid(liveCluster(bytes), message);
  });

  test('a BlockGroup with two Blocks is refused', () => {
    expectUnsupported(liveCluster(group(block(1, 0), block(1, 1))), /second 0xA1/);
  });
});

describe('clusters to begin with', () => {
  test('a key cluster is told by the header of its first video block, before the picture has arrived', () => {
    const before = liveCluster();
    const simple = webm.simpleBlock(1, 12, KEY, new Uint8Array(5000));
    const { items, reportedAt } = scan(webm.concat(before, simple));
    const hint = items.findIndex((item) => item.type === 'keyCluster');
    expect(items[hint]).toEqual({
      type: 'keyCluster',
      start: webm.initSegment().length,
      blockStart: before.length,
      timestampMs: 1012,
    });
    expect(reportedAt[hint]).toBe(before.length + simple.length - 5000);
  });

  test('sound before the keyframe does not matter, and only the first picture counts', () => {
    const sound = webm.simpleBlock(2, 0, KEY);
    const soundFirst = webm.openCluster(0, sound, webm.simpleBlock(1, 1, KEY), webm.simpleBlock(1, 2, KEY));
    const keyLater = webm.openCluster(0, sound, webm.simpleBlock(1, 1), webm.simpleBlock(1, 2, KEY));
    const items = itemsOf(live(soundFirst, keyLater, webm.openCluster(0, sound)));
    expect(ofType(items, 'clusterEnd').map((end) => end.firstVideoBlockIsKeyframe)).toEqual([
      true,
      false,
      null,
    ]);
    expect(ofType(items, 'keyCluster').map(({ start }) => start)).toEqual([webm.initSegment().length]);
  });

  test('a first BlockGroup with a ReferenceBlock makes no key cluster', () => {
    const items = itemsOf(
      liveCluster(group(block(1, 0), webm.element(REFERENCE_BLOCK, [0xff])), group(block(1, 1))),
    );
    expect(ofType(items, 'keyCluster')).toEqual([]);
    expect(items.at(-1)).toMatchObject({ firstVideoBlockIsKeyframe: false });
  });

  test('a key BlockGroup is told when it is complete, just before it is reported', () => {
    const bytes = liveCluster(group(block(1, 0), webm.element(BLOCK_ADDITIONS, more())));
    const { items, reportedAt } = scan(bytes);
    expect(items.map((item) => item.type)).toEqual(['init', 'cluster', 'keyCluster', 'block', 'clusterEnd']);
    expect(reportedAt.slice(2)).toEqual([bytes.length, bytes.length]);
  });
});

describe('elements', () => {
  test.each([
    ['an id that starts with a zero byte', [0x00, 0x81]],
    ['an id longer than four bytes', [0x08, 0x81]],
    ['a one-byte id of ones', [0xff, 0x80]],
    ['a one-byte id of zeros', [0x80, 0x80]],
    ['a two-byte id of zeros', [0x40, 0x00, 0x80]],
    ['a two-byte id of ones', [0x7f, 0xff, 0x80]],
    ['an id not in its shortest form', [0x40, 0x23, 0x80]],
    ['a four-byte id of ones', [0x1f, 0xff, 0xff, 0xff, 0x80]],
    ['a size that starts with a zero byte', [0xec, 0x00]],
    ['a size above 2^53', [0xec, 0x01, 0x20, 0, 0, 0, 0, 0, 0]],
  ])('%s is refused as invalid', (_what, bytes) => {
    expectInvalid(webm.concat(liveCluster(), bytes), /.+/);
  });

  test('a two-byte id may say what one byte of ones cannot', () => {
    expect(blocksOf(liveCluster(webm.element(0x407f, [1]), webm.simpleBlock(1, 0)))).toHaveLength(1);
  });

  test('unknown elements are passed over in the Segment, and refused outside it', () => {
    const unknown = webm.element(0x4abc, [1, 2, 3]);
    expect(itemsOf(live(unknown, webm.openCluster(0)))).toHaveLength(3);
    expectInvalid(webm.concat(webm.ebmlHeader(), unknown), /no place there/);
  });

  test('a second EBML header is refused as unsupported, and what came before it stays', () => {
    const bytes = liveCluster(webm.simpleBlock(1, 0, KEY));
    const { items, failure } = scan(webm.concat(bytes, bytes));
    expect(failure).toMatchObject({ code: 'WEBM_UNSUPPORTED', details: { offset: bytes.length } });
    expect(items.at(-1)).toMatchObject({ type: 'clusterEnd', end: bytes.length });
  });

  test('a second Segment is refused', () => {
    expectInvalid(live(webm.openElement(SEGMENT)), /no place there/);
    const closed = webm.element(SEGMENT, webm.info(), webm.tracks(webm.videoTrack()), webm.cluster(0));
    expectInvalid(webm.concat(webm.ebmlHeader(), closed, closed), /no place there/);
  });
});

describe('limits', () => {
  test('Tracks above its limit are refused before they are held', () => {
    const header = webm.concat(webm.ebmlHeader(), webm.openElement(SEGMENT, webm.idBytes(0x1654ae6b)));
    expectUnsupported(webm.concat(header, webm.vint(1024 * 1024 + 1, 8)), /1048577 bytes: at most 1048576/);
    expectUnsupported(webm.concat(header, webm.vint(101, 8)), /101 bytes/, { maxHeldElementBytes: 100 });
  });

  test('blocks, groups and other elements above their limit are refused by their header alone', () => {
    for (const id of [0xa3, BLOCK_GROUP, VOID, 0x4abc]) {
      const bytes = webm.concat(liveCluster(), webm.idBytes(id), webm.vint(1001, 8));
      expectUnsupported(bytes, /1001 bytes: at most 1000/, { maxPassedElementBytes: 1000 });
    }
  });
});

describe('life of a scanner', () => {
  test('a failed scanner throws the same error again and owes what it had found before the fault', () => {
    const good = liveCluster(webm.simpleBlock(1, 0, KEY));
    const scanner = new WebmScanner();
    const push = (bytes: Uint8Array) => {
      try {
        return scanner.push(bytes);
      } catch (error) {
        return error;
      }
    };
    const first = push(webm.concat(good, [0]));
    expect(first).toBeInstanceOf(CodedError);
    expect(push(webm.simpleBlock(1, 0, KEY))).toBe(first);
    expect(scanner.finish().map((item) => item.type)).toEqual([
      'init',
      'cluster',
      'keyCluster',
      'block',
      'clusterEnd',
    ]);
    expect(scanner.offset).toBe(good.length + 1);
  });

  test('a torn tail is no error: the last Cluster ends after its last whole block', () => {
    const whole = liveCluster(webm.simpleBlock(1, 0, KEY));
    for (const tail of [webm.simpleBlock(1, 1), group(block(1, 1)), webm.idBytes(CLUSTER)]) {
      const { items, failure } = scan(webm.concat(whole, tail.slice(0, -1)));
      expect(failure).toBeNull();
      expect(items.at(-1)).toMatchObject({ type: 'clusterEnd', end: whole.length });
    }
  });

  test('a Cluster whose Timestamp is torn off is not reported', () => {
    expect(itemsOf(live(webm.openElement(CLUSTER, [0xe7, 0x82, 1]))).map((item) => item.type)).toEqual([
      'init',
    ]);
  });

  test('finishing changes nothing: a stream that goes on is scanned as if it had not been asked', () => {
    const blocks = [webm.simpleBlock(2, 0, KEY), webm.simpleBlock(1, 3, KEY), group(block(1, 36))];
    const bytes = live(webm.openCluster(0, ...blocks), webm.openCluster(2000, ...blocks));
    const scanner = new WebmScanner();
    const items: WebmItem[] = [];
    for (const piece of cutEvery(bytes, 5)) {
      items.push(...scanner.push(piece));
      expect(scanner.finish()).toEqual(scanner.finish());
    }
    expect([...items, ...scanner.finish()]).toEqual(scanPieces([bytes]).items);
  });

  test('an empty push says nothing', () => {
    const scanner = new WebmScanner();
    expect(scanner.push(new Uint8Array())).toEqual([]);
    expect(scanner.finish()).toEqual([]);
    expect(scanner.offset).toBe(0);
  });
});
