import { expect, it } from 'vitest';
import { RequestBudget } from './request-budget.ts';

it('grants the burst at once, and nothing beyond', () => {
  const budget = new RequestBudget({ burst: 3, perSecond: 10 }, 0);
  expect([1, 2, 3, 4].map(() => budget.take(0))).toEqual([true, true, true, false]);
});

it('fills again with time, one request at a time', () => {
  const budget = new RequestBudget({ burst: 3, perSecond: 10 }, 0);
  for (let taken = 0; taken < 3; taken += 1) budget.take(0);
  expect(budget.take(99)).toBe(false);
  expect(budget.take(201)).toBe(true);
  expect(budget.take(201)).toBe(true);
  expect(budget.take(201)).toBe(false);
});

it('never holds more than the burst', () => {
  const budget = new RequestBudget({ burst: 2, perSecond: 10 }, 0);
  expect([1, 2, 3].map(() => budget.take(3_600_000))).toEqual([true, true, false]);
});
