import { describe, expect, it } from 'vitest';
import { median, percentile } from './benchmark.ts';

describe('percentile', () => {
  it('interpolates between neighbours, whatever the order', () => {
    expect(median([3, 1, 2])).toBe(2);
    expect(median([4, 1, 2, 3])).toBe(2.5);
    expect(percentile([0, 10], 0.99)).toBeCloseTo(9.9);
    expect(percentile([7], 0.99)).toBe(7);
  });

  it('of nothing is an error', () => {
    expect(() => median([])).toThrow(RangeError);
  });
});
