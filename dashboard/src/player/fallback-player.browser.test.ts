import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { openBrowserPage, type BrowserPage } from '../../testing/browser-page.ts';
import { LIVE_EDGE_LIMITS } from '../config.ts';
import type { Scenarios } from '../../testing/pages/fallback-player-page.ts';

let opened: BrowserPage<Scenarios>;

beforeAll(async () => {
  opened = await openBrowserPage<Scenarios>('fallback-player-page.ts');
});
afterAll(() => opened?.close());

const run: BrowserPage<Scenarios>['run'] = (...call) => opened.run(...call);

/** What the page's scripts hold after everything that may go has gone. */
async function heapBytes(): Promise<number> {
  const session = await opened.page.context().newCDPSession(opened.page);
  await session.send('HeapProfiler.collectGarbage');
  const { usedSize } = (await session.send('Runtime.getHeapUsage')) as { usedSize: number };
  await session.detach();
  return usedSize;
}

describe('the relay path', () => {
  it('[V3] plays close to the live edge, and finds back to it after a hiccup', async () => {
    const { steady, starved, recovered, log } = await run('hiccup');
    expect(log).toEqual(['first frame']);
    expect(steady.aheadS).toBeLessThan(1.5);
    expect(steady.delayMs).toBeLessThan(3_000);
    expect(starved.delayMs).toBeGreaterThan(steady.delayMs ?? 0);
    expect(recovered.positionS).toBeGreaterThan(starved.positionS + 2);
    expect(recovered.aheadS).toBeLessThan(3);
    expect(recovered.delayMs).toBeLessThan(4_000);
  });

  it('[V5] goes on at the newest cluster after it was cut', async () => {
    const { after, log } = await run('cut');
    expect(log).toEqual(['first frame']);
    expect(after.aheadS).toBeLessThan(2);
    expect(after.delayMs).toBeLessThan(3_000);
  });

  it('[T9] goes on at the live edge when sound is added', async () => {
    const { after, log } = await run('soundAdded');
    expect(log).toEqual(['first frame']);
    expect(after.aheadS).toBeLessThan(3);
    expect(after.delayMs).toBeLessThan(4_000);
  });

  it('[V4] jumps over the gap between two epochs, and knows the delay in the second one', async () => {
    const { after, log } = await run('nextEpoch');
    expect(log).toEqual(['first frame']);
    expect(after.positionS).toBeGreaterThan(3);
    expect(after.delayMs).toBeLessThan(3_000);
  });

  it('[V3] loses nothing that arrives while the browser is opening the media source', async () => {
    const { startsS, log } = await run('overtaken');
    expect(log).toEqual(['first frame']);
    expect(startsS).toHaveLength(1);
    expect(startsS[0]).toBeLessThan(0.1);
  });

  it('is lost with a code when the browser cannot play the codec', async () => {
    const { log } = await run('unsupported');
    expect(log).toEqual(['lost MEDIA_UNSUPPORTED']);
  });

  it('is lost when nothing comes of a live stream, and waits when the stream is not live', async () => {
    const { whileNotLive, log } = await run('silence');
    expect(whileNotLive).toEqual(['first frame']);
    expect(log.slice(0, 2)).toEqual(['first frame', 'lost TIMEOUT']);
  });

  it('[T6] is not lost by a machine that slept, and is live again at once when it wakes', async () => {
    const { awake, after, log } = await run('sleep');
    expect(awake).toEqual(['first frame']);
    expect(log).toEqual(['first frame']);
    expect(after.aheadS).toBeLessThan(2);
  });

  it('[T6] drifts less than 300 ms in an hour compressed into a minute, and holds no more than at first', async ({
    annotate,
  }) => {
    const before = await heapBytes();
    const { samples, log } = await run('drift', 60);
    expect(log).toEqual(['first frame']);
    const delayOf = (from: number, to: number): number => {
      const delays = samples.slice(from, to).map(({ delayMs }) => delayMs);
      return delays.toSorted((a, b) => a - b)[Math.floor(delays.length / 2)] ?? 0;
    };
    const driftMs = delayOf(-15, samples.length) - delayOf(0, 15);
    const maxBufferedS = Math.max(...samples.map(({ bufferedS }) => bufferedS));
    const grownBytes = (await heapBytes()) - before;
    await annotate(
      `drift ${driftMs} ms, at most ${maxBufferedS} s buffered, heap grew by ${grownBytes} bytes`,
    );
    expect(Math.abs(driftMs)).toBeLessThan(300);
    // The player has worked for it.
    expect(samples.some(({ rate }) => rate > 1)).toBe(true);
    const { maxBehindS, jumpExcessS, maxTargetS } = LIVE_EDGE_LIMITS;
    expect(maxBufferedS).toBeLessThan(maxBehindS + jumpExcessS + maxTargetS);
    expect(Math.max(...samples.map(({ rate }) => rate))).toBeLessThanOrEqual(
      LIVE_EDGE_LIMITS.maxPlaybackRate,
    );
    expect(grownBytes).toBeLessThan(4e6);
  });

  it('is lost when there is media in front of a playhead that stands still', async () => {
    const { log } = await run('stuck');
    expect(log.slice(0, 2)).toEqual(['first frame', 'lost TIMEOUT']);
  });

  it('lets go of everything on close, and hears nothing after that', async () => {
    const { log, sent, source, readyState, delay } = await run('close');
    expect(log).toEqual(['first frame']);
    expect(sent).toEqual(['watch', 'unwatch']);
    expect(source).toBeNull();
    expect(readyState).toBe(0);
    expect(delay).toBeNull();
  });
});
