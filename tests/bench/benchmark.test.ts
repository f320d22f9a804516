import { describe, expect, it } from 'vitest';
import { measurePairs, median, percentile, slope } from './benchmark.ts';

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

describe('slope', () => {
  it('is the trend of points that do not lie on a line', () => {
    const points = [0, 1, 2, 3].map((x) => ({ x, y: 5 + 2 * x }));
    expect(slope(points)).toBeCloseTo(2);
    expect(slope([...points, { x: 1, y: 8 }, { x: 1, y: 6 }])).toBeCloseTo(2, 0);
  });

  it('takes two points', () => {
    expect(() => slope([{ x: 1, y: 1 }])).toThrow(RangeError);
  });
});

describe('pairs', () => {
  it('are measured in turns, with the other first in every second one, and give the median of their ratios', async () => {
    const order: string[] = [];
    let busy = 1;
    const result = await measurePairs({
      pairs: 3,
      subject: async () => {
        order.push('subject');
        return 2 * busy++;
      },
      baseline: async () => {
        order.push('baseline');
        return 4;
      },
    });
    expect(order).toEqual(['subject', 'baseline', 'baseline', 'subject', 'subject', 'baseline']);
    expect(result).toEqual({ value: 4, baseline: 4, ratio: 1, ratios: [0.5, 1, 1.5] });
  });
});
