/** What can be told of a recording from its index alone: how long it is, what is missing in it, and what happened. */
import { computeGaps, type Gap, type TimedEvent } from '@proofcast/shared';
import type { OpenRecording } from './open-recording.ts';
import type { PartPlan } from './parts.ts';
import type { RecordingIndex } from './recording-index.ts';

/** What the page of one recording lists at most; a publisher may send any number. */
const MAX_LISTED_EVENTS = 10_000;

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
  const hasEnd = first !== undefined && endsAtMs !== null;
  return {
    chunkCount,
    parts,
    gaps: computeGaps({
      epochs: index.epochs,
      pictures: pictureRuns(index),
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
    endedAtMs: lastPictureMs(index),
    // The clock of the publisher may have jumped back between two parts.
    durationMs: hasEnd ? Math.max(0, Math.round(endsAtMs - first.startsAtUs / 1000)) : null,
  };
}

function* pictureRuns({ clusters, epochs }: RecordingIndex) {
  for (let row = 0; row < clusters.length; row += 1) {
    const cluster = clusters.entry(row);
    const epoch = epochs[clusters.epoch(row)];
    if (epoch === undefined || cluster?.videoBlocks === 0) continue;
    const { firstVideoTicks = null, lastVideoTicks = null } = cluster ?? {};
    if (firstVideoTicks === null || lastVideoTicks === null) continue;
    const firstMs = epoch.wallTimeUs(firstVideoTicks) / 1000;
    yield { epoch: epoch.number, firstMs, lastMs: epoch.wallTimeUs(lastVideoTicks) / 1000 };
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

function lastPictureMs({ epochs }: RecordingIndex): number | null {
  const last = epochs.findLast((epoch) => epoch.lastPictureMs !== null);
  return last === undefined ? null : Math.round(last.start.startedAtUs / 1000 + (last.lastPictureMs ?? 0));
}
