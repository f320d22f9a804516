/** Takes one duration after the other, as a histogram does. */
interface DurationSink {
  observe(seconds: number): void;
}

/** Who is told how long the work of journals takes. */
export interface JournalTimings {
  /** From a chunk being appended until it is durable. */
  readonly ackSeconds: DurationSink;
  /** One commit that succeeded, whatever it took. */
  readonly commitSeconds: DurationSink;
  /** One `fdatasync` that succeeded. */
  readonly datasyncSeconds: DurationSink;
}

const UNTIMED: DurationSink = { observe() {} };

export const NO_TIMINGS: JournalTimings = {
  ackSeconds: UNTIMED,
  commitSeconds: UNTIMED,
  datasyncSeconds: UNTIMED,
};

/** Of a monotonic clock. */
export function secondsSince(startedMs: number): number {
  return (performance.now() - startedMs) / 1000;
}
