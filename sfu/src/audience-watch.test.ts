import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { AudienceWatch, type Audience } from './audience-watch.ts';

const LINGER_MS = 5_000;
let told: Audience[];
let watch: AudienceWatch;

beforeEach(() => {
  vi.useFakeTimers();
  told = [];
  watch = new AudienceWatch({ lingerMs: LINGER_MS, onChanged: (audience) => told.push(audience) });
});
afterEach(() => {
  watch.close();
  vi.useRealTimers();
});

describe('[S12] the audience', () => {
  it('is told when it changes, and not otherwise', () => {
    watch.set({ viewerCount: 0, isWanted: false });
    watch.set({ viewerCount: 1, isWanted: true });
    watch.set({ viewerCount: 1, isWanted: true });
    watch.set({ viewerCount: 2, isWanted: true });
    expect(told).toEqual([
      { viewerCount: 1, isWanted: true },
      { viewerCount: 2, isWanted: true },
    ]);
  });

  it('goes on wanting the stream for a while after the last one, however much the numbers change meanwhile', () => {
    watch.set({ viewerCount: 1, isWanted: true });
    watch.set({ viewerCount: 0, isWanted: false });
    vi.advanceTimersByTime(LINGER_MS - 1);
    watch.set({ viewerCount: 1, isWanted: false });
    expect(watch.audience).toEqual({ viewerCount: 1, isWanted: true });
    vi.advanceTimersByTime(1);
    expect(told.at(-1)).toEqual({ viewerCount: 1, isWanted: false });
  });

  it('that comes back in time is told nothing of that', () => {
    watch.set({ viewerCount: 1, isWanted: true });
    watch.set({ viewerCount: 0, isWanted: false });
    vi.advanceTimersByTime(LINGER_MS - 1);
    watch.set({ viewerCount: 1, isWanted: true });
    vi.advanceTimersByTime(10 * LINGER_MS);
    expect(told.every(({ isWanted }) => isWanted)).toBe(true);
  });

  it('is told nothing after close', () => {
    watch.set({ viewerCount: 1, isWanted: true });
    watch.set({ viewerCount: 0, isWanted: false });
    watch.close();
    watch.close();
    vi.advanceTimersByTime(LINGER_MS);
    expect(told).toHaveLength(2);
    expect(vi.getTimerCount()).toBe(0);
  });
});
