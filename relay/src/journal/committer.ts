/** Group commit: what many journals have appended is made durable in rounds, at most one every interval. */
import type { MediaClock } from '../media-clock.ts';
import type { Journal } from './journal.ts';

export class Committer {
  readonly #clock: MediaClock;
  readonly #intervalMs: number;
  readonly #onError: (error: unknown) => void;
  #dirty = new Set<Journal>();
  #lastRoundMs = Number.NEGATIVE_INFINITY;
  #cancelRound: (() => void) | null = null;

  /** `onError` hears what should not happen: commits tell their own failures. */
  constructor(options: { clock: MediaClock; intervalMs: number; onError: (error: unknown) => void }) {
    this.#clock = options.clock;
    this.#intervalMs = options.intervalMs;
    this.#onError = options.onError;
  }

  /** The journal is committed at once if no round was lately, else with the next round. */
  markDirty(journal: Journal): void {
    this.#dirty.add(journal);
    if (this.#cancelRound !== null) return;
    const sinceLastMs = Math.max(0, this.#clock.nowMs() - this.#lastRoundMs);
    this.#cancelRound = this.#clock.schedule(
      () => this.#runRound(),
      Math.max(0, this.#intervalMs - sinceLastMs),
    );
  }

  /** No more rounds; journals are flushed by whoever closes them. Idempotent. */
  close(): void {
    this.#cancelRound?.();
    this.#cancelRound = null;
    this.#dirty.clear();
  }

  /** All at the same time: syncs of one disk share its journal, and a slow file holds nobody else up. */
  #runRound(): void {
    this.#cancelRound = null;
    this.#lastRoundMs = this.#clock.nowMs();
    const journals = this.#dirty;
    this.#dirty = new Set();
    for (const journal of journals) journal.commit().catch(this.#onError);
  }
}
