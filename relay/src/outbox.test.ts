import { setImmediate } from 'node:timers/promises';
import { CodedError, type Chunk } from '@proofcast/shared';
import { loadWebmClip, loadWebmClips } from '@proofcast/shared/testing/webm-clip';
import { freshSeed, seededRandom, type Random } from '@proofcast/shared/testing/random';
import { describe, expect, test } from 'vitest';
import { ChunkMaker } from '../testing/chunk-maker.ts';
import { Outbox, type OutboxFrame, type OutboxSink, type OutboxSource } from './outbox.ts';
import type { ChunkEntry, KeyPoint, OpenEpoch } from './recording/recording-index.ts';
import { RecordingIndex } from './recording/recording-index.ts';

const LIMITS = { maxViewerBufferBytes: 100_000, maxViewerLagMs: 10_000 };
const IDS = { streamId: 'str_00000000000000000000', deviceId: 'dev_00000000000000000000' };

/** A recording whose chunks are all in memory, but are read with a delay, as from a disk. */
class MemorySource implements OutboxSource {
  readonly readers = new Set<Outbox>();
  readonly publisherClockOffsetUs = 5;
  readonly #index: RecordingIndex;
  readonly readDelays: () => number;
  readFailure: Error | null = null;

  constructor(readDelays: () => number = () => 1, maxEntries = 4096) {
    this.readDelays = readDelays;
    this.#index = new RecordingIndex({ chain: new Uint8Array(32), maxEntries });
  }

  get nextSequence(): number {
    return this.#index.nextSequence;
  }
  get epoch(): OpenEpoch | null {
    return this.#index.epoch;
  }
  get newestKey(): KeyPoint | null {
    return this.#index.newestKey;
  }
  entry(sequence: number): ChunkEntry | null {
    return this.#index.entry(sequence);
  }
  async read({ stored }: ChunkEntry): Promise<Uint8Array> {
    for (let turns = this.readDelays(); turns > 0; turns--) await setImmediate();
    if (this.readFailure !== null) throw this.readFailure;
    if (stored.place.kind === 'file') throw new Error('Everything is in memory.');
    return stored.place.bytes;
  }

  take(chunk: Chunk): void {
    const stored = { place: { kind: 'memory', bytes: chunk.payload } } as const;
    const entry = this.#index.check(chunk).store({ ...stored });
    for (const reader of this.readers) reader.offer(entry, chunk.payload);
  }
}

/** Collects what is sent, and empties itself as slowly as a test wants. */
class CollectingSink implements OutboxSink {
  readonly log: ({ epoch: OpenEpoch; offsetUs: number } | OutboxFrame | CodedError)[] = [];
  bufferedBytes = 0;
  isStuck = false;
  #unsent: { byteLength: number; onSent: (() => void) | undefined }[] = [];

  beginEpoch(epoch: OpenEpoch, offsetUs: number): void {
    this.log.push({ epoch, offsetUs });
  }
  send(frame: OutboxFrame, onSent?: () => void): void {
    this.log.push(frame);
    this.bufferedBytes += frame.payload.length;
    this.#unsent.push({ byteLength: frame.payload.length, onSent });
    if (!this.isStuck) this.drain();
  }
  end(error: CodedError): void {
    this.log.push(error);
  }

  drain(): void {
    for (const { byteLength, onSent } of this.#unsent.splice(0)) {
      this.bufferedBytes -= byteLength;
      onSent?.();
    }
  }

  get frames(): OutboxFrame[] {
    return this.log.filter((entry): entry is OutboxFrame => 'payload' in entry);
  }
  get ended(): CodedError | undefined {
    return this.log.find((entry) => entry instanceof CodedError);
  }
}

function addReader(source: MemorySource, sink: CollectingSink, nowMs: () => number = () => 0): Outbox {
  const reader: Outbox = new Outbox({
    source,
    sink,
    limits: LIMITS,
    nowMs,
    onEnded: () => source.readers.delete(reader),
  });
  source.readers.add(reader);
  reader.start();
  return reader;
}

/** Lets everything that waits for a turn of the event loop happen. */
async function settle(): Promise<void> {
  for (let turn = 0; turn < 60; turn++) await setImmediate();
}

/** Checks what V3 to V5 promise of one reader's frames; returns how often it was cut. */
function checkFrames(
  frames: OutboxFrame[],
  epochs: { bytes: Uint8Array; initEnd: number; keyStarts: number[] }[],
  what: string,
): number {
  let cuts = 0;
  let position: { epoch: number; at: number } | null = null;
  for (const [index, frame] of frames.entries()) {
    const epoch = epochs[frame.epoch];
    if (epoch === undefined) throw new Error(`There is no epoch ${frame.epoch}.`);
    if (frame.kind === 'init') {
      expect(Buffer.from(frame.payload).equals(epoch.bytes.subarray(0, epoch.initEnd)), what).toBe(true);
      expect(frame.isDiscontinuity, what).toBe(index > 0);
      if (index > 0) cuts += 1;
      position = null;
      continue;
    }
    expect(frame.isDiscontinuity, what).toBe(false);
    if (position === null) {
      const start = epoch.keyStarts.find((at) => startsWith(epoch.bytes.subarray(at), frame.payload));
      expect(start, `${what}: frame ${index} begins at a key cluster`).toBeDefined();
      position = { epoch: frame.epoch, at: start ?? 0 };
    }
    expect(position.epoch, what).toBe(frame.epoch);
    expect(
      startsWith(epoch.bytes.subarray(position.at), frame.payload),
      `${what}: frame ${index} follows`,
    ).toBe(true);
    position.at += frame.payload.length;
  }
  return cuts;
}

const startsWith = (bytes: Uint8Array, part: Uint8Array): boolean =>
  Buffer.from(bytes.buffer, bytes.byteOffset, Math.min(part.length, bytes.length)).equals(part);

function facts(bytes: Uint8Array): { bytes: Uint8Array; initEnd: number; keyStarts: number[] } {
  const index = new RecordingIndex({ chain: new Uint8Array(32), maxEntries: 4096 });
  const maker = new ChunkMaker(IDS);
  const keyStarts = new Set<number>();
  const store = (chunk: Chunk): void => {
    index.check(chunk).store({ place: { kind: 'memory', bytes: chunk.payload } });
    if (index.newestKey !== null) keyStarts.add(index.newestKey.streamStart);
  };
  store(maker.epoch());
  for (let at = 0; at < bytes.length; at += 200) maker.media(bytes.subarray(at, at + 200)).forEach(store);
  return { bytes, initEnd: index.epoch?.init?.length ?? 0, keyStarts: [...keyStarts] };
}

describe('an outbox', () => {
  test('[V3] gives any reader, whenever it joins, the init segment and all from a key cluster on, byte-exact', async () => {
    const seed = freshSeed();
    const random = seededRandom(seed);
    const clips = loadWebmClips();
    const epochs = clips.map((clip) => facts(clip.bytes));
    const source = new MemorySource(() => random.integer(0, 4));
    const maker = new ChunkMaker(IDS);
    const sinks: CollectingSink[] = [];
    for (const clip of clips) {
      source.take(maker.epoch());
      for (const piece of cutRandomly(clip.bytes, random)) {
        if (random.fraction() < 0.3) {
          const sink = new CollectingSink();
          sinks.push(sink);
          addReader(source, sink);
        }
        for (const chunk of maker.media(piece)) source.take(chunk);
        for (let turns = random.integer(0, 5); turns > 0; turns--) await setImmediate();
      }
    }
    await settle();
    expect(sinks.length).toBeGreaterThan(5);
    const last = epochs.at(-1);
    for (const [n, sink] of sinks.entries()) {
      const what = `seed ${seed}, reader ${n}`;
      checkFrames(sink.frames, epochs, what);
      // It is up to date: the last byte that came was sent.
      const end = sink.frames.at(-1);
      expect(end?.sequence, what).toBe(source.nextSequence - 1);
      expect(
        startsWith(
          last?.bytes.subarray(-(end?.payload.length ?? 0)) ?? Buffer.of(),
          end?.payload ?? Buffer.of(),
        ),
      ).toBe(true);
      // Each epoch is told once, before its first frame.
      const told = sink.log.flatMap((entry) =>
        'epoch' in entry && typeof entry.epoch === 'object' ? [entry.epoch.number] : [],
      );
      expect(told, what).toEqual([...new Set(sink.frames.map((frame) => frame.epoch))]);
    }
  });

  test('[V3] sends the payload of a live chunk to all readers without copying it', async () => {
    const clip = loadWebmClip('vp8');
    const source = new MemorySource();
    const maker = new ChunkMaker(IDS);
    source.take(maker.epoch());
    maker.media(clip.slices[0] ?? Buffer.of()).forEach((chunk) => source.take(chunk));
    const sinks = [new CollectingSink(), new CollectingSink()];
    sinks.forEach((sink) => addReader(source, sink));
    await settle();
    const [live] = maker.media(clip.slices[1] ?? Buffer.of());
    source.take(live as Chunk);
    for (const sink of sinks) expect(sink.frames.at(-1)?.payload).toBe(live?.payload);
  });

  test('[V3] sends nothing before there is a key cluster, then all from there', async () => {
    const clip = loadWebmClip('vp9');
    const source = new MemorySource();
    const sink = new CollectingSink();
    addReader(source, sink);
    const maker = new ChunkMaker(IDS);
    source.take(maker.epoch());
    // Up to the middle of the header of the first cluster.
    const { initEnd } = facts(clip.bytes);
    maker.media(clip.bytes.subarray(0, initEnd + 6)).forEach((chunk) => source.take(chunk));
    await settle();
    expect(sink.log).toEqual([]);
    maker.media(clip.bytes.subarray(initEnd + 6)).forEach((chunk) => source.take(chunk));
    await settle();
    const media = sink.frames.filter((frame) => frame.kind === 'media').map((frame) => frame.payload);
    const firstKey = facts(clip.bytes).keyStarts;
    const sent = Buffer.concat(media);
    expect(firstKey.some((start) => sent.equals(clip.bytes.subarray(start)))).toBe(true);
    expect(sink.log[0]).toMatchObject({ epoch: { number: 0 }, offsetUs: 5 });
  });

  test('[V4] tells a new epoch and marks its init segment as a discontinuity', async () => {
    const [first, second] = [loadWebmClip('vp8'), loadWebmClip('vp9')];
    const source = new MemorySource();
    const sink = new CollectingSink();
    addReader(source, sink);
    const maker = new ChunkMaker(IDS);
    source.take(maker.epoch({ mimeType: first.mimeType }));
    first.slices.forEach((slice) => maker.media(slice).forEach((chunk) => source.take(chunk)));
    await settle();
    source.take(maker.event({ type: 'capture-stalled', data: {} }));
    source.take(maker.epoch({ mimeType: second.mimeType }));
    second.slices.forEach((slice) => maker.media(slice).forEach((chunk) => source.take(chunk)));
    await settle();
    const inits = sink.frames.filter((frame) => frame.kind === 'init');
    expect(inits.map((frame) => [frame.epoch, frame.isDiscontinuity])).toEqual([
      [0, false],
      [1, true],
    ]);
    const epochs = [facts(first.bytes), facts(second.bytes)];
    expect(checkFrames(sink.frames, epochs, 'two epochs')).toBe(1);
  });

  test('[V5] cuts a reader that holds too much to a later key cluster, and leaves the others alone', async () => {
    const seed = freshSeed();
    const random = seededRandom(seed);
    const bytes = loadWebmClip('vp8').bytes;
    const epochs = [facts(bytes)];
    const source = new MemorySource();
    const [slow, quick] = [new CollectingSink(), new CollectingSink()];
    const limits = { maxViewerBufferBytes: 15_000, maxViewerLagMs: 10_000 };
    for (const sink of [slow, quick]) {
      const reader = new Outbox({ source, sink, limits, nowMs: () => 0, onEnded: () => undefined });
      source.readers.add(reader);
      reader.start();
    }
    const maker = new ChunkMaker(IDS);
    source.take(maker.epoch());
    for (const piece of cutRandomly(bytes, random, 2_000)) {
      maker.media(piece).forEach((chunk) => source.take(chunk));
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
    checkFrames(slow.frames, epochs, `seed ${seed}, slow`);
    expect(checkFrames(quick.frames, epochs, `seed ${seed}, quick`)).toBe(0);
    expect(quick.frames.at(-1)?.sequence).toBe(source.nextSequence - 1);
  });

  test('[V5] goes on at the next key cluster once the reader takes data again', async () => {
    const bytes = loadWebmClip('vp8').bytes;
    const { keyStarts } = facts(bytes);
    const [first = 0, second = 0, third = 0] = keyStarts;
    const source = new MemorySource();
    const sink = new CollectingSink();
    const limits = { maxViewerBufferBytes: 1_000, maxViewerLagMs: 10_000 };
    const reader = new Outbox({ source, sink, limits, nowMs: () => 0, onEnded: () => undefined });
    source.readers.add(reader);
    const maker = new ChunkMaker(IDS);
    const take = (from: number, to: number): void =>
      maker.media(bytes.subarray(from, to)).forEach((chunk) => source.take(chunk));
    source.take(maker.epoch());
    take(0, first + 5_000);
    reader.start();
    await settle();
    sink.isStuck = true;
    take(first + 5_000, first + 7_000);
    take(first + 7_000, first + 9_000);
    const sentBefore = sink.frames.length;
    sink.isStuck = false;
    sink.drain();
    // What was left out is not made up for: nothing comes before the next key cluster.
    take(first + 9_000, second);
    await settle();
    expect(sink.frames.length).toBe(sentBefore);
    take(second, second + 3_000);
    await settle();
    take(second + 3_000, third);
    await settle();
    const after = sink.frames.slice(sentBefore);
    expect(after.map((frame) => [frame.kind, frame.isDiscontinuity])).toEqual([
      ['init', true],
      ['media', false],
      ['media', false],
    ]);
    const media = Buffer.concat(after.slice(1).map((frame) => frame.payload));
    expect(media.equals(bytes.subarray(second, third))).toBe(true);
  });

  test('[V5] ends a reader that takes nothing for too long, live or catching up', async () => {
    const bytes = loadWebmClip('vp8').bytes;
    for (const isStuckFromTheStart of [true, false]) {
      const source = new MemorySource();
      const sink = new CollectingSink();
      let nowMs = 0;
      const limits = { maxViewerBufferBytes: 1_000, maxViewerLagMs: 10_000 };
      let ended = 0;
      const reader = new Outbox({ source, sink, limits, nowMs: () => nowMs, onEnded: () => (ended += 1) });
      source.readers.add(reader);
      const maker = new ChunkMaker(IDS);
      source.take(maker.epoch());
      for (let at = 0; at < 20_000; at += 1_000) {
        maker.media(bytes.subarray(at, at + 1_000)).forEach((chunk) => source.take(chunk));
      }
      sink.isStuck = isStuckFromTheStart;
      await settle();
      sink.isStuck = true;
      for (let at = 20_000; at < 60_000; at += 1_000) {
        nowMs += 600;
        maker.media(bytes.subarray(at, at + 1_000)).forEach((chunk) => source.take(chunk));
      }
      if (isStuckFromTheStart) expect(sink.frames.map((frame) => frame.kind)).toEqual(['init', 'media']);
      expect(sink.ended).toMatchObject({ code: 'VIEWER_TOO_SLOW' });
      expect(ended).toBe(1);
      const { length } = sink.log;
      sink.isStuck = false;
      sink.drain();
      await settle();
      expect(sink.log.length).toBe(length);
    }
  });

  test('[V5] lets a reader take as long as it needs to catch up, as long as it takes something', async () => {
    const bytes = loadWebmClip('vp8').bytes;
    const source = new MemorySource(() => 0);
    const sink = new CollectingSink();
    let nowMs = 0;
    addReader(source, sink, () => nowMs);
    const maker = new ChunkMaker(IDS);
    source.take(maker.epoch());
    sink.isStuck = true;
    for (let at = 0; at < 25_000; at += 1_000) {
      maker.media(bytes.subarray(at, at + 1_000)).forEach((chunk) => source.take(chunk));
    }
    for (let at = 25_000; at < 28_000; at += 200) {
      nowMs += 6_000;
      sink.drain();
      await setImmediate();
      maker.media(bytes.subarray(at, at + 200)).forEach((chunk) => source.take(chunk));
    }
    expect(nowMs).toBeGreaterThan(LIMITS.maxViewerLagMs);
    expect(sink.ended).toBeUndefined();
    expect(checkFrames(sink.frames, [facts(bytes)], 'slow but steady')).toBe(0);
  });

  test('ends a reader with the code when its chunks cannot be read, and is silent after it was closed', async () => {
    const bytes = loadWebmClip('vp8').bytes;
    const source = new MemorySource();
    const [broken, closed] = [new CollectingSink(), new CollectingSink()];
    const maker = new ChunkMaker(IDS);
    source.take(maker.epoch());
    maker.media(bytes).forEach((chunk) => source.take(chunk));
    source.readFailure = new CodedError('STORAGE_FAILED', 'no disk');
    addReader(source, broken);
    await settle();
    expect(broken.ended).toMatchObject({ code: 'STORAGE_FAILED' });

    source.readFailure = null;
    const reader = addReader(source, closed);
    // It has sent the init segment and reads the first chunk.
    await Promise.resolve();
    await Promise.resolve();
    expect(closed.frames.length).toBe(1);
    reader.close();
    await settle();
    reader.end(new CodedError('STREAM_OFFLINE', 'too late'));
    expect(closed.frames.filter((frame) => frame.kind === 'media')).toEqual([]);
    expect(closed.ended).toBeUndefined();
  });

  test('[V5] begins again at the newest key cluster when what it reads is not remembered any more', async () => {
    const bytes = loadWebmClip('vp8').bytes;
    const source = new MemorySource(() => 5, 14);
    const sink = new CollectingSink();
    const maker = new ChunkMaker(IDS);
    source.take(maker.epoch());
    maker.media(bytes.subarray(0, 25_000)).forEach((chunk) => source.take(chunk));
    addReader(source, sink);
    await setImmediate();
    for (let at = 25_000; at < bytes.length; at += 2_500) {
      maker.media(bytes.subarray(at, at + 2_500)).forEach((chunk) => source.take(chunk));
    }
    await settle();
    await settle();
    expect(checkFrames(sink.frames, [facts(bytes)], 'forgotten')).toBe(1);
    expect(sink.frames.at(-1)?.sequence).toBe(source.nextSequence - 1);
  });
});

function cutRandomly(bytes: Uint8Array, random: Random, longest = 12_000): Uint8Array[] {
  const pieces: Uint8Array[] = [];
  for (let start = 0; start < bytes.length;) {
    const end = Math.min(bytes.length, start + random.integer(1, longest));
    pieces.push(bytes.subarray(start, end));
    start = end;
  }
  return pieces;
}
