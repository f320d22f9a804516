import type { Schedule } from '@proofcast/shared';
import { systemClock, type Clock } from './clock.ts';

/** Time for the media half: the wall clock, and timers that a test can let pass. */
export interface MediaClock extends Clock {
  readonly schedule: Schedule;
}

export const systemMediaClock: MediaClock = {
  ...systemClock,
  schedule(callback, delayMs) {
    const timer = setTimeout(callback, delayMs);
    return () => clearTimeout(timer);
  },
};
