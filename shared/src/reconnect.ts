/**
 * How long to wait before the next attempt to connect. It never gives up: the delay doubles up to a cap, and each
 * delay is drawn between half and all of that ("equal jitter"), so that many peers cut off at once do not return at
 * once, and none returns immediately.
 */

export interface ReconnectLimits {
  readonly initialDelayMs: number;
  readonly maxDelayMs: number;
}

export const DEFAULT_RECONNECT_LIMITS: ReconnectLimits = { initialDelayMs: 250, maxDelayMs: 15_000 };

export interface ReconnectPolicy {
  /** The delay in milliseconds before the next attempt; each call counts as one failed attempt. */
  nextDelayMs(): number;
  /** Call when a connection has proven itself, not merely when it opened. */
  reset(): void;
  /** Failed attempts since the last reset. */
  readonly attempts: number;
}

/** `random` returns a number in [0, 1), as `Math.random` does. */
export function createReconnectPolicy(
  limits: ReconnectLimits = DEFAULT_RECONNECT_LIMITS,
  random: () => number = Math.random,
): ReconnectPolicy {
  let attempts = 0;
  return {
    nextDelayMs() {
      const exponent = Math.min(attempts, 30);
      const fullDelayMs = Math.min(limits.maxDelayMs, limits.initialDelayMs * 2 ** exponent);
      attempts += 1;
      return Math.round(fullDelayMs * (0.5 + 0.5 * random()));
    },
    reset() {
      attempts = 0;
    },
    get attempts() {
      return attempts;
    },
  };
}
