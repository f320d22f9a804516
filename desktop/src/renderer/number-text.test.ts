import { describe, expect, it } from 'vitest';
import { sizeText } from './size-text.ts';
import { clockText } from './time-text.ts';

describe('sizes', () => {
  it.each([
    [0, '0 kB'],
    [999_499, '999 kB'],
    [3_200_000, '3.2 MB'],
    [640_000_000, '640 MB'],
    [1_500_000_000, '1.5 GB'],
    [9_999_000_000_000_000, '9999 TB'],
  ])('%d is %s', (bytes, text) => {
    expect(sizeText(bytes)).toBe(text);
  });
});

describe('durations', () => {
  it.each([
    [-5, '0:00'],
    [7_900, '0:07'],
    [750_000, '12:30'],
    [3_723_000, '1:02:03'],
  ])('%d ms is %s', (durationMs, text) => {
    expect(clockText(durationMs)).toBe(text);
  });
});
