import { createId } from '@proofcast/shared';
import { expect, it } from 'vitest';
import { leastLoaded, placeStream, type Place } from './placement.ts';

const companyId = createId('company');
const place = (load: number, homes = 0): Place => ({
  load,
  homesOf: (id) => (id === companyId ? homes : 0),
});

it('a stream goes to its company as long as that has not too much more to do', () => {
  const [idle, ours] = [place(0), place(50, 3)];
  expect(placeStream([idle, ours], companyId, 50)).toBe(ours);
  expect(placeStream([idle, ours], companyId, 49)).toBe(idle);
  expect(placeStream([idle, ours], createId('company'), 50)).toBe(idle);
});

it('of several places of the company the one with the least to do is taken', () => {
  const [busy, calm] = [place(9, 5), place(7, 1)];
  expect(placeStream([place(6), busy, calm], companyId, 5)).toBe(calm);
});

it('without places there is none', () => {
  expect(placeStream([], companyId, 5)).toBeUndefined();
  expect(leastLoaded([])).toBeUndefined();
});
