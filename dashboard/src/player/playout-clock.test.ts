import { expect, it } from 'vitest';
import { PlayoutClock } from './playout-clock.ts';

const START_US = 1_700_000_000_000_000;
const epoch = (number: number, startedS: number, offsetS = 0) => ({
  epoch: number,
  startedAtUs: START_US + startedS * 1e6,
  publisherClockOffsetUs: offsetS * 1e6,
});

it('knows no time before the first epoch', () => {
  expect(new PlayoutClock().capturedAtMs(1)).toBeNull();
});

it("tells the capture time of a position by the relay's clock", () => {
  const clock = new PlayoutClock();
  expect(clock.place(epoch(0, 0, 5), 0)).toBe(0);
  expect(clock.capturedAtMs(2.5)).toBe(START_US / 1000 + 7_500);
});

it('places the next epoch at the distance of the wall clocks, so that a gap stays a gap', () => {
  const clock = new PlayoutClock();
  clock.place(epoch(0, 0), 0);
  expect(clock.place(epoch(1, 30), 20)).toBe(30);
  expect(clock.capturedAtMs(31)).toBe(START_US / 1000 + 31_000);
  expect(clock.capturedAtMs(19)).toBe(START_US / 1000 + 19_000);
});

it('never lets an epoch lie over what is buffered, even when the clock of the publisher was put back', () => {
  const clock = new PlayoutClock();
  clock.place(epoch(0, 0), 0);
  expect(clock.place(epoch(1, -600), 20)).toBe(20);
  expect(clock.capturedAtMs(21)).toBe(START_US / 1000 - 599_000);
});

it('leaves an epoch where it is when its init segment comes again after a cut', () => {
  const clock = new PlayoutClock();
  clock.place(epoch(0, 0), 0);
  clock.place(epoch(1, 30), 20);
  expect(clock.place(epoch(1, 30), 55)).toBe(30);
});

it('finds the position of a moment, in whichever epoch it lies, and is the inverse of the capture time', () => {
  const clock = new PlayoutClock();
  expect(clock.positionAt(START_US / 1000)).toBeNull();
  clock.place(epoch(0, 0, 5), 0);
  clock.place(epoch(1, 30, 5), 20);
  for (const positionS of [0, 12.5, 30, 44]) {
    expect(clock.positionAt(clock.capturedAtMs(positionS) ?? 0)).toBeCloseTo(positionS, 6);
  }
  expect(clock.positionAt(START_US / 1000 - 10_000)).toBeCloseTo(-15, 6);
});
