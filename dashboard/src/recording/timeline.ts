/**
 * The one time line on which a recording is played: its parts one after the other by the publisher's wall clock, and
 * the gaps between and within them. Times are milliseconds from the beginning of the first part. Pure.
 */
import type { Gap, RecordingDetails, RecordingPart } from '@proofcast/shared';

/** A file, or a stretch of the time line that one file covers. */
export interface Segment {
  /** Null: the convenience copy, which is one file of all parts. */
  readonly part: number | null;
  readonly fromMs: number;
  readonly toMs: number;
  /** Publisher's wall clock where the file's clock is zero. */
  readonly startedAtMs: number;
}

/** A gap, and where it lies on the time line. */
export interface PlacedGap {
  readonly gap: Gap;
  readonly fromMs: number;
  readonly toMs: number;
}

export interface Timeline {
  /** Publisher's wall clock where the time line begins. */
  readonly startedAtMs: number;
  /** To the end of the last file, or of the gap behind it. */
  readonly durationMs: number;
  /** Never empty, ascending, without overlaps. */
  readonly segments: readonly [Segment, ...Segment[]];
  /** Ascending. What lies before the first file is not among them. */
  readonly gaps: readonly PlacedGap[];
}

/** A place in a file. */
export interface FilePlace {
  readonly index: number;
  readonly fileMs: number;
}

type Timed = Pick<RecordingDetails, 'state' | 'startedAtMs' | 'durationMs' | 'parts' | 'gaps'>;

/** Null when there is nothing to be played yet. */
export function planTimeline(recording: Timed): Timeline | null {
  const parts = partsOf(recording);
  const [first, ...rest] = placeParts(parts);
  if (first === undefined) return null;
  const { startedAtMs } = first;
  const filesEndMs = rest.at(-1)?.toMs ?? first.toMs;
  const gaps = placeGaps(recording.gaps, startedAtMs);
  return {
    startedAtMs,
    durationMs: Math.max(filesEndMs, gaps.at(-1)?.toMs ?? 0),
    segments: [first, ...rest],
    gaps,
  };
}

/** The same time line with the convenience copy in place of the parts. */
export function joinTimeline(timeline: Timeline): Timeline {
  const { startedAtMs, segments } = timeline;
  const toMs = segments.at(-1)?.toMs ?? 0;
  return { ...timeline, segments: [{ part: null, fromMs: 0, toMs, startedAtMs }] };
}

/** Recordings that were sealed before there were parts have one file. */
function partsOf({
  state,
  startedAtMs,
  durationMs,
  parts,
}: Timed): readonly Omit<RecordingPart, 'sizeBytes'>[] {
  if (parts.length > 0 || state !== 'sealed') return parts;
  return [{ part: 0, startedAtMs, durationMs: durationMs ?? 0 }];
}

function placeParts(parts: readonly Omit<RecordingPart, 'sizeBytes'>[]): Segment[] {
  const zeroMs = parts[0]?.startedAtMs ?? 0;
  let earliestMs = 0;
  return parts.map(({ part, startedAtMs, durationMs }) => {
    // The clock of the publisher may have been set back in between; the relay places them in the same way.
    const fromMs = Math.max(earliestMs, startedAtMs - zeroMs);
    const toMs = fromMs + durationMs;
    earliestMs = toMs + 1;
    return { part, fromMs, toMs, startedAtMs };
  });
}

function placeGaps(gaps: readonly Gap[], zeroMs: number): PlacedGap[] {
  return gaps
    .map((gap) => ({ gap, fromMs: Math.max(0, gap.fromMs - zeroMs), toMs: gap.toMs - zeroMs }))
    .filter(({ fromMs, toMs }) => toMs > fromMs)
    .toSorted((a, b) => a.fromMs - b.fromMs);
}

/** The segment that is played at a time; between two files the next one, behind the last one its end. */
export function filePlaceAt({ segments }: Timeline, timeMs: number): FilePlace {
  const index = segments.findIndex(({ toMs }) => timeMs < toMs);
  const last = segments.length - 1;
  const segment = segments[index === -1 ? last : index] ?? segments[0];
  const fileMs = Math.min(Math.max(0, timeMs - segment.fromMs), segment.toMs - segment.fromMs);
  return { index: index === -1 ? last : index, fileMs };
}

/** The gap in which a time lies. */
export function gapAt({ gaps }: Pick<Timeline, 'gaps'>, timeMs: number): PlacedGap | null {
  return gaps.find(({ fromMs, toMs }) => timeMs >= fromMs && timeMs < toMs) ?? null;
}

/** Publisher's wall clock at a time. */
export function wallClockAt({ segments, startedAtMs }: Timeline, timeMs: number): number {
  const segment = segments.find(({ fromMs, toMs }) => timeMs >= fromMs && timeMs <= toMs);
  return segment === undefined ? startedAtMs + timeMs : segment.startedAtMs + timeMs - segment.fromMs;
}

/** How long the gaps are together. */
export function missingMs(gaps: readonly Gap[]): number {
  return gaps.reduce((sum, { fromMs, toMs }) => sum + toMs - fromMs, 0);
}
