export interface RequestBudgetLimits {
  readonly burst: number;
  readonly perSecond: number;
}

/** How many requests one connection has left: a bucket of `burst` tokens that fills again at `perSecond`. */
export class RequestBudget {
  readonly #limits: RequestBudgetLimits;
  #tokens: number;
  #filledAtMs: number;

  constructor(limits: RequestBudgetLimits, nowMs: number) {
    this.#limits = limits;
    this.#tokens = limits.burst;
    this.#filledAtMs = nowMs;
  }

  /** Whether one more request is allowed at `nowMs`, a time that never goes back. */
  take(nowMs: number): boolean {
    const gained = ((nowMs - this.#filledAtMs) / 1000) * this.#limits.perSecond;
    this.#tokens = Math.min(this.#limits.burst, this.#tokens + gained);
    this.#filledAtMs = nowMs;
    if (this.#tokens < 1) return false;
    this.#tokens -= 1;
    return true;
  }
}
