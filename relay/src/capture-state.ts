/**
 * Since when nothing is captured for a recording that has a publisher: it says so itself, or its recorder has ended, or
 * was never begun, and no other one follows for a while.
 */
import type { MediaClock } from './media-clock.ts';

/** What the index of the recording says at this moment. */
export interface CaptureFacts {
  /** The newest word of the publisher is that its capture delivers nothing. */
  readonly isStalled: boolean;
  /** Null before the first epoch. */
  readonly epoch: { readonly isEnded: boolean } | null;
}

export interface CaptureStateOptions {
  readonly facts: CaptureFacts;
  readonly clock: MediaClock;
  /** One recorder is followed by another within this time, or the capture is broken. */
  readonly epochToleranceMs: number;
  /** Since when, if nothing is captured from the beginning. */
  readonly sinceMs: number;
  /** Called when time alone has changed it. */
  readonly onChanged: () => void;
}

export class CaptureState {
  readonly #options: CaptureStateOptions;
  #brokenSinceMs: number | null;
  #cancelWait: (() => void) | null = null;

  constructor(options: CaptureStateOptions) {
    this.#options = options;
    this.#brokenSinceMs = options.facts.isStalled ? options.sinceMs : null;
  }

  /** Relay's clock; null while something is captured, as far as is known. */
  get brokenSinceMs(): number | null {
    return this.#brokenSinceMs;
  }

  /** A publisher has come: what it captures may have to arrive first. */
  onAttached(): void {
    if (!this.#options.facts.isStalled) this.#brokenSinceMs = null;
    this.#waitForEpoch();
  }

  /** An event is in the index. */
  onEvent(): void {
    const { facts, clock } = this.#options;
    if (facts.isStalled) this.#brokenSinceMs ??= clock.nowMs();
    else if (this.#hasEpoch) this.#brokenSinceMs = null;
    this.#waitForEpoch();
  }

  /** Idempotent. */
  close(): void {
    this.#cancelWait?.();
    this.#cancelWait = null;
  }

  get #hasEpoch(): boolean {
    const { epoch } = this.#options.facts;
    return epoch !== null && !epoch.isEnded;
  }

  #waitForEpoch(): void {
    if (this.#hasEpoch) return this.close();
    if (this.#cancelWait !== null || this.#brokenSinceMs !== null) return;
    const { clock, epochToleranceMs, onChanged } = this.#options;
    const sinceMs = clock.nowMs();
    this.#cancelWait = clock.schedule(() => {
      this.#cancelWait = null;
      this.#brokenSinceMs = sinceMs;
      onChanged();
    }, epochToleranceMs);
  }
}
