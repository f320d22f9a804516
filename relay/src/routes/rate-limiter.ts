import { CodedError } from '@proofcast/shared';
import type { Clock } from '../clock.ts';
import type { RateLimit } from '../config.ts';

/** Callers that are remembered; beyond, the one that was quiet for longest is forgotten. */
const MAX_KEYS = 10_000;

/**
 * Lets each caller make `count` calls at once, and as many again in the course of `perMs`. Keeps one number a caller:
 * the time at which its calls so far would have been made at an even pace (generic cell rate algorithm, ITU-T I.371).
 */
export class RateLimiter {
  readonly #limit: RateLimit;
  readonly #clock: Clock;
  /** A whole number, so that adding it up stays exact. */
  readonly #paceMs: number;
  /** By caller, from quiet for longest to seen last. */
  readonly #spentUntilMs = new Map<string, number>();

  constructor({ limit, clock }: { limit: RateLimit; clock: Clock }) {
    this.#limit = limit;
    this.#clock = clock;
    this.#paceMs = Math.ceil(limit.perMs / limit.count);
  }

  /** Counts one call of `key`; throws `TOO_MANY_REQUESTS` with the time to wait in `details.retryAfterMs`. */
  take(key: string): void {
    const nowMs = this.#clock.nowMs();
    const beforeMs = this.#spent(key, nowMs);
    const retryAfterMs = beforeMs + this.#paceMs - nowMs - this.#paceMs * this.#limit.count;
    this.#remember(key, retryAfterMs > 0 ? beforeMs : beforeMs + this.#paceMs);
    if (retryAfterMs > 0) {
      throw new CodedError('TOO_MANY_REQUESTS', `Too many attempts; try again in ${retryAfterMs} ms.`, {
        details: { retryAfterMs },
      });
    }
  }

  /** Takes back one call of `key`, because it turned out not to count. */
  giveBack(key: string): void {
    this.#remember(key, this.#spent(key, this.#clock.nowMs()) - this.#paceMs);
  }

  #spent(key: string, nowMs: number): number {
    const spentUntilMs = this.#spentUntilMs.get(key) ?? nowMs;
    // The upper bound matters when the clock was set back: nobody waits longer than for a full refill.
    return Math.min(Math.max(spentUntilMs, nowMs), nowMs + this.#paceMs * this.#limit.count);
  }

  #remember(key: string, spentUntilMs: number): void {
    this.#spentUntilMs.delete(key);
    this.#spentUntilMs.set(key, spentUntilMs);
    if (this.#spentUntilMs.size <= MAX_KEYS) return;
    const [quietest] = this.#spentUntilMs.keys();
    if (quietest !== undefined) this.#spentUntilMs.delete(quietest);
  }
}

/**
 * Runs `attempt` and counts it only if it fails to prove who is asking. Each attempt is counted before it starts and
 * given back afterwards, so that many made at the same time cannot slip through together.
 */
export async function countFailures<T>(
  counters: readonly { readonly limiter: RateLimiter; readonly key: string }[],
  attempt: () => Promise<T>,
): Promise<T> {
  for (const { limiter, key } of counters) limiter.take(key);
  let isWrongGuess = false;
  try {
    return await attempt();
  } catch (error) {
    isWrongGuess = error instanceof CodedError && error.status === 401;
    throw error;
  } finally {
    if (!isWrongGuess) for (const { limiter, key } of counters) limiter.giveBack(key);
  }
}
