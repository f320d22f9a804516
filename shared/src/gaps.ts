/**
 * The intervals in which a recording has no picture, and why. Pure: epochs, pictures and events go in, in the
 * publisher's wall clock. Numbered rules: docs/journal.md, section G.
 */
import { Type, type Static } from 'typebox';
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
  Type.Literal('spool-full'),
  Type.Literal('publisher-crashed'),
  /** The publisher did not come back, and what it may have kept has not arrived. */
  Type.Literal('publisher-offline'),
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

type EpochEndReason = Extract<RecordingEvent, { type: 'epoch-ended' }>['data']['reason'];
type PauseReason = Extract<RecordingEvent, { type: 'paused' }>['data']['reason'];

const REASON_OF_EPOCH_END: Readonly<Record<EpochEndReason, GapReason>> = {
  // Who stops ends the recording: nothing explains that another epoch follows.
  stopped: 'unknown',
  'source-ended': 'source-changed',
  'source-changed': 'source-changed',
  'recorder-failed': 'recorder-restarted',
  'recorder-restarted': 'recorder-restarted',
  'spool-full': 'spool-full',
  'page-crashed': 'publisher-crashed',
  'app-crashed': 'publisher-crashed',
};

const REASON_OF_PAUSE: Readonly<Record<PauseReason, GapReason>> = {
  person: 'paused',
  policy: 'policy',
  'screen-locked': 'screen-locked',
};

/** From `atMs` on there is no picture; `untilMs` is null when there was none until the end of the epoch. */
interface Cause {
  readonly atMs: number;
  readonly untilMs: number | null;
  readonly reason: GapReason;
}

interface Interval {
  readonly fromMs: number;
  readonly toMs: number;
}

interface EpochFacts {
  readonly startMs: number;
  readonly runs: readonly PictureRun[];
  readonly causes: readonly Cause[];
}

/**
 * Gaps in ascending order, none shorter than a millisecond. Between two epochs there is always one. Within an epoch there
 * is one where the publisher said that capture was interrupted: the longest time without a picture around that.
 */
export function computeGaps(input: GapInput): Gap[] {
  const epochs = gatherFacts(input);
  const gaps: Gap[] = [];
  let fromMs = epochs[0]?.startMs ?? 0;
  let causes: Cause[] = [];
  for (const [index, epoch] of epochs.entries()) {
    const [first, last] = [epoch.runs.at(0), epoch.runs.at(-1)];
    if (first !== undefined && last !== undefined) {
      if (index > 0) gaps.push(...explain({ fromMs, toMs: first.firstMs }, causes));
      gaps.push(...gapsWithin(epoch));
      fromMs = last.lastMs;
      causes = [];
    }
    causes.push(...epoch.causes.filter(({ untilMs }) => untilMs === null));
  }
  const { end } = input;
  if (end === null) return gaps;
  if (end.isPublisherLost) causes.push({ atMs: end.atMs, untilMs: null, reason: 'publisher-offline' });
  return [...gaps, ...explain({ fromMs, toMs: end.atMs }, causes)];
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
    const isLast = index === epochs.length - 1;
    return { startMs, runs, causes: causesOf(ownEvents, { heardMs, isLast }) };
  });
}

/** What the events of one epoch say about when it delivered no picture, and why it ended. A new epoch ends every pause. */
function causesOf(
  events: GapInput['events'],
  { heardMs, isLast }: { heardMs: number; isLast: boolean },
): Cause[] {
  const causes: Cause[] = [];
  let open: Omit<Cause, 'untilMs'> | null = null;
  let isPaused = false;
  let isStalled = false;
  let end: Cause | null = isLast ? null : { atMs: heardMs, untilMs: null, reason: 'publisher-crashed' };
  for (const { event, captureTimeUs } of events) {
    const atMs = captureTimeUs / 1000;
    if (event.type === 'paused') {
      isPaused = true;
      open ??= { atMs, reason: REASON_OF_PAUSE[event.data.reason] };
    } else if (event.type === 'capture-stalled') {
      isStalled = true;
      open ??= { atMs, reason: 'capture-stalled' };
    } else if (event.type === 'resumed') isPaused = false;
    else if (event.type === 'capture-resumed') isStalled = false;
    else if (event.type === 'epoch-ended') {
      const { reason } = event.data;
      // That the recording ends with it is no gap.
      const isExpected = isLast && reason === 'stopped';
      end = isExpected ? null : { atMs, untilMs: null, reason: REASON_OF_EPOCH_END[reason] };
    }
    if (open !== null && !isPaused && !isStalled) {
      causes.push({ ...open, untilMs: atMs });
      open = null;
    }
  }
  if (open !== null) causes.push({ ...open, untilMs: null });
  // Who paused wants no picture, whatever happens to the recorder meanwhile.
  if (end !== null && !isPaused) causes.push(end);
  return causes;
}

/** Interruptions and pictures are both in the order of time, so that one pass over the pictures is enough. */
function gapsWithin({ runs, causes }: EpochFacts): Gap[] {
  const gaps: Gap[] = [];
  let next = 1;
  let explainedMs = Number.NEGATIVE_INFINITY;
  for (const { atMs, untilMs, reason } of causes) {
    if (untilMs === null || atMs < explainedMs) continue;
    let longest: Interval | null = null;
    for (; next < runs.length; next += 1) {
      const hole = { fromMs: runs[next - 1]?.lastMs ?? 0, toMs: runs[next]?.firstMs ?? 0 };
      if (hole.fromMs >= untilMs) break;
      if (hole.toMs > atMs && lengthOf(hole) > lengthOf(longest)) longest = hole;
    }
    if (longest === null) continue;
    gaps.push(...explain(longest, [{ atMs, untilMs, reason }]));
    explainedMs = longest.toMs;
  }
  return gaps;
}

/** Divides what has no picture among the causes, each from when it came; the first one explains also what is before. */
function explain({ fromMs, toMs }: Interval, causes: readonly Cause[]): Gap[] {
  const ordered = causes.toSorted((a, b) => a.atMs - b.atMs);
  const gaps: Gap[] = [];
  let beginMs = fromMs;
  ordered.forEach(({ reason }, index) => {
    const next = ordered[index + 1];
    if (next?.reason === reason) return;
    const endMs = next === undefined ? toMs : Math.min(Math.max(next.atMs, beginMs), toMs);
    if (endMs - beginMs >= MIN_GAP_MS) {
      gaps.push({ fromMs: Math.round(beginMs), toMs: Math.round(endMs), reason });
    }
    beginMs = endMs;
  });
  return gaps;
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
