/**
 * Where more time passed than the recorder has counted: a device that slept, or a recorder that was paused, goes on with
 * the next timestamp as if nothing had been. The times at which slices were handed over tell. Pure.
 */
import { NO_BLOCK_TICKS } from './chunk-table.ts';
import type { IndexedEpoch, RecordingIndex } from './recording-index.ts';

/** Slices come late on a busy machine, and all the later ones too when its clock is slowed down; never by so much. */
const LEAST_STEP_US = 5_000_000;
/** More within one epoch is a clock that was set; what sleeps for longer begins a new one. */
const MOST_STEP_US = 24 * 3_600_000_000;
/** Of all steps of one epoch together. */
const MOST_ALL_STEPS_US = 31 * MOST_STEP_US;
const MOST_STEPS = 1_000;

/** From this row of the table of clusters on, the pictures are `extraUs` later than their timestamps say. */
export interface ClockStep {
  readonly firstRow: number;
  readonly extraUs: number;
}

/**
 * The steps in the first `chunkCount` chunks, ascending. A slice that is handed over late makes none, as long as a later
 * one is in time. Exact to the slice in which it happened.
 */
export function findClockSteps(
  { chunks, clusters, epochs, nextSequence }: RecordingIndex,
  epoch: IndexedEpoch,
  chunkCount: number = nextSequence,
): ClockStep[] {
  const end = Math.min(epochs[epoch.number + 1]?.firstSequence ?? nextSequence, chunkCount);
  const { count, delaysUs, sequences } = delaysOf({ chunks, clusters, epochs }, epoch, end);
  const found: { sequence: number; byUs: number }[] = [];
  let leastLaterUs = Number.POSITIVE_INFINITY;
  for (let n = count - 1; n > 0; n -= 1) {
    leastLaterUs = Math.min(leastLaterUs, delaysUs[n] ?? leastLaterUs);
    const byUs = leastLaterUs - (delaysUs[n - 1] ?? leastLaterUs);
    if (byUs > LEAST_STEP_US && byUs <= MOST_STEP_US) found.push({ sequence: sequences[n] ?? 0, byUs });
  }
  const steps: ClockStep[] = [];
  let extraUs = 0;
  for (const { sequence, byUs } of found.toReversed()) {
    if (extraUs + byUs > MOST_ALL_STEPS_US || steps.length === MOST_STEPS) break;
    extraUs += byUs;
    steps.push({ firstRow: clusters.find(epoch.number, chunks.streamStart(sequence)), extraUs });
  }
  return steps;
}

/** What is added to the times of the cluster in this row. */
export function extraUsAt(steps: readonly ClockStep[], row: number): number {
  return steps.findLast(({ firstRow }) => firstRow <= row)?.extraUs ?? 0;
}

/** For each chunk with media, how long after its last whole block it was handed over, by the clock of the publisher. */
interface Delays {
  readonly count: number;
  readonly delaysUs: Float64Array;
  readonly sequences: Uint32Array;
}

function delaysOf(
  { chunks, clusters, epochs }: Pick<RecordingIndex, 'chunks' | 'clusters' | 'epochs'>,
  epoch: IndexedEpoch,
  end: number,
): Delays {
  const capacity = Math.max(0, end - epoch.firstSequence);
  const delaysUs = new Float64Array(capacity);
  const sequences = new Uint32Array(capacity);
  const rowsEnd = epochs[epoch.number + 1]?.firstCluster ?? clusters.length;
  let count = 0;
  let row = epoch.firstCluster;
  let blockUs: number | null = null;
  for (let sequence = epoch.firstSequence; sequence < end; sequence += 1) {
    if (chunks.kind(sequence) !== 'media') continue;
    const streamEnd = chunks.streamEnd(sequence);
    while (row + 1 < rowsEnd && clusters.bodyStart(row + 1) <= streamEnd) row += 1;
    const relativeTicks = chunks.lastBlockTicks(sequence);
    if (relativeTicks !== NO_BLOCK_TICKS) {
      blockUs = epoch.wallTimeUs(clusters.timestampTicks(row) + relativeTicks);
    }
    if (blockUs === null) continue;
    delaysUs[count] = chunks.captureTimeUs(sequence) - blockUs;
    sequences[count] = sequence;
    count += 1;
  }
  return { count, delaysUs, sequences };
}
