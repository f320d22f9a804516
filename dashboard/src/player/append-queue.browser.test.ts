import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { openBrowserPage, type BrowserPage } from '../../testing/browser-page.ts';
import type { Scenarios } from '../../testing/pages/append-queue-page.ts';

let opened: BrowserPage<Scenarios>;

beforeAll(async () => {
  // A small quota, so that it can be used up in a test.
  opened = await openBrowserPage<Scenarios>('append-queue-page.ts', ['--mse-video-buffer-size-limit-mb=2']);
});
afterAll(() => opened?.close());

const run: BrowserPage<Scenarios>['run'] = (...call) => opened.run(...call);

describe('the append queue on a real SourceBuffer', () => {
  it('appends slices that were cut anywhere, in order, whatever the buffer is doing', async () => {
    const cuts = [0.003, 0.01, 0.21, 0.22, 0.222, 0.5, 0.51, 0.93];
    const { ranges, failures, waiting, clipBytes } = await run('slices', cuts);
    expect(failures).toEqual([]);
    expect(waiting).toBeGreaterThan(clipBytes / 2);
    expect(ranges).toHaveLength(1);
    expect(ranges[0]?.end).toBeGreaterThan(1.5);
  });

  it('begins again after a cut in the middle of a cluster, at the time that it is given', async () => {
    const { ranges, failures } = await run('restart');
    expect(failures).toEqual([]);
    expect(ranges).toHaveLength(2);
    expect(ranges[1]?.start).toBeCloseTo(10, 0);
    expect(ranges[1]?.end).toBeGreaterThan(11.5);
  });

  it('makes room when the quota of the browser is used up, and loses nothing new', async () => {
    const rounds = 6;
    const { ranges, failures, rooms, clipBytes } = await run('quota', rounds);
    expect(clipBytes * rounds).toBeGreaterThan(2 * 2e6);
    expect(failures).toEqual([]);
    expect(rooms).toBeGreaterThan(0);
    expect(ranges.at(-1)?.end).toBeGreaterThan(rounds * 3 - 1);
  });

  it('fails once, with a code, on what is no media, and takes nothing after that', async () => {
    const { failures, pendingBytes } = await run('garbage');
    expect(failures).toEqual(['WEBM_INVALID']);
    expect(pendingBytes).toBe(0);
  });

  it('fails with a code when more waits than it may hold', async () => {
    const { failures } = await run('tooSlow');
    expect(failures).toEqual(['VIEWER_TOO_SLOW']);
  });

  it('forgets everything on clear, and says how long that takes', async () => {
    const { before, isClearing, isCleared, ranges, failures } = await run('clear');
    expect(failures).toEqual([]);
    expect(before[0]?.start).toBeLessThan(1);
    expect([isClearing, isCleared]).toEqual([true, true]);
    expect(ranges).toHaveLength(1);
    expect(ranges[0]?.start).toBeGreaterThan(99.9);
  });

  it('does nothing after close', async () => {
    const { ranges, failures, pendingBytes } = await run('afterClose');
    expect(ranges).toEqual([]);
    expect(failures).toEqual([]);
    expect(pendingBytes).toBe(0);
  });
});
