import { setImmediate } from 'node:timers/promises';
import { CodedError } from '@proofcast/shared';
import { freshSeed, seededRandom, type Random } from '@proofcast/shared/testing/random';
import { initSegment, openCluster, simpleBlock } from '@proofcast/shared/testing/webm-bytes';
import { loadWebmClip, loadWebmClips } from '@proofcast/shared/testing/webm-clip';
import { describe, expect, test } from 'vitest';
import { CollectingSink } from '../testing/collecting-sink.ts';
import { MemoryRecording, RecordingFeed } from '../testing/memory-recording.ts';
import { allKeyPoints, checkSinkLog } from '../testing/reader-runs.ts';

const LIMITS = { maxViewerBufferBytes: 100_000, maxViewerLagMs: 10_000 };
const SMALL = { maxViewerBufferBytes: 1_000, maxViewerLagMs: 10_000 };
const VP8 = loadWebmClip('vp8');
const VP9 = loadWebmClip('vp9');
const STARTED_AT_US = 1_800_000_000_000_000;

function newFeed(readDelays?: () => number): RecordingFeed {
  return new RecordingFeed(new MemoryRecording(readDelays));
}

/** Lets everything that waits for a turn of the event loop happen. */
async function settle(): Promise<void> {
  for (let turn = 0; turn < 60; turn++) await setImmediate();
}

function cutRandomly(bytes: Uint8Array, random: Random, most = 6_000): Uint8Array[] {
  const pieces: Uint8Array[] = [];
  for (let at = 0; at < bytes.length;) {
    const end = Math.min(bytes.length, at + random.integer(1, most));
    pieces.push(bytes.subarray(at, end));
    at = end;
  }
  return pieces;
}

/** A key cluster of one second that begins at `seconds`, with a picture that is like no other. */
function second(seconds: number, pictureBytes = 2_000): Uint8Array {
  const picture = seededRandom(seconds + 1).bytes(pictureBytes);
  return openCluster(seconds * 1000, simpleBlock(1, 0, 0x80, picture), simpleBlock(1, 500, 0, picture));
}

/** Epochs of so many seconds each, with a pause of ten seconds between them. */
function feedSeconds(feed: RecordingFeed, ...lengths: number[]): void {
  lengths.forEach((length, number) => {
    feed.epoch({ startedAtUs: epochStartUs(number) });
    feed.media(initSegment());
    for (let n = 0; n < length; n++) feed.media(second(n + 100 * number));
  });
}
const epochStartUs = (epoch: number): number => STARTED_AT_US + epoch * 60_000_000;
/** Wall clock of a second that `feedSeconds` made. */
const timeUs = (epoch: number, seconds: number): number =>
  epochStartUs(epoch) + (seconds + 100 * epoch) * 1_000_000;

describe('a live outbox', () => {
  test('[V3] gives any reader, whenever it joins, the init segment and all from a key cluster on, byte-exact', async () => {
    const seed = freshSeed();
    const random = seededRandom(seed);
    const feed = newFeed(() => random.integer(0, 4));
    const sinks: CollectingSink[] = [];
    for (const clip of loadWebmClips()) {
      feed.epoch();
      for (const piece of cutRandomly(clip.bytes, random)) {
        if (random.fraction() < 0.3) {
          const sink = new CollectingSink();
          sinks.push(sink);
          feed.recording.addReader(sink, { limits: LIMITS });
        }
        feed.media(piece);
        for (let turns = random.integer(0, 5); turns > 0; turns--) await setImmediate();
      }
    }
    await settle();
    expect(sinks.length).toBeGreaterThan(5);
    for (const [n, sink] of sinks.entries()) {
      const what = `seed ${seed}, reader ${n}`;
      const runs = checkSinkLog(sink.log, feed, what);
      expect(runs.at(-1)?.end, what).toBe(feed.epochs.at(-1)?.length);
    }
  });

  test('[V3] sends the payload of a live chunk to all readers without copying it', async () => {
    const feed = newFeed();
    feed.epoch();
    feed.media(VP8.slices[0] ?? Buffer.of());
    const sinks = [new CollectingSink(), new CollectingSink()];
    for (const sink of sinks) feed.recording.addReader(sink, { limits: LIMITS });
    await settle();
    feed.media(VP8.slices[1] ?? Buffer.of());
    for (const sink of sinks) expect(sink.frames.at(-1)?.payload).toBe(feed.maker.chunks.at(-1)?.payload);
  });

  test('[V3] sends nothing before there is a key cluster, then all from there', async () => {
    const feed = newFeed();
    const sink = new CollectingSink();
    feed.recording.addReader(sink, { limits: LIMITS });
    feed.epoch();
    const init = initSegment();
    const cluster = second(0);
    // Up to the middle of the header of the first cluster.
    feed.media(Buffer.concat([init, cluster.subarray(0, 6)]));
    await settle();
    expect(sink.log).toEqual([]);
    feed.media(cluster.subarray(6));
    await settle();
    expect(sink.media.equals(cluster)).toBe(true);
    expect(sink.log[0]).toMatchObject({ type: 'epoch', epoch: { number: 0 }, offsetUs: 5 });
  });

  test('[V4] tells a new epoch and marks its init segment as a discontinuity', async () => {
    const feed = newFeed();
    const sink = new CollectingSink();
    feed.recording.addReader(sink, { limits: LIMITS });
    feed.epoch({ mimeType: VP8.mimeType });
    VP8.slices.forEach((slice) => feed.media(slice));
    await settle();
    feed.event({ type: 'capture-stalled', data: {} });
    feed.epoch({ mimeType: VP9.mimeType });
    VP9.slices.forEach((slice) => feed.media(slice));
    await settle();
    const runs = checkSinkLog(sink.log, feed, 'two epochs');
    expect(runs.map(({ epoch, isDiscontinuity, end }) => [epoch, isDiscontinuity, end])).toEqual([
      [0, false, VP8.bytes.length],
      [1, true, VP9.bytes.length],
    ]);
  });

  test('[V5] cuts a reader that holds too much to a later key cluster, and leaves the others alone', async () => {
    const seed = freshSeed();
    const random = seededRandom(seed);
    const feed = newFeed();
    const [slow, quick] = [new CollectingSink(), new CollectingSink()];
    const limits = { maxViewerBufferBytes: 15_000, maxViewerLagMs: 10_000 };
    for (const sink of [slow, quick]) feed.recording.addReader(sink, { limits });
    feed.epoch();
    for (const piece of cutRandomly(VP8.bytes, random, 2_000)) {
      feed.media(piece);
      await setImmediate();
      await setImmediate();
      if (random.fraction() < 0.05) slow.isStuck = true;
      if (random.fraction() < 0.05) {
        slow.isStuck = false;
        slow.drain();
      }
      expect(slow.bufferedBytes, `seed ${seed}`).toBeLessThanOrEqual(15_000 + 4_000);
    }
    slow.isStuck = false;
    slow.drain();
    await settle();
    checkSinkLog(slow.log, feed, `seed ${seed}, slow`);
    const runs = checkSinkLog(quick.log, feed, `seed ${seed}, quick`);
    expect(runs).toMatchObject([{ end: VP8.bytes.length }]);
  });

  test('[V5] goes on at the next key cluster once the reader takes data again', async () => {
    const feed = newFeed();
    const sink = new CollectingSink();
    feed.epoch();
    feed.media(Buffer.concat([initSegment(), second(0)]));
    feed.recording.addReader(sink, { limits: SMALL });
    await settle();
    sink.isStuck = true;
    feed.media(second(1));
    feed.media(second(2));
    const sentBefore = sink.frames.length;
    sink.isStuck = false;
    sink.drain();
    // What was left out is not made up for: nothing comes before the next key cluster.
    feed.event({ type: 'capture-stalled', data: {} });
    await settle();
    feed.media(simpleBlock(1, 900));
    await settle();
    expect(sink.frames.slice(sentBefore).map(({ kind }) => kind)).toEqual(['init', 'media', 'media']);
    feed.media(second(3));
    await settle();
    const runs = checkSinkLog(sink.log, feed, 'cut');
    expect(runs.map(({ isDiscontinuity }) => isDiscontinuity)).toEqual([false, true]);
    expect(runs.at(-1)?.end).toBe(feed.epochs[0]?.length);
  });

  test('[V5] is not sent again what it has, when it takes data again before there is another key cluster', async () => {
    const feed = newFeed();
    const sink = new CollectingSink();
    feed.epoch();
    feed.media(Buffer.concat([initSegment(), second(0)]));
    feed.recording.addReader(sink, { limits: SMALL });
    await settle();
    sink.isStuck = true;
    for (let n = 0; n < 3; n++) feed.media(simpleBlock(1, 510 + n, 0, seededRandom(n).bytes(1_500)));
    sink.isStuck = false;
    sink.drain();
    const sentBefore = sink.frames.length;
    feed.media(simpleBlock(1, 600));
    await settle();
    expect(sink.frames.length).toBe(sentBefore);
    feed.media(second(1));
    await settle();
    expect(checkSinkLog(sink.log, feed, 'cut').map(({ start }) => start)).toEqual(
      allKeyPoints(feed).map(({ streamStart }) => streamStart),
    );
  });

  test('[V5] ends a reader that takes nothing for too long, live or catching up', async () => {
    for (const isStuckFromTheStart of [true, false]) {
      const feed = newFeed();
      const sink = new CollectingSink();
      let nowMs = 0;
      let ended = 0;
      feed.epoch();
      feed.media(VP8.bytes.subarray(0, 10_000));
      feed.media(VP8.bytes.subarray(10_000, 20_000));
      sink.isStuck = isStuckFromTheStart;
      const onEnded = () => (ended += 1);
      feed.recording.addReader(sink, { limits: SMALL, nowMs: () => nowMs, onEnded });
      await settle();
      sink.isStuck = true;
      for (let at = 20_000; at < 60_000; at += 1_000) {
        nowMs += 600;
        feed.media(VP8.bytes.subarray(at, at + 1_000));
      }
      if (isStuckFromTheStart) expect(sink.frames.map((frame) => frame.kind)).toEqual(['init']);
      expect(sink.ended).toMatchObject({ code: 'VIEWER_TOO_SLOW' });
      expect([ended, feed.recording.readerCount]).toEqual([1, 0]);
      const { length } = sink.log;
      sink.isStuck = false;
      sink.drain();
      await settle();
      expect(sink.log.length).toBe(length);
    }
  });

  test('[V5] lets a reader take long for what is ahead of it, as long as it takes something', async () => {
    const feed = newFeed(() => 0);
    const sink = new CollectingSink();
    let nowMs = 0;
    feed.epoch();
    sink.isStuck = true;
    for (let at = 0; at < 25_000; at += 1_000) feed.media(VP8.bytes.subarray(at, at + 1_000));
    feed.recording.addReader(sink, { limits: LIMITS, nowMs: () => nowMs });
    await settle();
    for (let at = 25_000; at < 28_000; at += 200) {
      nowMs += 6_000;
      sink.drain();
      await settle();
      feed.media(VP8.bytes.subarray(at, at + 200));
    }
    expect(nowMs).toBeGreaterThan(LIMITS.maxViewerLagMs);
    expect(sink.ended).toBeUndefined();
    expect(checkSinkLog(sink.log, feed, 'slow but steady')).toHaveLength(1);
  });

  test('[V5] never falls back further and further behind a stream that is a little too fast for its reader', async () => {
    const feed = newFeed(() => 0);
    const sink = new CollectingSink();
    sink.isStuck = true;
    const limits = { maxViewerBufferBytes: 8_000, maxViewerLagMs: 10_000 };
    let nowMs = 0;
    feed.epoch();
    feed.media(initSegment());
    feed.media(second(0, 1_000));
    feed.recording.addReader(sink, { limits, nowMs: () => nowMs });
    let largestLag = 0;
    for (let n = 1; n <= 600; n++) {
      for (let quarter = 0; quarter < 4; quarter++) {
        nowMs += 250;
        sink.drainBytes(400);
        await setImmediate();
        await setImmediate();
      }
      feed.media(second(n, 1_000));
      const last = sink.frames.at(-1);
      const sentEnd = feed.index.entry(last?.sequence ?? 0)?.streamEnd ?? 0;
      largestLag = Math.max(largestLag, (feed.epochs[0]?.length ?? 0) - sentEnd + sink.bufferedBytes);
    }
    expect(sink.ended).toBeUndefined();
    // Two thousand bytes are a second of the stream; it would be two minutes behind.
    expect(largestLag).toBeLessThan(2 * limits.maxViewerBufferBytes);
    const runs = checkSinkLog(sink.log, feed, 'a little too slow');
    expect(runs.filter(({ isDiscontinuity }) => isDiscontinuity).length).toBeGreaterThan(5);
  });

  test('[V5] does not take a reader for stuck whose bytes leave behind those of others, however long', async () => {
    const feed = newFeed(() => 0);
    const sink = new CollectingSink();
    sink.isStuck = true;
    let nowMs = 0;
    feedSeconds(feed, 2);
    feed.recording.addReader(sink, { limits: LIMITS, nowMs: () => nowMs });
    await settle();
    for (let n = 2; n < 12; n++) {
      nowMs += 6_000;
      // As much is put in by others as has left.
      sink.leftBytes += 1_000;
      feed.media(second(n));
    }
    expect(sink.ended).toBeUndefined();
    for (let n = 12; n < 15; n++) {
      nowMs += 6_000;
      feed.media(second(n));
    }
    expect(sink.ended).toMatchObject({ code: 'VIEWER_TOO_SLOW' });
  });

  test('[V5] does not take a reader for stuck while the disk is', async () => {
    const feed = newFeed(() => 1_000);
    const sink = new CollectingSink();
    let nowMs = 0;
    feedSeconds(feed, 2);
    feed.recording.addReader(sink, { limits: LIMITS, nowMs: () => nowMs });
    await settle();
    expect(sink.frames.map(({ kind }) => kind)).toEqual(['init']);
    for (let n = 2; n < 6; n++) {
      nowMs += 6_000;
      feed.media(second(n));
    }
    expect(sink.ended).toBeUndefined();
  });

  test('ends a reader with the code when its chunks cannot be read, and is silent after it was closed', async () => {
    const feed = newFeed();
    const [broken, closed] = [new CollectingSink(), new CollectingSink()];
    feedSeconds(feed, 3);
    feed.recording.readFailure = new CodedError('STORAGE_FAILED', 'no disk');
    feed.recording.addReader(broken, { limits: LIMITS });
    await settle();
    expect(broken.ended).toMatchObject({ code: 'STORAGE_FAILED' });
    expect(feed.recording.readerCount).toBe(0);
    feed.recording.readFailure = null;
    const reader = feed.recording.addReader(closed, { limits: LIMITS });
    reader.close();
    reader.end(new CodedError('STREAM_OFFLINE', 'over'));
    reader.seek({ fromUs: 0, untilUs: null });
    reader.live();
    reader.extend(Number.MAX_SAFE_INTEGER);
    feed.media(second(3));
    await settle();
    expect(closed.log).toEqual([]);
  });
});

describe('a rewound outbox', () => {
  test('[V8] begins at the newest key cluster that is not later, in any epoch, and comes back to live without a hole', async () => {
    const feed = newFeed();
    feedSeconds(feed, 5, 4);
    const starts: [fromUs: number, epoch: number, keyNumber: number][] = [
      [0, 0, 0],
      [timeUs(0, 0), 0, 0],
      [timeUs(0, 2) - 1, 0, 1],
      [timeUs(0, 2), 0, 2],
      [timeUs(0, 4) + 30_000_000, 0, 4],
      [timeUs(1, 0), 1, 5],
      [timeUs(1, 3) + 900_000, 1, 8],
      [Number.MAX_SAFE_INTEGER, 1, 8],
    ];
    const keys = allKeyPoints(feed);
    const sinks = starts.map(([fromUs]) => {
      const sink = new CollectingSink();
      feed.recording.addReader(sink, { limits: LIMITS, rewind: { fromUs, untilUs: null } });
      return sink;
    });
    await settle();
    feed.media(second(104));
    await settle();
    for (const [n, [fromUs, epoch, keyNumber]] of starts.entries()) {
      const sink = sinks[n] as CollectingSink;
      const runs = checkSinkLog(sink.log, feed, `from ${fromUs}`);
      expect(runs[0]).toMatchObject({ epoch, start: keys[keyNumber]?.streamStart, isDiscontinuity: false });
      // To the last byte of its epoch, then from the first key cluster of the next one on.
      expect(runs.map(({ end }) => end)).toEqual(feed.epochs.slice(epoch).map(({ length }) => length));
      for (const run of runs.slice(1)) {
        expect(run).toMatchObject({ start: keys[5]?.streamStart, isDiscontinuity: true });
      }
      expect(sink.frames.at(-1)?.payload).toBe(feed.maker.chunks.at(-1)?.payload);
    }
  });

  test('[V9] is sent no more than it asked for, to the next key cluster, and goes on from there', async () => {
    const feed = newFeed();
    feedSeconds(feed, 6);
    const sink = new CollectingSink();
    const reader = feed.recording.addReader(sink, {
      limits: LIMITS,
      rewind: { fromUs: timeUs(0, 1), untilUs: timeUs(0, 2) + 1 },
    });
    const keys = allKeyPoints(feed);
    const untilKey = (n: number) => ({ start: keys[1]?.streamStart, end: keys[n]?.streamStart });
    await settle();
    expect(checkSinkLog(sink.log, feed, 'held')).toMatchObject([untilKey(3)]);
    expect(sink.log.at(-1)).toEqual({ type: 'held', atUs: timeUs(0, 3) });
    // Less than it has is nothing new, and what comes live is not for it.
    reader.extend(timeUs(0, 2));
    reader.extend(timeUs(0, 2) + 1);
    feed.media(second(6));
    await settle();
    expect(sink.log.at(-1)).toEqual({ type: 'held', atUs: timeUs(0, 3) });
    reader.extend(timeUs(0, 4));
    sink.log.push({ type: 'command', command: 'extend' });
    await settle();
    expect(checkSinkLog(sink.log, feed, 'extended')).toMatchObject([untilKey(4)]);
    expect(sink.log.at(-1)).toEqual({ type: 'held', atUs: timeUs(0, 4) });
    reader.extend(timeUs(0, 100));
    sink.log.push({ type: 'command', command: 'extend' });
    await settle();
    feed.media(second(7));
    // One run from the first byte to the newest: neither holding nor cutting over left a mark.
    expect(checkSinkLog(sink.log, feed, 'live')).toMatchObject([{ end: feed.epochs[0]?.length }]);
  });

  test('[V9] is held at the border of an epoch, and is told the next one only when it goes on', async () => {
    const feed = newFeed();
    feedSeconds(feed, 2, 2);
    const sink = new CollectingSink();
    const rewind = { fromUs: timeUs(0, 1), untilUs: timeUs(1, 0) - 5 };
    const reader = feed.recording.addReader(sink, { limits: LIMITS, rewind });
    await settle();
    expect(checkSinkLog(sink.log, feed, 'held')).toMatchObject([{ epoch: 0, end: feed.epochs[0]?.length }]);
    expect(sink.log.at(-1)).toEqual({ type: 'held', atUs: timeUs(1, 0) });
    reader.extend(timeUs(1, 0) + 1);
    sink.log.push({ type: 'command', command: 'extend' });
    await settle();
    expect(checkSinkLog(sink.log, feed, 'next epoch')).toMatchObject([{ epoch: 0 }, { epoch: 1 }]);
    expect(sink.log.at(-1)).toEqual({ type: 'held', atUs: timeUs(1, 1) });
  });

  test('[V9] that asks for more while its last bytes leave is not held, and goes on in the middle of the chunk', async () => {
    const feed = newFeed();
    feed.epoch({ startedAtUs: epochStartUs(0) });
    feed.media(initSegment());
    feed.media(Buffer.concat([second(0), second(1), second(2).subarray(0, 500)]));
    feed.media(second(2).subarray(500));
    const sink = new CollectingSink();
    const rewind = { fromUs: 0, untilUs: timeUs(0, 1) };
    const reader = feed.recording.addReader(sink, { limits: LIMITS, rewind });
    await setImmediate();
    sink.isStuck = true;
    await settle();
    expect(sink.frames.at(-1)?.payload.length).toBe(second(0).length);
    reader.extend(timeUs(0, 9));
    sink.isStuck = false;
    sink.drain();
    await settle();
    expect(checkSinkLog(sink.log, feed, 'extended')).toMatchObject([{ end: feed.epochs[0]?.length }]);
    expect(sink.log.map(({ type }) => type)).not.toContain('held');
  });

  test('[V9] is held one key cluster later when it has the beginning of one that was not known to be key', async () => {
    const feed = newFeed();
    feed.epoch({ startedAtUs: epochStartUs(0) });
    feed.media(initSegment());
    const [first, unknown] = [second(0), second(1)];
    feed.media(Buffer.concat([first, unknown.subarray(0, 14)]));
    const sink = new CollectingSink();
    const rewind = { fromUs: 0, untilUs: timeUs(0, 1) };
    feed.recording.addReader(sink, { limits: LIMITS, rewind });
    await setImmediate();
    sink.isStuck = true;
    await settle();
    // While these bytes leave, it turns out what the last fourteen of them are.
    expect(sink.frames.at(-1)?.payload.length).toBe(first.length + 14);
    feed.media(unknown.subarray(14));
    feed.media(second(2));
    sink.isStuck = false;
    sink.drain();
    await settle();
    expect(checkSinkLog(sink.log, feed, 'late')).toMatchObject([{ end: allKeyPoints(feed)[2]?.streamStart }]);
    expect(sink.log.at(-1)).toEqual({ type: 'held', atUs: timeUs(0, 2) });
  });

  test('[V9] that waits for its person is not slow, however long', async () => {
    const feed = newFeed();
    feedSeconds(feed, 3);
    const sink = new CollectingSink();
    let nowMs = 0;
    const rewind = { fromUs: 0, untilUs: 0 };
    const reader = feed.recording.addReader(sink, { limits: SMALL, nowMs: () => nowMs, rewind });
    await settle();
    for (let n = 3; n < 30; n++) {
      nowMs += SMALL.maxViewerLagMs;
      feed.media(second(n));
    }
    await settle();
    expect(sink.ended).toBeUndefined();
    reader.extend(timeUs(0, 40));
    sink.log.push({ type: 'command', command: 'extend' });
    await settle();
    expect(checkSinkLog(sink.log, feed, 'on')).toMatchObject([{ end: feed.epochs[0]?.length }]);
  });

  test('[V5] that takes nothing of what it asked for is ended like any other', async () => {
    const feed = newFeed();
    feedSeconds(feed, 3);
    const sink = new CollectingSink();
    sink.isStuck = true;
    let nowMs = 0;
    const rewind = { fromUs: 0, untilUs: null };
    feed.recording.addReader(sink, { limits: SMALL, nowMs: () => nowMs, rewind });
    await settle();
    for (let n = 3; n < 6; n++) {
      nowMs += 6_000;
      feed.media(second(n));
    }
    expect(sink.ended).toMatchObject({ code: 'VIEWER_TOO_SLOW' });
  });

  test('[V10] a seek and the way back to live begin with an init segment that is marked, from wherever they start', async () => {
    const feed = newFeed();
    feedSeconds(feed, 4, 3);
    const sink = new CollectingSink();
    const reader = feed.recording.addReader(sink, { limits: LIMITS });
    await settle();
    const keys = allKeyPoints(feed);
    const steps: [act: () => void, epoch: number, keyNumber: number][] = [
      [() => reader.seek({ fromUs: timeUs(0, 1), untilUs: timeUs(0, 2) }), 0, 1],
      // While it is held, to the same place again, and to another.
      [() => reader.seek({ fromUs: timeUs(0, 1), untilUs: timeUs(0, 2) }), 0, 1],
      [() => reader.seek({ fromUs: timeUs(1, 0), untilUs: timeUs(1, 1) }), 1, 4],
      [() => reader.live(), 1, 6],
      // Also when it is live.
      [() => reader.live(), 1, 6],
    ];
    for (const [act, epoch, keyNumber] of steps) {
      sink.log.push({ type: 'command', command: 'go' });
      const before = checkSinkLog(sink.log, feed, 'before').length;
      act();
      await settle();
      const runs = checkSinkLog(sink.log, feed, 'after');
      expect(runs).toHaveLength(before + 1);
      expect(runs.at(-1)).toMatchObject({
        epoch,
        start: keys[keyNumber]?.streamStart,
        isDiscontinuity: true,
      });
    }
    feed.media(second(103));
    expect(checkSinkLog(sink.log, feed, 'live').at(-1)?.end).toBe(feed.epochs[1]?.length);
  });

  test('[V10] many seeks in a row pile up nothing for a reader that takes nothing', async () => {
    const feed = newFeed();
    feedSeconds(feed, 10);
    const sink = new CollectingSink();
    const reader = feed.recording.addReader(sink, { limits: SMALL });
    await settle();
    sink.isStuck = true;
    for (let n = 0; n < 200; n++) {
      reader.seek({ fromUs: timeUs(0, n % 10), untilUs: timeUs(0, 100) });
      await setImmediate();
    }
    expect(sink.bufferedBytes).toBeLessThan(SMALL.maxViewerBufferBytes + 2 * second(0).length);
    sink.isStuck = false;
    sink.drain();
    await settle();
    const runs = checkSinkLog(sink.log, feed, 'after the last seek');
    expect(runs.at(-1)).toMatchObject({
      start: allKeyPoints(feed)[9]?.streamStart,
      end: feed.epochs[0]?.length,
    });
  });

  test('[V10] back to live waits for the first key cluster of an epoch that has just begun', async () => {
    const feed = newFeed();
    feedSeconds(feed, 3);
    const sink = new CollectingSink();
    const reader = feed.recording.addReader(sink, { limits: LIMITS, rewind: { fromUs: 0, untilUs: 0 } });
    await settle();
    feed.epoch();
    reader.live();
    sink.log.push({ type: 'command', command: 'live' });
    await settle();
    feed.media(Buffer.concat([initSegment(), second(0)]));
    await settle();
    expect(checkSinkLog(sink.log, feed, 'live').at(-1)).toMatchObject({
      epoch: 1,
      end: feed.epochs[1]?.length,
    });
  });

  test('[V8] of a recording without a picture begins with the first that comes', async () => {
    const feed = newFeed();
    const sink = new CollectingSink();
    feed.recording.addReader(sink, { limits: LIMITS, rewind: { fromUs: 5, untilUs: timeUs(1, 0) } });
    feed.epoch({ startedAtUs: STARTED_AT_US });
    feed.media(initSegment());
    await settle();
    expect(sink.log).toEqual([]);
    feed.media(second(0));
    await settle();
    expect(checkSinkLog(sink.log, feed, 'first')).toMatchObject([{ end: feed.epochs[0]?.length }]);
  });

  test('[V8] goes through the epochs in their order, also when the clock was set back between them', async () => {
    const feed = newFeed();
    for (const startedAtUs of [STARTED_AT_US, STARTED_AT_US - 3_600_000_000]) {
      feed.epoch({ startedAtUs });
      feed.media(initSegment());
      for (let n = 0; n < 3; n++) feed.media(second(n));
    }
    const sink = new CollectingSink();
    const rewind = { fromUs: 0, untilUs: STARTED_AT_US + 2_000_000 };
    const reader = feed.recording.addReader(sink, { limits: LIMITS, rewind });
    await settle();
    expect(sink.log.at(-1)).toEqual({ type: 'held', atUs: STARTED_AT_US + 2_000_000 });
    reader.extend(STARTED_AT_US + 60_000_000);
    sink.log.push({ type: 'command', command: 'extend' });
    await settle();
    const runs = checkSinkLog(sink.log, feed, 'set back');
    expect(runs.map(({ epoch, end }) => [epoch, end])).toEqual([
      [0, feed.epochs[0]?.length],
      [1, feed.epochs[1]?.length],
    ]);
  });
});
