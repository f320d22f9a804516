import { afterEach, describe, expect, it, vi } from 'vitest';
import { formatDay, formatDelay, formatDuration, formatElapsed } from './time-text.ts';

describe('a duration', () => {
  it.each([
    [0, '0:00'],
    [7_900, '0:07'],
    [65_000, '1:05'],
    [760_000, '12:40'],
    [3_600_000, '1:00:00'],
    [3_723_000, '1:02:03'],
    [360_000_000, '100:00:00'],
    [-5, '0:00'],
    [Number.NaN, '0:00'],
    [Number.POSITIVE_INFINITY, '0:00'],
  ])('of %d ms reads %s', (durationMs, text) => {
    expect(formatDuration(durationMs)).toBe(text);
  });
});

describe('how long something has been so', () => {
  it.each([
    [-1, '0 s'],
    [8_400, '8 s'],
    [59_999, '59 s'],
    [60_000, '1 min'],
    [3_599_999, '59 min'],
    [3_900_000, '1 h 05 min'],
    [86_400_000, '1 d'],
    [400_000_000, '4 d'],
  ])('for %d ms reads %s', (elapsedMs, text) => {
    expect(formatElapsed(elapsedMs)).toBe(text);
  });
});

describe('a delay', () => {
  it.each([
    [-3, '0 ms'],
    [43, '45 ms'],
    [199, '200 ms'],
    [260, '0.3 s'],
    [994, '1.0 s'],
    [1_840, '1.8 s'],
    [9_949, '9.9 s'],
    [11_600, '12 s'],
    [61_000, '1 min'],
  ])('of %d ms reads %s', (delayMs, text) => {
    expect(formatDelay(delayMs)).toBe(text);
  });
});

describe('a day', () => {
  afterEach(() => {
    vi.unstubAllEnvs();
  });

  const at = (day: number, hour: number) => new Date(2026, 10, day, hour).getTime();

  it('is called by the calendar, not by 24 hours', () => {
    expect(formatDay(at(22, 0), at(22, 23), 'en-GB')).toBe('Today');
    expect(formatDay(at(21, 23), at(22, 0), 'en-GB')).toBe('Yesterday');
    expect(formatDay(at(20, 23), at(22, 0), 'en-GB')).toMatch(/^Friday,? 20 November 2026$/);
  });

  it('is right on days of 23 and 25 hours', () => {
    vi.stubEnv('TZ', 'Europe/Berlin');
    expect(formatDay(new Date(2026, 9, 25, 0).getTime(), new Date(2026, 9, 26, 0).getTime(), 'en-GB')).toBe(
      'Yesterday',
    );
    expect(formatDay(new Date(2026, 2, 29, 0).getTime(), new Date(2026, 2, 30, 0).getTime(), 'en-GB')).toBe(
      'Yesterday',
    );
  });
});
