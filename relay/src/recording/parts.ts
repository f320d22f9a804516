/**
 * Which webm files the first chunks of a recording make: consecutive epochs with pictures and the same tracks share
 * one, a part, whose clock is the wall clock of the publisher. Numbered rules: docs/journal.md, section R.
 */
import type { WebmTrack } from '@proofcast/shared';
import { NO_BLOCK_TICKS } from './chunk-table.ts';
import { extraUsAt, findClockSteps } from './clock-steps.ts';
import type { IndexedEpoch, RecordingIndex } from './recording-index.ts';

/** Between the last block of an epoch and the beginning of the next one, whatever the clocks say. */
const LEAST_DISTANCE_NS = 1_000_000;
/** Between the end of an epoch and the beginning of the next one, either way: a clock was set, or nobody waited. */
const MOST_DISTANCE_US = 24 * 3_600_000_000;

/** An epoch inside its part. Times are ticks of the part's timestamp scale, offsets positions in the epoch's bytes. */
export interface EpochPlan {
  readonly number: number;
  /** What is added to the times of the epoch, and to those of its later clusters on top. */
  readonly shiftTicks: number;
  readonly shiftMs: number;
  readonly steps: readonly RowStep[];
  /** Rows of the table of clusters: `[firstRow, endRow)`. */
  readonly firstRow: number;
  readonly endRow: number;
  /** Of the bytes up to here, the clusters are taken; the last one may go on behind it. */
  readonly wholeEnd: number;
  /** The largest time of its blocks, with the steps and before the shift. */
  readonly lastBlockTicks: number;
}

/** From this row on, up to the next step, so much is added to the times; see `findClockSteps`. */
export interface RowStep {
  readonly firstRow: number;
  readonly extraTicks: number;
}

/** What is added to the times of the cluster in this row. */
export function shiftTicksAt({ shiftTicks, steps }: EpochPlan, row: number): number {
  return shiftTicks + (steps.findLast(({ firstRow }) => firstRow <= row)?.extraTicks ?? 0);
}

/** One webm file. Never empty: each epoch has a picture. */
export interface PartPlan {
  /** Counts from 0. */
  readonly part: number;
  /** Of how many chunks the parts are made. */
  readonly chunkCount: number;
  /** Wall clock of the file's time zero: publisher's clock, µs since 1970. */
  readonly startsAtUs: number;
  readonly timestampScaleNs: number;
  readonly tracks: readonly WebmTrack[];
  /** Up to the last block and one tick more, because how long the last picture stood is not in the bytes. */
  readonly durationTicks: number;
  readonly durationMs: number;
  readonly epochs: readonly EpochPlan[];
}

/**
 * The parts of the first `chunkCount` chunks; of all, when it is not given. Empty without a picture. The same number
 * gives the same answer, however many chunks have come since.
 */
export function planParts(
  index: RecordingIndex,
  { chunkCount = index.nextSequence }: { chunkCount?: number } = {},
): PartPlan[] {
  if (chunkCount > index.nextSequence) {
    throw new Error(`Cannot take ${chunkCount} chunks: there are ${index.nextSequence}.`);
  }
  const runs: { setup: string; endUs: number; epochs: { epoch: IndexedEpoch; extent: Extent }[] }[] = [];
  for (const epoch of index.epochs) {
    const extent = extentOf(index, epoch, chunkCount);
    if (extent === null) continue;
    const setup = describeSetup(epoch);
    const endUs = epoch.wallTimeUs(extent.lastBlockTicks);
    const last = runs.at(-1);
    const isNear = last !== undefined && Math.abs(epoch.start.startedAtUs - last.endUs) <= MOST_DISTANCE_US;
    if (last?.setup === setup && isNear) {
      last.epochs.push({ epoch, extent });
      last.endUs = endUs;
    } else runs.push({ setup, endUs, epochs: [{ epoch, extent }] });
  }
  return runs.map(({ epochs }, part) => planPart(epochs, { part, chunkCount }));
}

interface Extent {
  readonly endRow: number;
  readonly wholeEnd: number;
  readonly steps: readonly RowStep[];
  readonly lastBlockTicks: number;
}

function planPart(
  members: readonly { epoch: IndexedEpoch; extent: Extent }[],
  { part, chunkCount }: { part: number; chunkCount: number },
): PartPlan {
  const first = members[0]?.epoch;
  if (first === undefined) throw new Error('A part has an epoch.');
  const { timestampScaleNs, tracks } = first;
  const startsAtUs = first.start.startedAtUs;
  const toMs = (ticks: number): number => (ticks * timestampScaleNs) / 1e6;
  const leastDistance = Math.ceil(LEAST_DISTANCE_NS / timestampScaleNs);
  const epochs: EpochPlan[] = [];
  let earliest = 0;
  for (const { epoch, extent } of members) {
    const distanceUs = epoch.start.startedAtUs - startsAtUs;
    const shiftTicks = Math.max(earliest, Math.round((distanceUs * 1000) / timestampScaleNs));
    const { number, firstCluster: firstRow } = epoch;
    epochs.push({ number, firstRow, shiftTicks, shiftMs: toMs(shiftTicks), ...extent });
    earliest = shiftTicks + extent.lastBlockTicks + leastDistance;
  }
  const last = epochs.at(-1);
  const durationTicks = (last?.shiftTicks ?? 0) + (last?.lastBlockTicks ?? 0) + 1;
  const durationMs = toMs(durationTicks);
  return { part, chunkCount, startsAtUs, timestampScaleNs, tracks, durationTicks, durationMs, epochs };
}

/** Null when the epoch has no picture among the first `chunkCount` chunks. */
function extentOf(index: RecordingIndex, epoch: IndexedEpoch, chunkCount: number): Extent | null {
  const { chunks, clusters, epochs } = index;
  const next = epochs[epoch.number + 1];
  const lastSequence = Math.min(next?.firstSequence ?? index.nextSequence, chunkCount) - 1;
  if (lastSequence < epoch.firstSequence) return null;
  const wholeEnd = chunks.wholeEnd(lastSequence);
  const rowsEnd = next?.firstCluster ?? clusters.length;
  const clockSteps = findClockSteps(index, epoch, chunkCount);
  let row = epoch.firstCluster;
  let hasPicture = false;
  let lastBlockTicks = 0;
  for (; row < rowsEnd && clusters.bodyStart(row) < wholeEnd; row++) {
    hasPicture ||= clusters.firstVideoEnd(row) <= wholeEnd;
    // What the open cluster held at that time, the chunk knows.
    const last =
      clusters.end(row) <= wholeEnd
        ? clusters.lastBlockTicks(row)
        : blockTicks(clusters.timestampTicks(row), chunks.lastBlockTicks(lastSequence));
    const extraTicks = toTicks(epoch, extraUsAt(clockSteps, row));
    lastBlockTicks = Math.max(lastBlockTicks, (last ?? 0) + extraTicks);
  }
  if (!hasPicture) return null;
  const steps = clockSteps
    .filter(({ firstRow }) => firstRow < row)
    .map(({ firstRow, extraUs }) => ({ firstRow, extraTicks: toTicks(epoch, extraUs) }));
  return { endRow: row, wholeEnd, steps, lastBlockTicks };
}

function toTicks({ timestampScaleNs }: IndexedEpoch, timeUs: number): number {
  return Math.round((timeUs * 1000) / timestampScaleNs);
}

function blockTicks(timestampTicks: number, relativeTicks: number): number | null {
  return relativeTicks === NO_BLOCK_TICKS ? null : timestampTicks + relativeTicks;
}

/** Two epochs can share a file when this is the same for both. The size may differ: frames carry their own. */
function describeSetup({ timestampScaleNs, tracks }: IndexedEpoch): string {
  const described = tracks.map((track) => {
    const { number, kind, codecId, codecPrivate } = track;
    const setup = codecPrivate === null ? '' : Buffer.from(codecPrivate).toString('hex');
    const sound = track.kind === 'audio' ? `${track.samplingRateHz} ${track.channels}` : '';
    return `${number} ${kind} ${codecId} ${setup} ${sound}`;
  });
  return [timestampScaleNs, ...described].join(', ');
}
