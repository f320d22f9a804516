import { WebmScanner, type Chunk, type WebmBlock, type WebmItem } from '@proofcast/shared';
import * as webm from '@proofcast/shared/testing/webm-bytes';
import { loadWebmClip, loadWebmClips } from '@proofcast/shared/testing/webm-clip';
import { freshSeed, seededRandom } from '@proofcast/shared/testing/random';
import { describe, expect, test } from 'vitest';
import { ChunkMaker } from '../../testing/chunk-maker.ts';
import { FailingFolder } from '../../testing/failing-folder.ts';
import { JournaledRecording } from '../../testing/journaled-recording.ts';
import type { StoredPayload } from '../journal/journal-tail.ts';
import { MAX_EPOCHS, RecordingIndex, type ClusterEntry, type IndexedChunk } from './recording-index.ts';

const IDS = { streamId: 'str_00000000000000000000', deviceId: 'dev_00000000000000000000' };

const START_US = 1_790_000_000_000_000;
const KEY = 0x80;

function newIndex(maxChunks = 100_000): RecordingIndex {
  return new RecordingIndex({ chain: new Uint8Array(32), maxChunks });
}

const inMemory = ({ payload }: Chunk): StoredPayload => ({
  isDurable: false,
  place: { kind: 'memory', bytes: payload },
});

const received = (chunk: Chunk): IndexedChunk => ({ ...chunk, receivedAtUs: chunk.captureTimeUs + 1000 });

function take(index: RecordingIndex, chunk: Chunk): void {
  index.check(received(chunk)).store(inMemory(chunk));
}

/** Cuts bytes into pieces of random lengths. */
function cut(bytes: Uint8Array, random: { integer(from: number, to: number): number }): Uint8Array[] {
  const pieces: Uint8Array[] = [];
  for (let start = 0; start < bytes.length;) {
    const end = Math.min(bytes.length, start + random.integer(1, 20_000));
    pieces.push(bytes.subarray(start, end));
    start = end;
  }
  return pieces;
}

/** A cluster with two pictures, the first one key. */
const pictures = (ticks: number): Uint8Array =>
  webm.openCluster(ticks, webm.simpleBlock(1, 0, KEY), webm.simpleBlock(1, 500));

/** A key picture every two seconds, and whatever number of chunks. */
function longIndex({ hours, chunksPerSecond }: { hours: number; chunksPerSecond: number }): RecordingIndex {
  const index = newIndex(1_000_000);
  const start = new ChunkMaker(IDS, START_US).epoch();
  take(index, start);
  const add = (payload: Uint8Array): void => {
    take(index, { ...start, kind: 'media', sequence: index.nextSequence, payload });
  };
  const count = Math.round(hours * 3600) * chunksPerSecond;
  for (let n = 0; n < count; n++) {
    const ms = (n * 1000) / chunksPerSecond;
    const isKey = ms % 2000 === 0;
    const init = n === 0 ? webm.initSegment() : [];
    const header = isKey ? webm.openCluster(ms) : [];
    add(webm.concat(init, header, webm.simpleBlock(1, ms % 2000, isKey ? KEY : 0)));
  }
  return index;
}

/** All that an index knows, except where the payloads are. */
function factsOf(index: RecordingIndex): unknown {
  const { nextSequence, chain, isStalled, newestKey, events, epochs, clusters } = index;
  return {
    entries: Array.from({ length: nextSequence }, (_value, sequence) => ({
      ...index.entry(sequence),
      stored: null,
      wholeEnd: index.chunks.wholeEnd(sequence),
      lastBlockTicks: index.chunks.lastBlockTicks(sequence),
    })),
    clusters: Array.from({ length: clusters.length }, (_value, row) => clusters.entry(row)),
    epochs: epochs.map(
      ({ number, start, init, tracks, firstSequence, streamEnd, wholeEnd, videoBlocks }) => ({
        number,
        start,
        init: Buffer.from(init ?? []).toString('hex'),
        tracks,
        firstSequence,
        streamEnd,
        wholeEnd,
        videoBlocks,
      }),
    ),
    chain: Buffer.from(chain).toString('hex'),
    isStalled,
    newestKey,
    events,
  };
}

describe('the index of a recording', () => {
  test('[V3] knows the exact init segment and the newest key cluster, however the bytes are cut', () => {
    const seed = freshSeed();
    const random = seededRandom(seed);
    for (const clip of loadWebmClips()) {
      const what = `seed ${seed}, ${clip.name}`;
      const items: WebmItem[] = new WebmScanner().push(clip.bytes);
      const init = items.find((item) => item.type === 'init');
      const keys = items.filter((item) => item.type === 'keyCluster');
      const index = newIndex();
      const maker = new ChunkMaker(IDS);
      take(index, maker.epoch());
      for (const piece of cut(clip.bytes, random)) for (const chunk of maker.media(piece)) take(index, chunk);

      const key = index.newestKey;
      expect(keys.length, what).toBeGreaterThan(1);
      expect(Buffer.from(index.epoch?.init ?? []).equals(clip.bytes.subarray(0, init?.end)), what).toBe(true);
      expect(key?.streamStart, what).toBe(keys.at(-1)?.start);
      const parts: Uint8Array[] = [];
      for (let n = key?.sequence ?? 0; n < index.nextSequence; n++) {
        const { stored } = index.entry(n) ?? {};
        if (stored?.place.kind === 'memory') parts.push(stored.place.bytes);
      }
      const fromKey = Buffer.concat(parts).subarray(key?.offset);
      expect(fromKey.equals(clip.bytes.subarray(key?.streamStart)), what).toBe(true);
    }
  });

  test('[I18] refuses more chunks than a recording may have', () => {
    const index = newIndex(3);
    const maker = new ChunkMaker(IDS);
    take(index, maker.epoch());
    for (const chunk of maker.media(loadWebmClip('vp8').bytes.subarray(0, 1000))) take(index, chunk);
    take(index, maker.event({ type: 'capture-stalled', data: {} }));
    const refused = expect.objectContaining({ code: 'RECORDING_FULL' });
    expect(() => index.check(received(maker.draft()))).toThrow(refused);
    expect(index.nextSequence).toBe(3);
  });

  test('[I18] refuses more events than a recording may have, and still takes media', () => {
    const index = newIndex(200_000);
    const maker = new ChunkMaker(IDS);
    const started = maker.epoch();
    take(index, started);
    const stalled = maker.event({ type: 'capture-stalled', data: {} });
    while (index.nextSequence < 100_000) take(index, { ...stalled, sequence: index.nextSequence });
    const refused = expect.objectContaining({ code: 'RECORDING_FULL' });
    expect(() => index.check(received({ ...stalled, sequence: index.nextSequence }))).toThrow(refused);
    take(index, { ...maker.draft({ payload: webm.initSegment() }), sequence: index.nextSequence });
    expect(index.nextSequence).toBe(100_001);
  });

  test('refuses more epochs than a recording may have, and still takes what belongs to the last one', () => {
    const index = newIndex();
    const maker = new ChunkMaker(IDS);
    for (let epoch = 0; epoch < MAX_EPOCHS; epoch += 1) take(index, maker.epoch());
    const next = { ...maker.epoch(), epoch: MAX_EPOCHS };
    expect(() => index.check(received(next))).toThrow(expect.objectContaining({ code: 'RECORDING_FULL' }));
    const last = maker.draft({ epoch: MAX_EPOCHS - 1, sequence: MAX_EPOCHS, payload: webm.initSegment() });
    take(index, last);
    expect(index.nextSequence).toBe(MAX_EPOCHS + 1);
  });

  test('refuses more clusters than a recording may have', () => {
    const index = new RecordingIndex({ chain: new Uint8Array(32), maxChunks: 100, maxClusters: 3 });
    const maker = new ChunkMaker(IDS);
    take(index, maker.epoch());
    for (const chunk of maker.media(webm.concat(webm.initSegment(), pictures(0), pictures(2000)))) {
      take(index, chunk);
    }
    for (const chunk of maker.media(webm.concat(pictures(4000), pictures(6000)))) {
      expect(() => index.check(received(chunk))).toThrow(expect.objectContaining({ code: 'RECORDING_FULL' }));
    }
    expect(index.clusters.length).toBe(2);
  });

  test('[R1] remembers every chunk, and which bytes of its epoch it holds', () => {
    const index = newIndex();
    const maker = new ChunkMaker(IDS);
    const random = seededRandom(11);
    for (const name of ['vp8', 'vp9-opus'] as const) {
      take(index, maker.epoch());
      for (const piece of cut(loadWebmClip(name).bytes, random)) {
        for (const chunk of maker.media(piece)) take(index, chunk);
        if (random.fraction() < 0.3) take(index, maker.event({ type: 'capture-stalled', data: {} }));
      }
    }
    const streamEnds = new Map<number, number>();
    for (const chunk of maker.chunks) {
      const { kind, epoch, sequence, captureTimeUs, payload } = chunk;
      const streamStart = streamEnds.get(epoch) ?? 0;
      const streamEnd = streamStart + (kind === 'media' ? payload.length : 0);
      streamEnds.set(epoch, streamEnd);
      expect(index.entry(sequence)).toEqual({
        kind,
        epoch,
        sequence,
        captureTimeUs,
        receivedAtUs: captureTimeUs + 1000,
        streamStart,
        streamEnd,
        stored: inMemory(chunk),
      });
      if (kind === 'event') continue;
      expect(index.chunks.find(epoch, streamStart)).toBe(sequence);
      expect(index.chunks.find(epoch, streamEnd - 1)).toBe(sequence);
    }
    for (const [epoch, streamEnd] of streamEnds) expect(index.chunks.find(epoch, streamEnd)).toBeNull();
    expect(index.chunks.find(2, 0)).toBeNull();
    for (const sequence of [-1, index.nextSequence]) expect(index.entry(sequence)).toBeNull();
  });

  test('[R1] knows every cluster and every epoch, however the bytes are cut', () => {
    const seed = freshSeed();
    const random = seededRandom(seed);
    for (const clip of loadWebmClips()) {
      const scanner = new WebmScanner();
      const items = [...scanner.push(clip.bytes), ...scanner.finish()];
      const index = newIndex();
      const maker = new ChunkMaker(IDS);
      take(index, maker.epoch());
      for (const piece of cut(clip.bytes, random)) for (const chunk of maker.media(piece)) take(index, chunk);
      const expected = items
        .filter((item) => item.type === 'cluster')
        .map((cluster, row): ClusterEntry => {
          const blocks = items.filter(
            (item) => item.type === 'block' && item.clusterStart === cluster.start,
          ) as WebmBlock[];
          const pictures = blocks.filter(({ trackKind }) => trackKind === 'video');
          const ends = items.filter((item) => item.type === 'clusterEnd');
          return {
            row,
            epoch: 0,
            sourceStart: cluster.start,
            bodyStart: cluster.timestampEnd,
            end: ends[row]?.end ?? 0,
            timestampTicks: cluster.timestamp,
            isKey: pictures[0]?.isKeyframe ?? false,
            firstVideoTicks: pictures[0]?.timestampMs ?? null,
            lastVideoTicks: pictures.at(-1)?.timestampMs ?? null,
            lastBlockTicks: Math.max(...blocks.map(({ timestampMs }) => timestampMs)),
            videoBlocks: pictures.length,
          };
        });
      const what = `seed ${seed}, ${clip.name}`;
      const found = expected.map((_cluster, row) => index.clusters.entry(row));
      expect(found, what).toEqual(expected);
      expect(index.clusters.entry(expected.length), what).toBeNull();
      expect(index.clusters.entry(-1), what).toBeNull();
      const [epoch] = index.epochs;
      const pictures = expected.reduce((sum, { videoBlocks }) => sum + videoBlocks, 0);
      expect(epoch, what).toMatchObject({
        number: 0,
        firstSequence: 0,
        firstCluster: 0,
        videoBlocks: pictures,
      });
      expect(epoch?.lastPictureMs, what).toBe(
        expected.findLast((c) => c.lastVideoTicks !== null)?.lastVideoTicks,
      );
      expect([epoch?.streamEnd, epoch?.wholeEnd], what).toEqual([clip.bytes.length, clip.bytes.length]);
    }
  });

  test('[R1] follows a payload from memory into the file, and takes its place for final only then', () => {
    const index = newIndex();
    const maker = new ChunkMaker(IDS);
    const stored: StoredPayload[] = [];
    const add = (chunk: Chunk): void => {
      stored.push(inMemory(chunk));
      index.check(received(chunk)).store(stored.at(-1) as StoredPayload);
    };
    add(maker.epoch());
    for (let n = 0; n < 40; n++) add(maker.event({ type: 'capture-stalled', data: {} }));
    const move = (segment: number, isDurable: boolean): void => {
      for (const [sequence, one] of stored.entries()) {
        one.place = { kind: 'file', segment, start: sequence * 1000, byteLength: 1 };
        one.isDurable = isDurable;
      }
    };
    const places = (): unknown[] => stored.map((_one, sequence) => index.entry(sequence)?.stored.place);
    move(0, false);
    add(maker.event({ type: 'capture-resumed', data: {} }));
    expect(places()).toEqual(stored.map(({ place }) => place));
    move(3, true);
    expect(places()).toEqual(stored.map(({ place }) => place));
    add(maker.event({ type: 'capture-stalled', data: {} }));
    const settled = index.entry(7)?.stored;
    expect(settled).not.toBe(stored[7]);
    const { byteLength } = { byteLength: maker.chunks[7]?.payload.length ?? 0 };
    expect(settled).toEqual({
      isDurable: true,
      place: { kind: 'file', segment: 3, start: 7000, byteLength },
    });
    expect(index.entry(stored.length - 1)?.stored).toBe(stored.at(-1));
  });

  test('[R1] is the same from the journal as it was, also when the disk fails before, during and after', async () => {
    const seed = freshSeed();
    const random = seededRandom(seed);
    const folders: FailingFolder[] = [];
    const recording = await JournaledRecording.create({
      wrapFolder(real) {
        folders.push(new FailingFolder(real));
        return folders[0] as FailingFolder;
      },
    });
    // Never two in a row: then the journal itself would fail.
    const failNextSync = (): void => {
      folders[0]?.failures.splice(0);
      folders[0]?.failures.push({ operation: 'datasync', code: 'EIO', times: 1 });
    };
    try {
      for (const name of ['vp8-opus', 'vp9'] as const) {
        recording.epoch();
        for (const piece of cut(loadWebmClip(name).bytes, random)) {
          recording.media([piece]);
          if (random.fraction() < 0.2) failNextSync();
          if (random.fraction() < 0.5) await recording.flush();
        }
        recording.event({ type: 'capture-stalled', data: {} });
      }
      await recording.flush();
      const before = factsOf(recording.index);
      for (const fails of [false, true, false]) {
        // What is not confirmed by a later record is written again, and then into a new file.
        if (fails) failNextSync();
        await recording.recover();
        expect(factsOf(recording.index), `seed ${seed}`).toEqual(before);
        for (const { sequence, payload } of recording.maker.chunks) {
          const { stored } = recording.index.entry(sequence) ?? {};
          const bytes = stored === undefined ? null : await recording.journal.readPayload(stored);
          expect(bytes !== null && Buffer.compare(bytes, payload) === 0, `seed ${seed}, ${sequence}`).toBe(
            true,
          );
        }
      }
    } finally {
      await recording.close();
    }
  });

  test('[R1] takes at most 8 MiB for eight hours at four chunks a second', () => {
    const index = longIndex({ hours: 8, chunksPerSecond: 4 });
    expect(index.nextSequence).toBe(8 * 3600 * 4 + 1);
    expect(index.clusters.length).toBe(8 * 1800);
    expect(index.chunks.byteLength + index.clusters.byteLength).toBeLessThan(8 * 1024 * 1024);
  });

  test('[R2] finds the key point of a time, and the next one', () => {
    const index = longIndex({ hours: 0.01, chunksPerSecond: 1 });
    const atMs = (ms: number): number | null => {
      const point = index.keyPointAt(START_US + ms * 1000);
      return point === null ? null : (point.timeUs - START_US) / 1000;
    };
    expect([0, 1, 1999, 2000, 2001, 35_999, 1e9].map(atMs)).toEqual([0, 0, 0, 2000, 2000, 34_000, 34_000]);
    expect(atMs(-5)).toBe(0);
    const times: number[] = [];
    for (let point = index.keyPointAt(0); point !== null; point = index.nextKeyPoint(point)) {
      times.push((point.timeUs - START_US) / 1000);
      const entry = index.entry(point.sequence);
      expect((entry?.streamStart ?? 0) + point.offset).toBe(point.streamStart);
      expect(point.streamStart).toBeLessThan(entry?.streamEnd ?? 0);
    }
    expect(times).toEqual(Array.from({ length: 18 }, (_value, n) => n * 2000));
    expect(index.newestKey).toEqual(index.keyPointAt(Number.MAX_SAFE_INTEGER));
    expect(newIndex().keyPointAt(0)).toBeNull();
  });

  test('[R2] takes the newest key point that is not too late when the clock was set back', () => {
    const index = newIndex();
    const maker = new ChunkMaker(IDS, START_US);
    for (const startMs of [0, 100_000, 50_000]) {
      take(index, maker.epoch({ startedAtUs: START_US + startMs * 1000 }));
      for (const chunk of maker.media(webm.concat(webm.initSegment(), pictures(0), pictures(2000)))) {
        take(index, chunk);
      }
    }
    const find = (ms: number): unknown[] => {
      const point = index.keyPointAt(START_US + ms * 1000);
      return [point?.epoch, ((point?.timeUs ?? 0) - START_US) / 1000];
    };
    expect([1000, 2000, 49_000, 50_000, 101_000, 200_000].map(find)).toEqual([
      [0, 0],
      [0, 2000],
      [0, 2000],
      [2, 50_000],
      [2, 52_000],
      [2, 52_000],
    ]);
    const firstOfSecond = index.nextKeyPoint(index.keyPointAt(START_US + 2_000_000)!);
    expect(firstOfSecond).toMatchObject({ epoch: 1, timeUs: START_US + 100_000_000 });
    expect(index.nextKeyPoint(index.newestKey!)).toBeNull();
  });

  test('[I7] takes no media after an epoch has ended, until the next one begins', () => {
    const index = newIndex();
    const maker = new ChunkMaker(IDS);
    take(index, maker.epoch());
    const bytes = webm.concat(webm.initSegment(), pictures(0));
    for (const chunk of maker.media(bytes.subarray(0, -1))) take(index, chunk);
    take(index, maker.event({ type: 'epoch-ended', data: { reason: 'stopped' } }));
    const late = maker.draft({ payload: bytes.subarray(-1) });
    const invalid = expect.objectContaining({ code: 'CHUNK_EPOCH_INVALID' });
    expect(() => index.check(received(late))).toThrow(invalid);
    expect(() => index.check(received(late))).toThrow(invalid);
    take(index, maker.event({ type: 'paused', data: { reason: 'person' } }));
    take(index, maker.epoch());
    for (const chunk of maker.media(bytes)) take(index, chunk);
    expect(index.epochs.map(({ videoBlocks }) => videoBlocks)).toEqual([1, 2]);
    expect(index.events.map(({ sequence, epoch, event }) => [sequence, epoch, event.type])).toEqual([
      [0, 0, 'epoch-started'],
      [2, 0, 'epoch-ended'],
      [3, 0, 'paused'],
      [4, 1, 'epoch-started'],
    ]);
  });

  test('[I7] begins with epoch 0 and counts up by one, each epoch with its event first', () => {
    const index = newIndex();
    const maker = new ChunkMaker(IDS);
    const started = maker.epoch();
    const invalid = { code: 'CHUNK_EPOCH_INVALID' };
    expect(() => index.check(received({ ...started, epoch: 1 }))).toThrow(expect.objectContaining(invalid));
    expect(() => index.check(received(maker.draft()))).toThrow(expect.objectContaining(invalid));
    take(index, started);
    expect(() => index.check(received({ ...started, sequence: 1 }))).toThrow(
      expect.objectContaining(invalid),
    );
    expect(() => index.check(received({ ...started, sequence: 1, epoch: 2 }))).toThrow(
      expect.objectContaining(invalid),
    );
    expect(() => index.check(received(maker.draft({ epoch: 1 })))).toThrow(expect.objectContaining(invalid));
    const stalled = maker.event({ type: 'capture-stalled', data: {} });
    expect(() => index.check(received({ ...stalled, epoch: 1 }))).toThrow(expect.objectContaining(invalid));
    take(index, stalled);
    expect(index.isStalled).toBe(true);
    take(index, maker.epoch());
    expect(index.epoch?.number).toBe(1);
    expect(index.isStalled).toBe(false);
  });

  test('[I4] refuses an event that is none', () => {
    const index = newIndex();
    const maker = new ChunkMaker(IDS);
    take(index, maker.epoch());
    for (const text of ['', '{', '{"type":"no-such"}', '{"type":"epoch-started","data":{}}', '[]']) {
      const chunk = maker.draft({ kind: 'event', payload: Buffer.from(text) });
      expect(() => index.check(received(chunk)), text).toThrow(
        expect.objectContaining({ code: 'EVENT_INVALID' }),
      );
    }
    const noUtf8 = maker.draft({ kind: 'event', payload: Uint8Array.of(0xff, 0xfe) });
    expect(() => index.check(received(noUtf8))).toThrow(expect.objectContaining({ code: 'EVENT_INVALID' }));
    const large = JSON.stringify({ type: 'resumed', data: { padding: 'x'.repeat(4096) } });
    const tooLarge = maker.draft({ kind: 'event', payload: Buffer.from(large) });
    expect(() => index.check(received(tooLarge))).toThrow(expect.objectContaining({ code: 'EVENT_INVALID' }));
    expect(index.nextSequence).toBe(1);
  });

  test('[I4] keeps of an event only what its schema names', () => {
    const index = newIndex();
    const maker = new ChunkMaker(IDS);
    take(index, maker.epoch());
    const text = JSON.stringify({ type: 'paused', data: { reason: 'person', padding: 'x'.repeat(1000) } });
    take(index, maker.draft({ kind: 'event', payload: Buffer.from(text) }));
    expect(index.events.at(-1)?.event).toEqual({ type: 'paused', data: { reason: 'person' } });
  });

  test('[I8] keeps an epoch refused after bytes that are no webm, until the next one begins', () => {
    const clip = loadWebmClip('vp9');
    const index = newIndex();
    const maker = new ChunkMaker(IDS);
    take(index, maker.epoch());
    const garbage = maker.draft({ payload: Buffer.from('this is no webm') });
    expect(() => index.check(received(garbage))).toThrow(expect.objectContaining({ code: 'WEBM_INVALID' }));
    const good = maker.draft({ payload: clip.bytes.subarray(0, 1000) });
    expect(() => index.check(received(good))).toThrow(expect.objectContaining({ code: 'WEBM_INVALID' }));
    expect(index.nextSequence).toBe(1);
    take(index, maker.epoch());
    for (const slice of clip.slices) for (const chunk of maker.media(slice)) take(index, chunk);
    expect(index.newestKey?.epoch).toBe(1);
  });

  test('refuses an epoch whose clusters never begin, before it fills the memory', () => {
    const index = newIndex();
    const maker = new ChunkMaker(IDS);
    take(index, maker.epoch());
    // A Void element of 50 MB, which may stand anywhere.
    for (const chunk of maker.media(segmentWithVoid(50_000_000))) take(index, chunk);
    const filler = maker.draft({ payload: new Uint8Array(1024 * 1024) });
    const unsupported = expect.objectContaining({ code: 'WEBM_UNSUPPORTED' });
    expect(() => index.check(received(filler))).toThrow(unsupported);
    expect(() => index.check(received(filler))).toThrow(unsupported);
  });
});

function segmentWithVoid(byteLength: number): Buffer {
  const header = loadWebmClip('vp8').bytes;
  const segmentAt = Buffer.from(header).indexOf(Buffer.of(0x18, 0x53, 0x80, 0x67));
  const size = Buffer.alloc(8);
  size.writeBigUInt64BE(BigInt(byteLength) | (1n << 56n));
  return Buffer.concat([header.subarray(0, segmentAt + 12), Buffer.of(0xec), size]);
}
