import { systemMediaClock, type MediaClock } from '../src/media-clock.ts';

/** The real clock, but timers of one duration wait until the test lets them pass. */
export class HeldTimers implements MediaClock {
  readonly #heldMs: number;
  readonly #held = new Set<() => void>();

  constructor(heldMs: number) {
    this.#heldMs = heldMs;
  }

  nowMs = (): number => systemMediaClock.nowMs();

  schedule = (callback: () => void, delayMs: number): (() => void) => {
    if (delayMs !== this.#heldMs) return systemMediaClock.schedule(callback, delayMs);
    this.#held.add(callback);
    return () => this.#held.delete(callback);
  };

  /** How many timers wait. */
  get size(): number {
    return this.#held.size;
  }

  /** Lets all timers fire that wait now. */
  pass(): void {
    const due = [...this.#held];
    for (const callback of due) {
      // One may have been cancelled by another.
      if (this.#held.delete(callback)) callback();
    }
  }
}
