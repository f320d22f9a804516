/**
 * The intervals in which a recording has no picture, and why. Pure: epochs, pictures and events go in, in the
 * publisher's wall clock. Numbered rules: docs/journal.md, section G.
 */
import { Type, type Static } from 'typebox';
import { causesOf, isNoticedLate, isWanted, type EpochCauses, type GapCause } from './gap-causes.ts';
import type { EpochStart, RecordingEvent } from './relay-protocol.ts';

/** Why there is no picture. `unknown` is a defect to be found. */
export const GapReason = Type.Union([
  /** A person paused it. */
  Type.Literal('paused'),
  /** A policy of the company forbids it at this time or place. */
  Type.Literal('policy'),
  Type.Literal('screen-locked'),
  /** The recorder ran and delivered nothing. */
  Type.Literal('capture-stalled'),
  /** What is captured was changed, or went away. */
  Type.Literal('source-changed'),
  Type.Literal('recorder-restarted'),
  /** The device was asleep. */
  Type.Literal('suspended'),
  Type.Literal('spool-full'),
  Type.Literal('publisher-crashed'),
  /** The publisher did not come back, and what it may have kept has not arrived. */
  Type.Literal('publisher-offline'),
  /** Nothing came for a long time, and nobody said why: the device may have slept. */
  Type.Literal('no-data'),
  Type.Literal('unknown'),
]);
export type GapReason = Static<typeof GapReason>;

const TimeMs = Type.Integer({ minimum: 0, maximum: Number.MAX_SAFE_INTEGER });

/** Milliseconds since 1970, publisher's clock: from the last picture before the gap to the first one after it. */
export const Gap = Type.Object({ fromMs: TimeMs, toMs: TimeMs, reason: GapReason });
export type Gap = Static<typeof Gap>;

/** Consecutive pictures of one epoch, the first and the last: of a cluster, or of more. Milliseconds since 1970. */
export interface PictureRun {
  readonly epoch: number;
  readonly firstMs: number;
  readonly lastMs: number;
}

export interface GapInput {
  /** All epochs, also those without pictures, ascending. */
  readonly epochs: readonly { readonly number: number; readonly start: Pick<EpochStart, 'startedAtUs'> }[];
  /** In the order of the recording. A gap within a run is not seen. */
  readonly pictures: Iterable<PictureRun>;
  /** In the order of the recording. */
  readonly events: readonly {
    readonly epoch: number;
    readonly captureTimeUs: number;
    readonly event: RecordingEvent;
  }[];
  /** Until when the recording should have pictures; null while it goes on. */
  readonly end: { readonly atMs: number; readonly isPublisherLost: boolean } | null;
}

/** Less is no gap: clocks and timestamps are not finer. */
const MIN_GAP_MS = 1;

/**
 * The longest time without a picture that needs no word. A recorder gets a picture a second of a screen on which
 * nothing happens, and the desktop app says after this time that capture has stalled.
 */
export const MAX_SILENCE_MS = 7_000;

/** Those behind them are told as one, so that no publisher can make a list that nobody can take. */
export const MAX_GAPS = 10_000;

interface Interval {
  readonly fromMs: number;
  readonly toMs: number;
}

interface EpochFacts extends EpochCauses {
  readonly startMs: number;
  readonly runs: readonly PictureRun[];
}

/**
 * Gaps in ascending order, none shorter than a millisecond. Between two epochs there is always one. Within an epoch there
 * is one where the publisher said that capture was interrupted, and one where no picture came for too long. At most
 * `MAX_GAPS`.
 */
export function computeGaps(input: GapInput): Gap[] {
  const gaps: Gap[] = [];
  for (const gap of allGaps(input)) {
    const last = gaps.at(-1);
    if (gaps.length < MAX_GAPS || last === undefined) gaps.push(gap);
    else gaps[MAX_GAPS - 1] = { fromMs: last.fromMs, toMs: Math.max(last.toMs, gap.toMs), reason: 'unknown' };
  }
  return gaps;
}

function* allGaps(input: GapInput): Generator<Gap> {
  const epochs = gatherFacts(input);
  const [firstEpoch] = epochs;
  if (firstEpoch === undefined) return;
  let fromMs = firstEpoch.startMs;
  let causes: GapCause[] = [];
  for (const epoch of epochs) {
    const [first] = epoch.runs;
    if (first !== undefined) {
      yield* explain({ fromMs, toMs: first.firstMs }, causes);
      yield* gapsWithin(epoch);
      fromMs = epoch.runs.reduce((lastMs, run) => Math.max(lastMs, run.lastMs), first.lastMs);
      causes = [];
    }
    causes.push(...epoch.after);
  }
  const { end } = input;
  if (end === null) return;
  if (end.isPublisherLost) {
    causes.push({ atMs: end.atMs, untilMs: Number.POSITIVE_INFINITY, reason: 'publisher-offline' });
  }
  yield* explain({ fromMs, toMs: end.atMs }, causes);
}

function gatherFacts({ epochs, pictures, events }: GapInput): EpochFacts[] {
  const runsOf = groupByEpoch(pictures);
  const eventsOf = groupByEpoch(events);
  return epochs.map(({ number, start }, index) => {
    const runs = runsOf.get(number) ?? [];
    const ownEvents = eventsOf.get(number) ?? [];
    const startMs = start.startedAtUs / 1000;
    const heardMs = Math.max(
      startMs,
      runs.at(-1)?.lastMs ?? 0,
      (ownEvents.at(-1)?.captureTimeUs ?? 0) / 1000,
    );
    const next = epochs[index + 1];
    const nextStartMs = next === undefined ? null : next.start.startedAtUs / 1000;
    return { startMs, runs, ...causesOf(ownEvents, { heardMs, nextStartMs }) };
  });
}

/**
 * A cause explains the longest hole in which it falls, because pictures may still come after it was told; and any other
 * one only as far as that is too long to need no word. Causes and holes are both in the order of time.
 */
function* gapsWithin({ runs, within, after }: EpochFacts): Generator<Gap> {
  const holes = holesBetween(runs);
  const causesOfHole = new Map<Interval, GapCause[]>();
  const note = (hole: Interval, cause: GapCause): void => {
    const known = causesOfHole.get(hole);
    if (known === undefined) causesOfHole.set(hole, [cause]);
    else known.push(cause);
  };
  let first = 0;
  for (const cause of within) {
    while ((holes[first]?.toMs ?? Number.POSITIVE_INFINITY) <= cause.atMs) first += 1;
    const touched: Interval[] = [];
    for (let at = first; at < holes.length; at += 1) {
      const hole = holes[at];
      if (hole === undefined || hole.fromMs >= cause.untilMs) break;
      touched.push(hole);
    }
    const longest = touched.reduce<Interval | null>(
      (known, hole) => (lengthOf(hole) > lengthOf(known) ? hole : known),
      null,
    );
    for (const hole of touched) {
      if (hole === longest || overlap(hole, cause) > MAX_SILENCE_MS) note(hole, cause);
    }
  }
  for (const hole of holes) {
    if (lengthOf(hole) <= MAX_SILENCE_MS) continue;
    for (const cause of after) if (cause.atMs < hole.toMs && overlap(hole, cause) > 0) note(hole, cause);
  }
  for (const hole of holes) {
    const causes = causesOfHole.get(hole);
    if (causes !== undefined) yield* explain(hole, causes);
    else if (lengthOf(hole) > MAX_SILENCE_MS) yield* explain(hole, []);
  }
}

/** A clock that was set back makes none. */
function holesBetween(runs: readonly PictureRun[]): Interval[] {
  const holes: Interval[] = [];
  let fromMs = Number.POSITIVE_INFINITY;
  for (const { firstMs, lastMs } of runs) {
    if (firstMs > fromMs) holes.push({ fromMs, toMs: firstMs });
    fromMs = Number.isFinite(fromMs) ? Math.max(fromMs, lastMs) : lastMs;
  }
  return holes;
}

interface Piece {
  fromMs: number;
  toMs: number;
  readonly reason: GapReason;
}

/**
 * Divides what has no picture among the causes, each from when it came to when it was over. What lies between two of
 * them belongs to the earlier one if it is short, and else to nobody, unless the later one was noticed late.
 */
function explain({ fromMs, toMs }: Interval, causes: readonly GapCause[]): Gap[] {
  const pieces: Piece[] = [];
  const clamp = (timeMs: number): number => Math.min(Math.max(timeMs, pieces.at(-1)?.toMs ?? fromMs), toMs);
  const ordered = causes.toSorted((a, b) => a.atMs - b.atMs);
  for (const [index, { atMs, untilMs, reason }] of ordered.entries()) {
    let beginMs = clamp(atMs);
    if (coverUpTo(pieces, { fromMs, toMs: beginMs }) === 'left') {
      if (isNoticedLate(reason) || (pieces.length === 0 && beginMs - fromMs <= MAX_SILENCE_MS))
        beginMs = clamp(fromMs);
      else pieces.push({ fromMs: clamp(fromMs), toMs: beginMs, reason: 'no-data' });
    }
    const endMs = Math.min(untilMs, ordered[index + 1]?.atMs ?? untilMs);
    addPiece(pieces, { fromMs: beginMs, toMs: Math.max(beginMs, clamp(endMs)), reason });
  }
  const isLong = toMs - fromMs > MAX_SILENCE_MS;
  if (coverUpTo(pieces, { fromMs, toMs }) === 'left' && (pieces.length > 0 || isLong)) {
    pieces.push({ fromMs: clamp(fromMs), toMs, reason: 'no-data' });
  }
  return pieces
    .filter((piece) => piece.toMs - piece.fromMs >= MIN_GAP_MS)
    .map((piece) => ({
      fromMs: Math.max(0, Math.round(piece.fromMs)),
      toMs: Math.max(0, Math.round(piece.toMs)),
      reason: piece.reason,
    }));
}

/** Lets the last piece reach to the end of `interval` when what it leaves is short. `left`: there is more. */
function coverUpTo(pieces: readonly Piece[], { fromMs, toMs }: Interval): 'covered' | 'left' {
  const last = pieces.at(-1);
  const leftMs = toMs - (last?.toMs ?? fromMs);
  if (leftMs <= 0) return 'covered';
  if (last === undefined || leftMs > MAX_SILENCE_MS) return 'left';
  last.toMs = toMs;
  return 'covered';
}

/** What was not wanted stands for itself; of what happens again, one piece is enough. */
function addPiece(pieces: Piece[], piece: Piece): void {
  const last = pieces.at(-1);
  // Capture does not flow again in the same moment in which a pause ends, or a device wakes up.
  const isAftermath =
    last !== undefined &&
    (isWanted(last.reason) || last.reason === 'suspended') &&
    piece.reason === 'capture-stalled' &&
    lengthOf(piece) <= MAX_SILENCE_MS;
  const isSame = last?.reason === piece.reason && !isWanted(piece.reason);
  if (last !== undefined && last.toMs === piece.fromMs && (isAftermath || isSame)) last.toMs = piece.toMs;
  else pieces.push(piece);
}

function overlap(hole: Interval, { atMs, untilMs }: GapCause): number {
  return Math.min(hole.toMs, untilMs) - Math.max(hole.fromMs, atMs);
}

function lengthOf(interval: Interval | null): number {
  return interval === null ? 0 : interval.toMs - interval.fromMs;
}

function groupByEpoch<T extends { readonly epoch: number }>(items: Iterable<T>): Map<number, T[]> {
  const groups = new Map<number, T[]>();
  for (const item of items) {
    const group = groups.get(item.epoch);
    if (group === undefined) groups.set(item.epoch, [item]);
    else group.push(item);
  }
  return groups;
}
