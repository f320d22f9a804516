/**
 * Still pictures of one stream: the newest one, in memory alone, and only while somebody asks. The publisher is told
 * when the first asks and when nobody has asked for a while; what it sends then is forgotten. Rules H5–H7.
 */
import { copyBytes, type Still } from '@proofcast/shared';
import type { MediaClock } from './media-clock.ts';

export interface StillLimits {
  /** How often the publisher is asked for one; what comes twice as often is dropped. */
  readonly stillIntervalMs: number;
  /** How long one request keeps stills wanted. */
  readonly stillWantedMs: number;
}

type State =
  | { readonly kind: 'unwanted' }
  | { readonly kind: 'wanted'; readonly cancelEnd: () => void; newest: Still | null; takenAtMs: number };

export class Stills {
  readonly #clock: MediaClock;
  readonly #limits: StillLimits;
  readonly #onWanted: (intervalMs: number | null) => void;
  #state: State = { kind: 'unwanted' };

  /** `onWanted` is called with what the publisher is to be told. */
  constructor(options: {
    clock: MediaClock;
    limits: StillLimits;
    onWanted: (intervalMs: number | null) => void;
  }) {
    this.#clock = options.clock;
    this.#limits = options.limits;
    this.#onWanted = options.onWanted;
  }

  /** What a publisher that has just come is to be told; null: nothing is wanted. */
  get intervalMs(): number | null {
    return this.#state.kind === 'wanted' ? this.#limits.stillIntervalMs : null;
  }

  /** The newest still, null when there is none yet. Asking is what makes it wanted. */
  ask(): Still | null {
    const before = this.#state;
    if (before.kind === 'wanted') before.cancelEnd();
    const cancelEnd = this.#clock.schedule(() => this.forget(), this.#limits.stillWantedMs);
    const kept = before.kind === 'wanted' ? before : { newest: null, takenAtMs: Number.NEGATIVE_INFINITY };
    this.#state = { kind: 'wanted', cancelEnd, newest: kept.newest, takenAtMs: kept.takenAtMs };
    if (before.kind === 'unwanted') this.#onWanted(this.#limits.stillIntervalMs);
    return kept.newest;
  }

  /** Takes a still; drops one that nobody wants, or that comes too soon after the one before. */
  take({ captureTimeUs, payload }: Still): void {
    if (this.#state.kind === 'unwanted') return;
    const nowMs = this.#clock.nowMs();
    const sinceLastMs = Math.abs(nowMs - this.#state.takenAtMs);
    if (sinceLastMs < this.#limits.stillIntervalMs / 2) return;
    // A copy: the frame around it may be a part of something larger.
    this.#state.newest = { captureTimeUs, payload: copyBytes(payload) };
    this.#state.takenAtMs = nowMs;
  }

  /** The stream has no picture any more, or nobody wants one. Idempotent. */
  forget(): void {
    if (this.#state.kind === 'unwanted') return;
    this.#state.cancelEnd();
    this.#state = { kind: 'unwanted' };
    this.#onWanted(null);
  }
}
