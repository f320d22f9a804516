import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { openBrowserPage, type BrowserPage } from '../../testing/browser-page.ts';
import type { Scenarios } from '../../testing/pages/still-player-page.ts';

let opened: BrowserPage<Scenarios>;

beforeAll(async () => {
  opened = await openBrowserPage<Scenarios>('still-player-page.ts');
});
afterAll(() => opened?.close());

const run: BrowserPage<Scenarios>['run'] = (...call) => opened.run(...call);

describe('still pictures', () => {
  it('[H5] are drawn as they come, each once, and say how old they are', async () => {
    const { log, size, colours, delayMs } = await run('pictures');
    expect(log).toEqual(['first frame']);
    expect(size).toEqual([64, 36]);
    expect(colours).toEqual(['red', 'green']);
    expect(delayMs).toBe(4_000);
  });

  it('are asked for again soon while there is none yet, which is no failure', async () => {
    const { log, requests } = await run('noneYet');
    expect(requests).toBeGreaterThan(5);
    expect(log).toEqual(['first frame']);
  });

  it('are lost with the reason after a few refusals, and with what no browser can decode', async () => {
    const { refused, garbage, undated } = await run('failures');
    expect(refused).toEqual(['lost STREAM_OFFLINE']);
    expect(garbage).toEqual(['lost MEDIA_UNSUPPORTED']);
    expect(undated).toEqual(['lost MESSAGE_INVALID']);
  });

  it('are lost when a live stream has no newer one, and wait while it is not live', async () => {
    const { whileNotLive, log } = await run('silence');
    expect(whileNotLive).toEqual(['first frame']);
    expect(log).toEqual(['first frame', 'lost TIMEOUT']);
  });

  it('[T8] are not asked for while nobody sees them, and at once when somebody does', async () => {
    const { whileHidden, afterShown } = await run('hidden');
    expect(whileHidden).toBe(0);
    expect(afterShown).toBe(1);
  });

  it('are over after close', async () => {
    const { log, requests, pendingTimers } = await run('close');
    expect(log).toEqual([]);
    expect(requests).toBe(1);
    expect(pendingTimers).toBe(0);
  });
});

describe('video elements', () => {
  it('are used again as new ones, and not more are kept than may be', async () => {
    const { isSame, leftovers, idle } = await run('pool');
    expect(isSame).toBe(true);
    expect(leftovers).toEqual({ source: null, rate: 1, className: '', testId: undefined, isMuted: true });
    expect(idle).toBe(1);
  });
});
