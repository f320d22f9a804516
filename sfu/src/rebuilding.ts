/** A stream whose worker has died, and for whose publisher viewers wait. */
interface Expected {
  readonly timer: NodeJS.Timeout;
  readonly waiting: Set<() => void>;
}

/**
 * Streams that come back in a moment: after a worker has died, publisher and viewers join again at the same time, and a
 * viewer that is quicker than its publisher waits instead of being sent away.
 */
export class Rebuilding {
  readonly #waitMs: number;
  readonly #expected = new Map<string, Expected>();

  constructor(waitMs: number) {
    this.#waitMs = waitMs;
  }

  expect(name: string): void {
    this.arrived(name);
    const timer = setTimeout(() => this.arrived(name), this.#waitMs);
    this.#expected.set(name, { timer, waiting: new Set() });
  }

  /** The stream is there again, or is not waited for any more. */
  arrived(name: string): void {
    const expected = this.#expected.get(name);
    if (!expected) return;
    this.#expected.delete(name);
    clearTimeout(expected.timer);
    for (const wake of expected.waiting) wake();
  }

  /** Resolves at once when the stream is not expected, else when it has arrived or has not come in time. */
  async wait(name: string): Promise<void> {
    const expected = this.#expected.get(name);
    if (expected) await new Promise<void>((resolve) => expected.waiting.add(resolve));
  }

  /** Wakes everybody. Idempotent. */
  close(): void {
    for (const name of this.#expected.keys()) this.arrived(name);
  }
}
