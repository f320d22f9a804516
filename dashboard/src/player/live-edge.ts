/** Where the playhead of a live picture should be: pure decisions about what is buffered. */
import type { LiveEdgeLimits } from '../config.ts';

/** Buffered ranges in seconds, ascending, as TimeRanges gives them. */
export type Ranges = readonly { readonly start: number; readonly end: number }[];

export type EdgeDecision =
  | { readonly kind: 'play'; readonly rate: number }
  | { readonly kind: 'jump'; readonly toS: number };

/** Copies a TimeRanges object of the browser. */
export function readRanges(ranges: TimeRanges): Ranges {
  return Array.from({ length: ranges.length }, (_, index) => ({
    start: ranges.start(index),
    end: ranges.end(index),
  }));
}

/** Where to begin: near the end of what is there, but not before it. Null while nothing is buffered. */
export function startPosition(ranges: Ranges, targetS: number): number | null {
  const last = ranges.at(-1);
  return last ? Math.max(last.start, last.end - targetS) : null;
}

/** What the playhead should do now. */
export function decideEdge(
  state: {
    readonly ranges: Ranges;
    readonly positionS: number;
    readonly targetS: number;
    /** For how long it has been playing. */
    readonly ageS: number;
  },
  limits: LiveEdgeLimits,
): EdgeDecision {
  const { ranges, positionS, targetS, ageS } = state;
  const last = ranges.at(-1);
  if (!last) return { kind: 'play', rate: 1 };
  const aheadS = last.end - positionS;
  const jumpExcessS = ageS < limits.youngS ? limits.youngJumpExcessS : limits.jumpExcessS;
  if (aheadS - targetS > jumpExcessS) return { kind: 'jump', toS: edgeOf(last, targetS) };
  // At the end of a range with another one behind it: what lies between will never come.
  const current = ranges.find((range) => positionS >= range.start && positionS < range.end - GAP_REACH_S);
  const next = ranges.find((range) => range.start > positionS);
  if (!current && next) return { kind: 'jump', toS: next.start };
  return { kind: 'play', rate: playbackRate(aheadS, targetS, limits) };
}

/** The oldest part that may go, or null while it is too little to bother. */
export function evictable(
  ranges: Ranges,
  positionS: number,
  limits: LiveEdgeLimits,
): { start: number; end: number } | null {
  const first = ranges[0];
  if (!first || positionS - first.start <= limits.maxBehindS) return null;
  return { start: first.start, end: positionS - limits.keepBehindS };
}

/**
 * How much to keep in front of the playhead. It grows when the buffer ran dry and shrinks again after calm: the delay
 * is as small as the network of this viewer lets it be.
 */
export class TargetAhead {
  readonly #limits: LiveEdgeLimits;
  #targetS: number;
  #calmSinceMs: number;

  constructor(limits: LiveEdgeLimits, nowMs: number) {
    this.#limits = limits;
    this.#targetS = limits.minTargetS;
    this.#calmSinceMs = nowMs;
  }

  get seconds(): number {
    return this.#targetS;
  }

  /** The buffer ran dry; `arrivalGapS` is how long nothing had arrived. */
  noteDry(nowMs: number, arrivalGapS: number): void {
    const grownS = Math.max(this.#targetS + this.#limits.targetStepUpS, arrivalGapS);
    this.#targetS = Math.min(this.#limits.maxTargetS, grownS);
    this.#calmSinceMs = nowMs;
  }

  noteCalm(nowMs: number): void {
    if (nowMs - this.#calmSinceMs < this.#limits.calmS * 1000) return;
    const { minTargetS, targetShrinkShare, targetStepDownS } = this.#limits;
    const stepS = Math.max(targetStepDownS, (this.#targetS - minTargetS) * targetShrinkShare);
    this.#targetS = Math.max(minTargetS, this.#targetS - stepS);
    this.#calmSinceMs = nowMs;
  }
}

/** A playhead this close to the end of a range cannot move on within it. */
const GAP_REACH_S = 0.05;
/** Deviations below this are left alone, so that the rate does not fidget. */
const RATE_DEAD_ZONE_S = 0.15;

function edgeOf(range: { start: number; end: number }, targetS: number): number {
  return Math.max(range.start, range.end - targetS);
}

function playbackRate(aheadS: number, targetS: number, limits: LiveEdgeLimits): number {
  if (aheadS > 0 && aheadS < limits.lowAheadS) return limits.minPlaybackRate;
  const excessS = aheadS - targetS;
  if (excessS < RATE_DEAD_ZONE_S) return 1;
  return Math.min(limits.maxPlaybackRate, Math.round((1 + excessS * 0.1) * 100) / 100);
}
