import { once, EventEmitter } from 'node:events';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { ChunkReader } from '../../testing/chunk-reader.ts';
import { SpoolWorld } from '../../testing/spool-world.ts';
import { CaptureWatch } from './capture-watch.ts';
import type { SpooledRecording } from './spooled-recording.ts';

const STALL_AFTER_MS = 7_000;

let world: SpoolWorld;
let recording: SpooledRecording;
let watch: CaptureWatch;
let changes: EventEmitter;
/** Whether capture had stalled, at each time that the watch announced a change. */
let told: boolean[];

beforeEach(async () => {
  world = await SpoolWorld.open();
  recording = await world.record();
  changes = new EventEmitter();
  recording.subscribe(() => changes.emit('appended'));
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
  told = [];
  watch = new CaptureWatch(recording, STALL_AFTER_MS, () => told.push(watch.stalledSinceMs !== null));
});
afterEach(async () => {
  watch.close();
  vi.useRealTimers();
  await world.close();
});

/** The kinds of all chunks, events by their type. */
async function written(): Promise<string[]> {
  const reader = new ChunkReader(recording.start);
  for (let sequence = 0; sequence < recording.appendedCount; sequence++) {
    reader.read(await recording.readFrame(sequence));
  }
  return reader.chunks.map(({ kind, payload }) =>
    kind === 'media' ? kind : (JSON.parse(Buffer.from(payload).toString()) as { type: string }).type,
  );
}

async function appendMedia(): Promise<void> {
  watch.onMedia();
  await recording.appendMedia(Uint8Array.of(1), 1);
}

describe('the watch on capture', () => {
  it('says nothing as long as media comes', async () => {
    for (let slice = 0; slice < 5; slice++) {
      vi.advanceTimersByTime(STALL_AFTER_MS - 1);
      await appendMedia();
    }
    expect(await written()).toEqual(['epoch-started', 'media', 'media', 'media', 'media', 'media']);
  });

  it('records a stall once, and its end before the media that ends it', async () => {
    await appendMedia();
    const appended = once(changes, 'appended');
    vi.advanceTimersByTime(STALL_AFTER_MS);
    await appended;
    vi.advanceTimersByTime(10 * STALL_AFTER_MS);
    await appendMedia();
    await appendMedia();
    expect(await written()).toEqual([
      'epoch-started',
      'media',
      'capture-stalled',
      'capture-resumed',
      'media',
      'media',
    ]);
    expect(told).toEqual([true, false]);
  });

  it('tells since when nothing came', async () => {
    const appended = once(changes, 'appended');
    expect(watch.stalledSinceMs).toBeNull();
    const beganMs = Date.now();
    vi.advanceTimersByTime(STALL_AFTER_MS);
    await appended;
    expect(Math.abs((watch.stalledSinceMs ?? 0) + STALL_AFTER_MS - beganMs)).toBeLessThan(5_000);
    await appendMedia();
    expect(watch.stalledSinceMs).toBeNull();
  });

  it('notices that nothing ever comes', async () => {
    const appended = once(changes, 'appended');
    vi.advanceTimersByTime(STALL_AFTER_MS);
    await appended;
    expect(await written()).toEqual(['epoch-started', 'capture-stalled']);
  });

  it('says nothing after it was closed', async () => {
    watch.close();
    watch.close();
    vi.advanceTimersByTime(10 * STALL_AFTER_MS);
    await recording.finish();
    expect(await written()).toEqual(['epoch-started', 'epoch-ended']);
  });

  it('does no harm to a recording that takes no more events', async () => {
    await recording.finish();
    vi.advanceTimersByTime(STALL_AFTER_MS);
    watch.onMedia();
    expect(await written()).toEqual(['epoch-started', 'epoch-ended']);
  });
});
