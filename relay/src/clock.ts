/** Time, passed in so that a test can hold it. */
export interface Clock {
  /** Wall clock, milliseconds since 1970. */
  nowMs(): number;
}

export const systemClock: Clock = { nowMs: () => Date.now() };
