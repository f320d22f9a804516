import { WebmScanner, type WebmBlock, type WebmItem } from '@proofcast/shared';
import * as webm from '@proofcast/shared/testing/webm-bytes';
import { freshSeed, seededRandom, type Random } from '@proofcast/shared/testing/random';
import { loadWebmClip, loadWebmClips } from '@proofcast/shared/testing/webm-clip';
import { afterEach, describe, expect, test } from 'vitest';
import { FailingFolder } from '../../testing/failing-folder.ts';
import { JournaledRecording, ropeBytes } from '../../testing/journaled-recording.ts';
import type { JournalFolder } from '../journal/journal-files.ts';
import { ropeEtag } from './rope.ts';

const START_US = 1_790_000_000_000_000;
const KEY = 0x80;

const opened: JournaledRecording[] = [];
afterEach(() => Promise.all(opened.splice(0).map((recording) => recording.close())));

async function create(wrapFolder?: (folder: JournalFolder) => JournalFolder): Promise<JournaledRecording> {
  const recording = await JournaledRecording.create({
    startedAtUs: START_US,
    ...(wrapFolder === undefined ? {} : { wrapFolder }),
  });
  opened.push(recording);
  return recording;
}

interface Frame {
  readonly track: number;
  readonly timestampMs: number;
  readonly isKeyframe: boolean;
  readonly bytes: string;
}

const scan = (bytes: Uint8Array): WebmItem[] => {
  const scanner = new WebmScanner();
  return [...scanner.push(bytes), ...scanner.finish()];
};

const blocks = (bytes: Uint8Array): WebmBlock[] => scan(bytes).filter((item) => item.type === 'block');

/** The frames of a webm, their bytes included, as if its time zero were at `shiftMs`. */
function frames(bytes: Uint8Array, shiftMs = 0): Frame[] {
  return blocks(bytes).map((block) => ({
    track: block.trackNumber,
    timestampMs: block.timestampMs + shiftMs,
    isKeyframe: block.isKeyframe,
    bytes: Buffer.from(bytes.subarray(block.start, block.end)).toString('base64'),
  }));
}

function cutRandomly(bytes: Uint8Array, random: Random, longest = 20_000): Uint8Array[] {
  const pieces: Uint8Array[] = [];
  for (let start = 0; start < bytes.length;) {
    const end = Math.min(bytes.length, start + random.integer(1, longest));
    pieces.push(bytes.subarray(start, end));
    start = end;
  }
  return pieces;
}

const init = webm.concat(
  webm.ebmlHeader(),
  webm.openElement(0x18538067, webm.info(), webm.tracks(webm.videoTrack(), webm.audioTrack())),
);
const group = (...children: Uint8Array[]): Uint8Array => webm.element(0xa0, ...children);
const block = (track: number, ticks: number): Uint8Array =>
  webm.element(0xa1, webm.blockData(track, ticks, 0, [9, 9]));
/** What a recorder may write, and what only the standard allows. */
const ODD = webm.concat(
  init,
  webm.openCluster(0, webm.simpleBlock(2, 0, KEY), webm.simpleBlock(1, 3, KEY)),
  webm.cluster(40, webm.simpleBlock(2, 0, KEY)),
  webm.element(0x1254c367, [0x73, 0x73, 0x80]),
  webm.element(0xec, new Uint8Array(30)),
  webm.cluster(
    1000,
    group(block(1, 0), webm.element(0x75a1, [0xa6, 0x80]), webm.unsigned(0x9b, 20)),
    webm.element(0xec, [0]),
    group(block(1, 40), webm.element(0xfb, [0xff])),
  ),
  webm.cluster(1500),
  webm.openCluster(2000, webm.element(0xec, [0]), webm.simpleBlock(1, 0), webm.simpleBlock(1, 33, KEY)),
  webm.openCluster(3000, webm.simpleBlock(2, -25), webm.simpleBlock(1, -20, KEY), webm.simpleBlock(1, 7)),
);

describe('a rope', () => {
  const inputs = [
    ...loadWebmClips().map(({ name, bytes, slices }) => ({ name, bytes, slices })),
    { name: 'all forms', bytes: ODD, slices: [ODD] },
  ];

  test.each(inputs)(
    '[R5] of $name has every block, byte for byte, in clusters of known size',
    async (input) => {
      const recording = await create();
      recording.epoch();
      recording.media(input.slices);
      await recording.flush();
      const bytes = await ropeBytes(recording.rope());
      const original = frames(input.bytes);
      expect(original.length).toBeGreaterThan(5);
      expect(frames(bytes)).toEqual(original);

      const items = scan(bytes);
      const [first] = items;
      const clusters = items.filter((item) => item.type === 'cluster');
      const ends = items.filter((item) => item.type === 'clusterEnd');
      expect(first).toMatchObject({ type: 'init', end: clusters[0]?.start });
      for (const [n, { start, dataStart, timestampEnd }] of clusters.entries()) {
        expect([dataStart - start, timestampEnd - start]).toEqual([12, 22]);
        const size = Buffer.from(bytes).readBigUInt64BE(start + 4) & 0xff_ffff_ffff_ffffn;
        expect(dataStart + Number(size)).toBe(clusters[n + 1]?.start ?? bytes.length);
        expect(ends[n]?.end).toBe(dataStart + Number(size));
      }
      expect(bytes.readUInt32BE(segmentAt(bytes))).toBe(0x18538067);
      const segmentSize = bytes.readBigUInt64BE(segmentAt(bytes) + 4) & 0xff_ffff_ffff_ffffn;
      expect(segmentAt(bytes) + 12 + Number(segmentSize)).toBe(bytes.length);
    },
  );

  test('[R5] does not depend on how the bytes were cut into chunks, nor on events between them', async () => {
    const seed = freshSeed();
    const random = seededRandom(seed);
    for (const { name, bytes, slices } of inputs) {
      const whole = await create();
      whole.epoch();
      whole.media(slices);
      const expected = await ropeBytes(whole.rope());
      for (const longest of [1, 40, 3000, 50_000]) {
        if (longest === 1 && bytes.length > 30_000) continue;
        const recording = await create();
        recording.epoch();
        for (const piece of cutRandomly(bytes, random, longest + 1)) {
          recording.media([piece]);
          if (random.fraction() < 0.1) recording.event({ type: 'capture-stalled', data: {} });
          if (random.fraction() < 0.05) await recording.flush();
        }
        const made = await ropeBytes(recording.rope());
        expect(made.equals(expected), `seed ${seed}, ${name}, pieces up to ${longest}`).toBe(true);
      }
    }
  });

  test('[R4] [R5] puts epochs on one time line, with the clock of the publisher', async () => {
    const recording = await create();
    const [vp8, alpha] = [loadWebmClip('vp9'), loadWebmClip('vp9-alpha')];
    recording.epoch({ startedAtUs: START_US + 250_000 });
    recording.media(vp8.slices);
    recording.epoch({ startedAtUs: START_US + 60_250_000 });
    recording.media(vp8.slices);
    recording.epoch({ startedAtUs: START_US + 90_250_000 });
    recording.media(alpha.slices);
    await recording.flush();
    const ropes = recording.plans().map(({ part }) => recording.rope(part));
    const made: Frame[] = [];
    for (const rope of ropes) {
      const bytes = await ropeBytes(rope);
      const shiftMs = (rope.plan.startsAtUs - START_US) / 1000;
      made.push(...frames(bytes, shiftMs));
      expect(dateUtcUs(bytes)).toBe(rope.plan.startsAtUs);
    }
    expect(made).toEqual([
      ...frames(vp8.bytes, 250),
      ...frames(vp8.bytes, 60_250),
      ...frames(alpha.bytes, 90_250),
    ]);
  });

  test('[R6] has its cues in front, each at a cluster whose first picture is key, and tells its duration', async () => {
    for (const { name, bytes: original, slices } of inputs) {
      const recording = await create();
      recording.epoch();
      recording.media(slices);
      recording.epoch({ startedAtUs: START_US + 3_600_000_000 });
      recording.media(slices);
      const rope = recording.rope();
      const bytes = await ropeBytes(rope);
      const items = scan(bytes);
      const keys = items.filter((item) => item.type === 'keyCluster');
      const track = blocks(original).find(({ trackKind }) => trackKind === 'video')?.trackNumber;
      const dataStart = segmentAt(bytes) + 12;
      expect(cuesOf(bytes), name).toEqual(
        keys.map(({ start, timestampMs }) => ({ track, ms: timestampMs, position: start - dataStart })),
      );
      expect(keys.length, name).toBe(2 * scan(original).filter(({ type }) => type === 'keyCluster').length);
      const [first] = items;
      const lastMs = Math.max(...blocks(original).map(({ timestampMs }) => timestampMs));
      expect(first, name).toMatchObject({ durationMs: 3_600_000 + lastMs + 1 });
      expect(rope.durationMs, name).toBe(3_600_000 + lastMs + 1);
    }
  });

  test('[R6] without any key picture has no cues', async () => {
    const recording = await create();
    recording.epoch();
    recording.media([webm.concat(init, webm.openCluster(0, webm.simpleBlock(1, 0)))]);
    const bytes = await ropeBytes(recording.rope());
    expect(elementsOf(bytes).map(({ id }) => id)).toEqual([0x114d9b74, 0x1549a966, 0x1654ae6b, 0x1f43b675]);
    expect(recording.rope().durationMs).toBe(1);
  });

  test('[R6] whose first picture is before its cluster, and before zero, is found from zero on', async () => {
    const recording = await create();
    recording.epoch();
    recording.media([webm.concat(init, webm.openCluster(3, webm.simpleBlock(1, -8, KEY)))]);
    expect(cuesOf(await ropeBytes(recording.rope()))).toMatchObject([{ ms: 0 }]);
  });

  test('[R6] has a SeekHead that points at what it names', async () => {
    const recording = await create();
    recording.epoch();
    recording.media([ODD]);
    const bytes = await ropeBytes(recording.rope());
    const [seekHead, ...others] = elementsOf(bytes);
    const dataStart = segmentAt(bytes) + 12;
    const seeks = children(bytes.subarray(seekHead?.dataStart, seekHead?.end)).map(({ data }) => {
      const [id, position] = children(data).map((child) => child.data.readUIntBE(0, child.data.length));
      return { id, start: dataStart + (position ?? 0) };
    });
    expect(seeks).toEqual(others.slice(0, 3).map(({ id, start }) => ({ id, start })));
    expect(seeks).toHaveLength(3);
  });

  test('[R7] of the first chunks is the same while more come, when places move, and after a crash', async () => {
    const seed = freshSeed();
    const random = seededRandom(seed);
    for (const { name, bytes } of inputs) {
      const folder: FailingFolder[] = [];
      const recording = await create((real) => {
        folder.push(new FailingFolder(real));
        return folder[0] as FailingFolder;
      });
      const seen = new Map<number, { etag: string; bytes: Buffer; payloads: Buffer }>();
      const note = async (): Promise<void> => {
        const chunkCount = recording.index.nextSequence;
        for (const { part } of recording.plans()) {
          if (part !== recording.plans().length - 1) continue;
          const rope = recording.rope(part);
          const payloads = Buffer.concat(
            recording.maker.chunks
              .filter(({ kind, epoch }) => kind === 'media' && epoch === 0)
              .map(({ payload }) => payload),
          );
          seen.set(chunkCount, { etag: rope.etag, bytes: await ropeBytes(rope), payloads });
        }
      };
      for (const startedAtUs of [START_US, START_US + 8_000_000]) {
        recording.epoch({ startedAtUs });
        for (const piece of cutRandomly(bytes, random, Math.ceil(bytes.length / 6))) {
          recording.media([piece]);
          if (random.fraction() < 0.5) await note();
          if (random.fraction() < 0.3) {
            if (random.fraction() < 0.3) {
              // Never two in a row: then the journal itself would fail.
              folder[0]?.failures.splice(0);
              folder[0]?.failures.push({ operation: 'datasync', code: 'EIO', times: 1 });
            }
            await recording.flush();
          }
        }
        await note();
      }
      await recording.flush();
      const check = async (when: string): Promise<void> => {
        for (const [chunkCount, { etag, bytes: expected }] of seen) {
          const rope = recording.rope(0, chunkCount);
          const what = `seed ${seed}, ${name}, ${chunkCount} chunks, ${when}`;
          expect((await ropeBytes(rope)).equals(expected), what).toBe(true);
          expect(rope.etag, what).toBe(etag);
        }
      };
      expect(seen.size, `seed ${seed}`).toBeGreaterThan(1);
      for (const [chunkCount, { payloads, bytes: made }] of seen) {
        if (recording.index.epochs[1]!.firstSequence < chunkCount) continue;
        expect(frames(made), `seed ${seed}, ${name}, ${chunkCount} chunks`).toEqual(frames(payloads));
      }
      await check('grown');
      await recording.recover();
      await check('recovered');
    }
  });

  test('[R7] is the same for ever at every single byte', async () => {
    const recording = await create();
    recording.epoch();
    const seen: (Buffer | null)[] = [null, null];
    for (let at = 0; at < ODD.length; at++) {
      recording.media([ODD.subarray(at, at + 1)]);
      seen.push(recording.plans().length === 0 ? null : await ropeBytes(recording.rope()));
    }
    await recording.flush();
    const check = async (): Promise<void> => {
      for (const [chunkCount, expected] of seen.entries()) {
        if (expected === null) expect(recording.plans(chunkCount)).toEqual([]);
        else {
          const made = await ropeBytes(recording.rope(0, chunkCount));
          expect(made.equals(expected), `${chunkCount} chunks`).toBe(true);
          expect(frames(made), `${chunkCount} chunks`).toEqual(frames(ODD.subarray(0, chunkCount - 1)));
        }
      }
    };
    expect(seen.at(-1)).not.toBeNull();
    await check();
    await recording.recover();
    await check();
  });

  test('[R7] has a strong entity tag that names recording, part and number of chunks', async () => {
    const recording = await create();
    recording.epoch();
    recording.media(loadWebmClip('vp8').slices);
    const { recordingId } = recording.maker.start;
    expect(recording.rope().etag).toBe(
      ropeEtag(recordingId, { part: 0, chunkCount: recording.maker.chunks.length }),
    );
    const tags = [
      ropeEtag(recordingId, { part: 0, chunkCount: 5 }),
      ropeEtag(recordingId, { part: 1, chunkCount: 5 }),
      ropeEtag(recordingId, { part: 0, chunkCount: 4 }),
    ];
    expect(new Set(tags).size).toBe(3);
    for (const tag of tags) expect(tag).toMatch(/^"[\x21\x23-\x7e]+"$/);
  });

  test('[R8] any range has the bytes that the whole has there', async () => {
    const seed = freshSeed();
    const random = seededRandom(seed);
    for (const { name, bytes } of inputs) {
      const recording = await create();
      for (const startedAtUs of [START_US, START_US + 8_000_000]) {
        recording.epoch({ startedAtUs });
        recording.media(cutRandomly(bytes, random));
        if (startedAtUs === START_US) await recording.flush();
      }
      const rope = recording.rope();
      const whole = await ropeBytes(rope);
      expect(whole.length).toBe(rope.sizeBytes);
      for (let n = 0; n < 200; n++) {
        const start = random.integer(0, whole.length + 1);
        const end = Math.min(whole.length, start + random.integer(0, random.pick([3, 40, 3000, 100_000])));
        const made = await ropeBytes(rope, start, end);
        expect(made.equals(whole.subarray(start, end)), `seed ${seed}, ${name}, ${start}–${end}`).toBe(true);
      }
    }
  });

  test('[R8] refuses a range that it does not have, and fails when the journal is closed', async () => {
    const recording = await create();
    recording.epoch();
    recording.media([ODD]);
    await recording.flush();
    const rope = recording.rope();
    for (const [start, end] of [
      [-1, 5],
      [5, 4],
      [0, rope.sizeBytes + 1],
    ] as const) {
      expect(() => rope.read(start, end)).toThrow(RangeError);
    }
    await recording.journal.close();
    await expect(ropeBytes(rope)).rejects.toMatchObject({ code: 'STORAGE_FAILED' });
    expect((await ropeBytes(rope, 0, 20)).length).toBe(20);
  });

  test('[R8] may be left off in the middle', async () => {
    const recording = await create();
    recording.epoch();
    const pictures = webm.openCluster(0, webm.simpleBlock(1, 0, KEY, new Uint8Array(5_000_000)));
    recording.media([webm.concat(init, pictures)]);
    await recording.flush();
    const rope = recording.rope();
    for await (const bytes of rope.read(0, rope.sizeBytes)) {
      expect(bytes.length).toBeGreaterThan(0);
      break;
    }
    await recording.journal.close();
    const unread = rope.read(0, rope.sizeBytes);
    await unread.return(undefined);
  });

  test('[R5] tells where each cluster came from and where its blocks are in the file', async () => {
    const recording = await create();
    recording.epoch();
    recording.media(cutRandomly(ODD, seededRandom(7), 30));
    recording.epoch({ startedAtUs: START_US + 9_000_000 });
    recording.media([ODD]);
    await recording.flush();
    const rope = recording.rope();
    const bytes = await ropeBytes(rope);
    for (const epoch of rope.plan.epochs) {
      let end = recording.index.epochs[epoch.number]?.init?.length ?? 0;
      for (const cluster of rope.clusters(epoch)) {
        expect(cluster.sourceStart).toBeGreaterThanOrEqual(end);
        end = cluster.bodyEnd;
        const body = ODD.subarray(cluster.bodyStart, cluster.bodyEnd);
        const inFile = bytes.subarray(cluster.fileOffset, cluster.fileOffset + body.length);
        expect(inFile.equals(body)).toBe(true);
      }
      expect(end).toBe(ODD.length);
      expect([...rope.clusters(epoch)]).toHaveLength(6);
    }
  });
});

interface Place {
  readonly id: number;
  readonly start: number;
  readonly dataStart: number;
  readonly end: number;
}

/** Reads ids and sizes by itself, so that the writer is not checked with its own code. */
function header(bytes: Buffer, at: number): Place {
  const idLength = Math.clz32(bytes[at] ?? 0) - 23;
  const sizeLength = Math.clz32(bytes[at + idLength] ?? 0) - 23;
  const dataStart = at + idLength + sizeLength;
  let size = BigInt((bytes[at + idLength] ?? 0) & (0xff >> sizeLength));
  for (let i = 1; i < sizeLength; i++) size = size * 256n + BigInt(bytes[at + idLength + i] ?? 0);
  return { id: bytes.readUIntBE(at, idLength), start: at, dataStart, end: dataStart + Number(size) };
}

function children(bytes: Buffer): { id: number; data: Buffer }[] {
  const found: { id: number; data: Buffer }[] = [];
  for (let at = 0; at < bytes.length;) {
    const { id, dataStart, end } = header(bytes, at);
    found.push({ id, data: bytes.subarray(dataStart, end) });
    at = end;
  }
  return found;
}

const segmentAt = (bytes: Buffer): number => header(bytes, 0).end;

/** The children of the Segment. */
function elementsOf(bytes: Buffer): Place[] {
  const found: Place[] = [];
  for (let at = header(bytes, segmentAt(bytes)).dataStart; at < bytes.length;) {
    const place = header(bytes, at);
    found.push(place);
    at = place.end;
  }
  return found;
}

function dataOf(bytes: Buffer, id: number): Buffer {
  const place = elementsOf(bytes).find((element) => element.id === id);
  return bytes.subarray(place?.dataStart, place?.end);
}

function cuesOf(bytes: Buffer): { track: number; ms: number; position: number }[] {
  const numberIn = (data: Buffer): number => data.readUIntBE(0, data.length);
  return children(dataOf(bytes, 0x1c53bb6b)).map(({ data }) => {
    const [time, positions] = children(data);
    const [track, position] = children(positions?.data ?? Buffer.of());
    return {
      track: numberIn(track?.data ?? Buffer.of(0)),
      ms: numberIn(time?.data ?? Buffer.of(0)),
      position: numberIn(position?.data ?? Buffer.of(0)),
    };
  });
}

/** Microseconds since 1970. */
function dateUtcUs(bytes: Buffer): number {
  const date = children(dataOf(bytes, 0x1549a966)).find(({ id }) => id === 0x4461)?.data;
  return Number((date?.readBigInt64BE() ?? 0n) / 1000n) + Date.UTC(2001, 0, 1) * 1000;
}
