import { describe, expect, it } from 'vitest';
import { HttpClock } from './http-clock.ts';

const START_MS = Date.UTC(2026, 10, 22, 12, 0, 0);
const dateAt = (relayMs: number): string => new Date(relayMs).toUTCString();

/** One request that takes `tripMs` each way, with a relay that is `offsetMs` ahead. */
function answer(clock: HttpClock, at: { localMs: number; offsetMs: number; tripMs?: number }): void {
  const tripMs = at.tripMs ?? 5;
  clock.take({
    sentAtMs: at.localMs - tripMs,
    receivedAtMs: at.localMs + tripMs,
    date: dateAt(at.localMs + at.offsetMs),
  });
}

describe("the relay's clock by HTTP dates", () => {
  it('is not known before the first answer, nor by one without a date', () => {
    const clock = new HttpClock();
    expect(clock.offsetMs).toBeNull();
    clock.take({ sentAtMs: 0, receivedAtMs: 1, date: null });
    clock.take({ sentAtMs: 0, receivedAtMs: 1, date: 'a fine day' });
    expect(clock.offsetMs).toBeNull();
  });

  it('is known to half a second by one answer', () => {
    const clock = new HttpClock();
    answer(clock, { localMs: START_MS + 400, offsetMs: 7_000 });
    expect(Math.abs((clock.offsetMs ?? 0) - 7_000)).toBeLessThan(510);
  });

  it('is known better by each answer at another part of the second', () => {
    const clock = new HttpClock();
    for (let index = 0; index < 40; index += 1) {
      answer(clock, { localMs: START_MS + index * 3_037, offsetMs: -2_345 });
    }
    expect(Math.abs((clock.offsetMs ?? 0) + 2_345)).toBeLessThan(40);
  });

  it('begins anew when one of the clocks was set', () => {
    const clock = new HttpClock();
    for (let index = 0; index < 10; index += 1)
      answer(clock, { localMs: START_MS + index * 3_037, offsetMs: 0 });
    answer(clock, { localMs: START_MS + 60_000, offsetMs: 3_600_000 });
    expect(Math.abs((clock.offsetMs ?? 0) - 3_600_000)).toBeLessThan(510);
  });
});
