import { systemMediaClock, type MediaClock } from '../src/media-clock.ts';

/** The real clock on another day. Timers take their real time. */
export class ShiftedClock implements MediaClock {
  #shiftMs = 0;
  readonly schedule = systemMediaClock.schedule;

  nowMs = (): number => Date.now() + this.#shiftMs;

  shift(ms: number): void {
    this.#shiftMs += ms;
  }
}
