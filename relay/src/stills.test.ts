import { describe, expect, test } from 'vitest';
import { HeldClock } from '../testing/held-clock.ts';
import { Stills } from './stills.ts';

const LIMITS = { stillIntervalMs: 2_000, stillWantedMs: 15_000 };
const still = (number: number) => ({
  captureTimeUs: number,
  payload: Uint8Array.of(0xff, 0xd8, 0xff, number),
});

function newStills() {
  const clock = new HeldClock(1_000_000);
  const told: (number | null)[] = [];
  const stills = new Stills({ clock, limits: LIMITS, onWanted: (intervalMs) => told.push(intervalMs) });
  return { clock, told, stills };
}

describe('stills', () => {
  test('[H6] are wanted from the first request until nobody has asked for a while, and then forgotten', () => {
    const { clock, told, stills } = newStills();
    expect(stills.intervalMs).toBeNull();
    expect(stills.ask()).toBeNull();
    expect(told).toEqual([2_000]);
    stills.take(still(1));
    clock.advance(14_999);
    expect(stills.ask()).toEqual(still(1));
    clock.advance(14_999);
    expect([stills.intervalMs, told]).toEqual([2_000, [2_000]]);
    clock.advance(1);
    expect([stills.intervalMs, told]).toEqual([null, [2_000, null]]);
    expect(stills.ask()).toBeNull();
    expect(told).toEqual([2_000, null, 2_000]);
  });

  test('[H7] that nobody wants, or that come too soon, are dropped', () => {
    const { clock, stills } = newStills();
    stills.take(still(1));
    expect(stills.ask()).toBeNull();
    stills.take(still(2));
    clock.advance(900);
    stills.take(still(3));
    expect(stills.ask()).toEqual(still(2));
    clock.advance(100);
    stills.take(still(4));
    expect(stills.ask()).toEqual(still(4));
  });

  test('[H7] hold a copy, so that what the picture came in is let go', () => {
    const { stills } = newStills();
    stills.ask();
    const given = still(5);
    stills.take(given);
    given.payload[3] = 9;
    expect(stills.ask()).toEqual(still(5));
  });

  test('are forgotten when the stream ends, once, and no timer is left', () => {
    const { clock, told, stills } = newStills();
    stills.ask();
    stills.forget();
    stills.forget();
    clock.advance(60_000);
    expect(told).toEqual([2_000, null]);
  });
});
