import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { openBrowserPage, type BrowserPage } from '../../testing/browser-page.ts';
import type { Scenarios } from '../../testing/pages/fallback-player-page.ts';

let opened: BrowserPage;

beforeAll(async () => {
  opened = await openBrowserPage('fallback-player-page.ts');
});
afterAll(() => opened?.close());

function run<N extends keyof Scenarios>(name: N): Promise<Awaited<ReturnType<Scenarios[N]>>> {
  return opened.page.evaluate((scenario) => {
    const { scenarios } = window as unknown as { scenarios: Record<string, () => unknown> };
    return scenarios[scenario]?.();
  }, name) as Promise<Awaited<ReturnType<Scenarios[N]>>>;
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

  it('[V4] jumps over the gap between two epochs, and knows the delay in the second one', async () => {
    const { after, log } = await run('nextEpoch');
    expect(log).toEqual(['first frame']);
    expect(after.positionS).toBeGreaterThan(3);
    expect(after.delayMs).toBeLessThan(3_000);
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

  it('is not lost by a machine that slept, and is live again at once when it wakes', async () => {
    const { awake, after, log } = await run('sleep');
    expect(awake).toEqual(['first frame']);
    expect(log).toEqual(['first frame']);
    expect(after.aheadS).toBeLessThan(2);
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
