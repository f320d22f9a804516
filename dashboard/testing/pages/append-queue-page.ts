/** Scenarios of the append queue against the browser's own MediaSource; called from append-queue.browser.test.ts. */
import type { CodedError } from '@proofcast/shared';
import { LIVE_EDGE_LIMITS } from '../../src/config.ts';
import { AppendQueue } from '../../src/player/append-queue.ts';
import { evictable, readRanges } from '../../src/player/live-edge.ts';
import { MIME_TYPE, recordClip } from './recorded-canvas.ts';

interface Bench {
  readonly buffer: SourceBuffer;
  readonly queue: AppendQueue;
  readonly failures: string[];
  readonly rooms: number;
  /** Resolves when nothing waits any more, or the queue has failed. */
  drained(): Promise<void>;
}

/** About what a relay sends at a time. */
const PIECE_BYTES = 64 * 1024;

async function openBench(maxPendingBytes = 64e6): Promise<Bench> {
  const mediaSource = new MediaSource();
  const video = document.createElement('video');
  video.muted = true;
  document.body.append(video);
  const isOpen = new Promise((resolve) =>
    mediaSource.addEventListener('sourceopen', resolve, { once: true }),
  );
  video.src = URL.createObjectURL(mediaSource);
  await isOpen;
  const buffer = mediaSource.addSourceBuffer(MIME_TYPE);
  const failures: string[] = [];
  let rooms = 0;
  const queue = new AppendQueue(buffer, {
    maxPendingBytes,
    onUpdated: () => undefined,
    onFailed: (error: CodedError) => failures.push(error.code),
    makeRoom: () => {
      rooms += 1;
      const limits = { ...LIVE_EDGE_LIMITS, keepBehindS: 1, maxBehindS: 1 };
      return evictable(readRanges(buffer.buffered), buffer.buffered.end(buffer.buffered.length - 1), limits);
    },
  });
  return {
    buffer,
    queue,
    failures,
    get rooms() {
      return rooms;
    },
    drained: async () => {
      while (failures.length === 0 && (queue.pendingBytes > 0 || buffer.updating)) {
        await new Promise((resolve) => setTimeout(resolve, 5));
      }
    },
  };
}

const buffered = (bench: Bench) => readRanges(bench.buffer.buffered);

const scenarios = {
  /** Slices cut anywhere, all given at once. */
  async slices(cuts: number[]) {
    const clip = await recordClip(2);
    const bench = await openBench();
    let start = 0;
    for (const cut of [...cuts.map((share) => Math.floor(share * clip.length)), clip.length]) {
      bench.queue.append(clip.slice(start, cut));
      start = cut;
    }
    const waiting = bench.queue.pendingBytes;
    await bench.drained();
    return { ranges: buffered(bench), failures: bench.failures, waiting, clipBytes: clip.length };
  },

  /** The stream breaks off in the middle of a cluster and begins again ten seconds later. */
  async restart() {
    const clip = await recordClip(2);
    const bench = await openBench();
    bench.queue.append(clip.slice(0, Math.floor(clip.length * 0.77)));
    bench.queue.restart(10, null);
    bench.queue.append(clip);
    await bench.drained();
    return { ranges: buffered(bench), failures: bench.failures };
  },

  /** More than the browser keeps, with room made from what is oldest. */
  async quota(rounds: number) {
    const clip = await recordClip(3, { isNoise: true });
    const bench = await openBench();
    for (let round = 0; round < rounds; round += 1) {
      bench.queue.restart(round * 3, null);
      for (let start = 0; start < clip.length; start += PIECE_BYTES) {
        bench.queue.append(clip.slice(start, start + PIECE_BYTES));
      }
      await bench.drained();
    }
    return { ranges: buffered(bench), failures: bench.failures, rooms: bench.rooms, clipBytes: clip.length };
  },

  async garbage() {
    const bench = await openBench();
    bench.queue.append(new Uint8Array(5000).fill(7));
    bench.queue.append(new Uint8Array(5000).fill(7));
    await bench.drained();
    bench.queue.append(new Uint8Array(10));
    return { failures: bench.failures, pendingBytes: bench.queue.pendingBytes };
  },

  async tooSlow() {
    const bench = await openBench(10_000);
    for (let chunk = 0; chunk < 20; chunk += 1) bench.queue.append(new Uint8Array(1_000));
    await bench.drained();
    return { failures: bench.failures };
  },

  /** All that was there goes, waiting or buffered, and what follows is another timeline. */
  async clear() {
    const clip = await recordClip(2);
    const bench = await openBench();
    bench.queue.clear();
    bench.queue.append(clip);
    await bench.drained();
    const before = buffered(bench);
    bench.queue.append(clip);
    bench.queue.clear();
    const isClearing = bench.queue.isClearing;
    bench.queue.restart(100, null);
    bench.queue.append(clip);
    await bench.drained();
    return {
      before,
      isClearing,
      isCleared: !bench.queue.isClearing,
      ranges: buffered(bench),
      failures: bench.failures,
    };
  },

  async afterClose() {
    const clip = await recordClip(1);
    const bench = await openBench();
    bench.queue.append(clip.slice(0, 400));
    bench.queue.append(clip.slice(400));
    bench.queue.close();
    bench.queue.close();
    bench.queue.append(clip);
    bench.queue.restart(5, null);
    bench.queue.remove(0, 1);
    await new Promise((resolve) => setTimeout(resolve, 100));
    return { ranges: buffered(bench), failures: bench.failures, pendingBytes: bench.queue.pendingBytes };
  },
};

Object.assign(window, { scenarios });
export type Scenarios = typeof scenarios;
