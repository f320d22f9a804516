import { expect, test } from 'vitest';
import { FairQueue } from './fair-queue.ts';

test('companies take turns, each with its oldest item first', () => {
  const queue = new FairQueue<string>();
  for (const item of ['a1', 'a2', 'a3']) queue.push('a', item);
  queue.push('b', 'b1');
  queue.push('c', 'c1');
  expect(queue.size).toBe(5);
  expect([queue.shift(), queue.shift()]).toEqual(['a1', 'b1']);
  queue.push('b', 'b2');
  expect([queue.shift(), queue.shift(), queue.shift(), queue.shift()]).toEqual(['c1', 'a2', 'b2', 'a3']);
  expect(queue.shift()).toBeUndefined();
  expect(queue.size).toBe(0);
});

test('what is taken back does not come', () => {
  const queue = new FairQueue<string>();
  queue.push('a', 'a1');
  queue.push('a', 'a2');
  queue.push('b', 'b1');
  expect(queue.remove('a', 'a1')).toBe(true);
  expect(queue.remove('a', 'a1')).toBe(false);
  expect(queue.remove('c', 'a2')).toBe(false);
  expect(queue.remove('b', 'b1')).toBe(true);
  expect([queue.shift(), queue.shift()]).toEqual(['a2', undefined]);
  queue.push('a', 'a3');
  queue.clear();
  expect(queue.size).toBe(0);
  expect(queue.shift()).toBeUndefined();
});
