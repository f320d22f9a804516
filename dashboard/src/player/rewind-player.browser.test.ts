import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { openBrowserPage, type BrowserPage } from '../../testing/browser-page.ts';
import type { Scenarios } from '../../testing/pages/rewind-player-page.ts';

let opened: BrowserPage<Scenarios>;

beforeAll(async () => {
  opened = await openBrowserPage<Scenarios>('rewind-player-page.ts');
});
afterAll(() => opened?.close());

const run: BrowserPage<Scenarios>['run'] = (...call) => opened.run(...call);

describe('looking back', () => {
  it('[T7] begins at the moment that was asked for, goes to others, and says how long ago they were', async () => {
    const { atS, delayMs, soughtS, log } = await run('moment');
    expect(atS).toBeGreaterThanOrEqual(6.9);
    expect(atS).toBeLessThan(8.5);
    expect(delayMs).toBeCloseTo((18 - atS) * 1000, -3);
    expect(soughtS).toBeGreaterThanOrEqual(12.4);
    expect(soughtS).toBeLessThan(14);
    expect(log).toEqual(['picture']);
  });

  it('begins at the beginning when there is nothing as old', async () => {
    const { atS } = await run('beforeBeginning');
    expect(atS).toBeGreaterThanOrEqual(-0.1);
    expect(atS).toBeLessThan(1.5);
  });

  it('asks again by the clock of the publisher once that is known', async () => {
    const { atS, asked } = await run('otherClock');
    expect(asked).toEqual([7, 7 + 3_600]);
    expect(atS).toBeGreaterThanOrEqual(6.9);
    expect(atS).toBeLessThan(8.5);
  });

  it('[T7] takes no more while it is paused with much in front of it, and goes on where it left off', async () => {
    const { pausedState, bufferedS, resumedFromS, atS, lengthS, askedTimes } = await run('pausedForLong');
    expect(pausedState).toBe('paused');
    expect(askedTimes).toBe(2);
    expect(bufferedS).toBeLessThanOrEqual(lengthS + 1);
    expect(resumedFromS).toBeGreaterThan(atS);
    expect(resumedFromS).toBeLessThanOrEqual(lengthS + 1);
  });

  it('[T9] goes on where sound begins or ends, and back over it', async () => {
    const { atS, soundBytes, backAtS, ends } = await run('soundInTurns');
    expect(atS).toBeLessThan(2.5);
    expect(soundBytes).toBeGreaterThan(0);
    expect(backAtS).toBeGreaterThanOrEqual(0.9);
    expect(ends).toEqual([]);
  });

  it('begins again at the same moment when the connection was lost, and is over after close', async () => {
    const { whileLost, atS, isWatched } = await run('lost');
    expect(whileLost).toBe('UNAVAILABLE');
    expect(atS).toBeGreaterThanOrEqual(6.9);
    expect(atS).toBeLessThan(9);
    expect(isWatched).toBe(false);
  });
});
