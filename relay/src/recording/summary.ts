/** What can be told of a recording from its index alone: how long it is, what is missing in it, and what happened. */
import { computeGaps, type Gap, type PictureRun, type TimedEvent } from '@proofcast/shared';
import { extraUsAt, findClockSteps, type ClockStep } from './clock-steps.ts';
import type { OpenRecording } from './open-recording.ts';
import type { PartPlan } from './parts.ts';
import type { RecordingIndex } from './recording-index.ts';

/** What the page of one recording lists at most; a publisher may send any number. */
const MAX_LISTED_EVENTS = 10_000;

/** Shorter times without a picture within a cluster are of no interest to the gaps. */
const LEAST_HOLE_US = 1_000_000;

export interface RecordingSummary {
  readonly chunkCount: number;
  readonly parts: readonly PartPlan[];
  readonly gaps: readonly Gap[];
  readonly events: readonly TimedEvent[];
  readonly eventCount: number;
  /** Publisher's wall clock where the clock of the first file is zero; null without a picture. */
  readonly startedAtMs: number | null;
  /** Publisher's wall clock at the last picture. */
  readonly endedAtMs: number | null;
  /** From the beginning of the first part to the end of the last. */
  readonly durationMs: number | null;
}

/** As of now; of a recording that is being made, all of it goes on. */
export function summarize(recording: OpenRecording): RecordingSummary {
  const { index, snapshotCount: chunkCount } = recording;
  const parts = recording.parts(chunkCount);
  const [first, last] = [parts.at(0), parts.at(-1)];
  const startedAtMs = first === undefined ? null : Math.round(first.startsAtUs / 1000);
  const endsAtMs = last === undefined ? null : last.startsAtUs / 1000 + last.durationMs;
  const steps = index.epochs.map((epoch) => findClockSteps(index, epoch));
  const hasEnd = first !== undefined && endsAtMs !== null;
  return {
    chunkCount,
    parts,
    gaps: computeGaps({
      epochs: index.epochs,
      pictures: pictureRuns(index, steps),
      events: index.events,
      end: endOf(recording),
    }),
    events: index.events.slice(0, MAX_LISTED_EVENTS).map(({ epoch, captureTimeUs, event }) => ({
      atMs: Math.floor(captureTimeUs / 1000),
      epoch,
      type: event.type,
      data: { ...event.data },
    })),
    eventCount: index.events.length,
    startedAtMs,
    endedAtMs: lastPictureMs(index, steps),
    // The clock of the publisher may have jumped back between two parts.
    durationMs: hasEnd ? Math.max(0, Math.round(endsAtMs - first.startsAtUs / 1000)) : null,
  };
}

/** `steps` are those of each epoch. */
function* pictureRuns(
  { clusters, epochs }: RecordingIndex,
  steps: readonly (readonly ClockStep[])[],
): Generator<PictureRun> {
  for (let row = 0; row < clusters.length; row += 1) {
    const number = clusters.epoch(row);
    const epoch = epochs[number];
    const cluster = clusters.entry(row);
    if (epoch === undefined || cluster === null || cluster.videoBlocks === 0) continue;
    const { firstVideoTicks, lastVideoTicks } = cluster;
    if (firstVideoTicks === null || lastVideoTicks === null) continue;
    const extraUs = extraUsAt(steps[number] ?? [], row);
    const wallMs = (ticks: number): number => (epoch.wallTimeUs(ticks) + extraUs) / 1000;
    const [firstMs, lastMs] = [wallMs(firstVideoTicks), wallMs(lastVideoTicks)];
    const hole = clusters.longestHole(row);
    const holeUs = hole === null ? 0 : epoch.wallTimeUs(hole.toTicks) - epoch.wallTimeUs(hole.fromTicks);
    if (hole === null || holeUs < LEAST_HOLE_US) yield { epoch: number, firstMs, lastMs };
    else {
      yield { epoch: number, firstMs, lastMs: wallMs(hole.fromTicks) };
      yield { epoch: number, firstMs: wallMs(hole.toTicks), lastMs };
    }
  }
}

/**
 * Until when there should be pictures: until the last word of a publisher that ended in order; until the relay gave up
 * one that was lost, by the clock of the publisher.
 */
function endOf({ ending, index }: OpenRecording): { atMs: number; isPublisherLost: boolean } | null {
  if (ending === null) return null;
  const lastWordUs = index.nextSequence === 0 ? 0 : index.chunks.captureTimeUs(index.nextSequence - 1);
  if (ending.reason !== 'publisher-lost') return { atMs: lastWordUs / 1000, isPublisherLost: false };
  return { atMs: ending.publisherAtMs ?? lastWordUs / 1000, isPublisherLost: true };
}

function lastPictureMs(index: RecordingIndex, steps: readonly (readonly ClockStep[])[]): number | null {
  const last = index.epochs.findLast((epoch) => epoch.lastPictureMs !== null);
  if (last === undefined) return null;
  let lastMs = Number.NEGATIVE_INFINITY;
  for (const run of pictureRuns(index, steps)) {
    if (run.epoch === last.number) lastMs = Math.max(lastMs, run.lastMs);
  }
  return Number.isFinite(lastMs) ? Math.round(lastMs) : null;
}
