import { growthOf, MUCH_GROWTH } from '@proofcast/shared/testing/growth';
import * as webm from '@proofcast/shared/testing/webm-bytes';
import { WebmScanner } from '@proofcast/shared';
import { afterEach, describe, expect, test } from 'vitest';
import { JournaledRecording, ropeBytes } from '../../testing/journaled-recording.ts';
import { sealFiles } from '../../testing/sealed-files.ts';
import { findClockSteps } from './clock-steps.ts';
import { OpenRecording } from './open-recording.ts';
import { summarize, type RecordingSummary } from './summary.ts';
import { verifyFile } from './verify-file.ts';

const START_US = 1_790_000_000_000_000;
const START_MS = START_US / 1000;
const KEY = 0x80;
const SLICE_MS = 2_000;
const HOUR_MS = 3_600_000;

const opened: JournaledRecording[] = [];
afterEach(() => Promise.all(opened.splice(0).map((recording) => recording.close())));

async function create(): Promise<JournaledRecording> {
  const recording = await JournaledRecording.create({ startedAtUs: START_US });
  opened.push(recording);
  recording.epoch();
  recording.media([webm.initSegment()], START_US);
  return recording;
}

/** Two seconds of pictures, four a second, as the recorder hands them over: a little later, or `lateMs`. */
function slice(recording: JournaledRecording, atMs: number, lateMs = 20): void {
  const blocks = Array.from({ length: 8 }, (_, n) => webm.simpleBlock(1, n * 250, n === 0 ? KEY : 0));
  recording.media([webm.openCluster(atMs, ...blocks)], START_US + (atMs + 1750 + lateMs) * 1000);
}

function slices(recording: JournaledRecording, count: number, lateMs?: number): void {
  const first = recording.index.clusters.length;
  for (let n = first; n < first + count; n += 1) slice(recording, n * SLICE_MS, lateMs);
}

function summaryOf({ journal, index }: JournaledRecording): RecordingSummary {
  const atMs = START_MS + 1_000_000;
  return summarize(
    new OpenRecording({ journal, index, ending: { reason: 'stopped', atMs, publisherAtMs: null } }),
  );
}

const gapsOf = (recording: JournaledRecording) =>
  summaryOf(recording).gaps.map(({ fromMs, toMs, reason }) => [fromMs - START_MS, toMs - START_MS, reason]);

function timesIn(bytes: Uint8Array): number[] {
  const scanner = new WebmScanner();
  const items = [...scanner.push(bytes), ...scanner.finish()];
  return items.filter((item) => item.type === 'block').map(({ timestampMs }) => timestampMs);
}

describe('a recorder that does not count the time for which its device slept', () => {
  test('[G8] leaves a gap as long as the sleep, to the slice', async () => {
    const recording = await create();
    slices(recording, 5);
    slices(recording, 5, 20 + HOUR_MS);
    await recording.flush();
    expect(gapsOf(recording)).toEqual([[9750, 10_000 + HOUR_MS, 'no-data']]);
    const { durationMs, endedAtMs } = summaryOf(recording);
    expect(durationMs).toBe(19_751 + HOUR_MS);
    expect(endedAtMs).toBe(START_MS + 19_750 + HOUR_MS);
  });

  test('[R4] [G8] has its later pictures where the wall clock says, also after a crash', async () => {
    const recording = await create();
    slices(recording, 3);
    slices(recording, 2, 20 + HOUR_MS);
    slices(recording, 2, 20 + HOUR_MS + 60_000);
    await recording.flush();
    const extraMs = [0, 0, 0, HOUR_MS, HOUR_MS, HOUR_MS + 60_000, HOUR_MS + 60_000];
    const times = extraMs.flatMap((ms, n) =>
      Array.from({ length: 8 }, (_, k) => ms + n * SLICE_MS + k * 250),
    );
    const bytes = await ropeBytes(recording.rope());
    expect(timesIn(bytes)).toEqual(times);
    expect(gapsOf(recording)).toEqual([
      [5750, 6000 + HOUR_MS, 'no-data'],
      [9750 + HOUR_MS, 10_000 + HOUR_MS + 60_000, 'no-data'],
    ]);
    await recording.recover();
    expect((await ropeBytes(recording.rope())).equals(bytes)).toBe(true);
  });

  test('[G8] and was told to pause has a gap with that reason', async () => {
    const recording = await create();
    slices(recording, 3);
    recording.event({ type: 'paused', data: { reason: 'person' } }, START_US + 5_800_000);
    recording.event({ type: 'resumed', data: {} }, START_US + 65_900_000);
    slices(recording, 3, 60_020);
    await recording.flush();
    expect(gapsOf(recording)).toEqual([[5750, 66_000, 'paused']]);
  });

  test('[M1] gives back its chunks bit for bit', async () => {
    const recording = await create();
    slices(recording, 3);
    slices(recording, 3, HOUR_MS);
    const { manifest } = await sealFiles(recording);
    const { signal } = new AbortController();
    expect(await verifyFile({ manifestPath: manifest, signal })).toMatchObject({ kind: 'intact' });
  });

  test('[R7] has the same rope of its first chunks for ever', async () => {
    const recording = await create();
    slices(recording, 4);
    slices(recording, 2, HOUR_MS);
    await recording.flush();
    const chunkCount = recording.index.nextSequence;
    const before = await ropeBytes(recording.rope(0, chunkCount));
    slices(recording, 4);
    await recording.flush();
    expect((await ropeBytes(recording.rope(0, chunkCount))).equals(before)).toBe(true);
  });
});

describe('no sleep is', () => {
  test('[G8] a slice that is handed over late, when the next one is in time', async () => {
    const recording = await create();
    slices(recording, 3);
    slices(recording, 2, 30_000);
    slices(recording, 3);
    await recording.flush();
    expect(gapsOf(recording)).toEqual([]);
    expect(timesIn(await ropeBytes(recording.rope())).at(-1)).toBe(15_750);
  });

  test('[G8] a clock that runs a little too fast, or was set back', async () => {
    const recording = await create();
    // A second for each two, five minutes long.
    for (let n = 0; n < 150; n += 1) slices(recording, 1, n * 1000);
    slices(recording, 3, -HOUR_MS);
    await recording.flush();
    const [epoch] = recording.index.epochs;
    expect(findClockSteps(recording.index, epoch!)).toEqual([]);
  });

  test('[G8] a clock that was set by years', async () => {
    const recording = await create();
    slices(recording, 3);
    slices(recording, 3, 10 * 365 * 24 * HOUR_MS);
    await recording.flush();
    const [epoch] = recording.index.epochs;
    expect(findClockSteps(recording.index, epoch!)).toEqual([]);
    expect(summaryOf(recording).durationMs).toBe(11_751);
  });
});

test('[G6] a long time without a picture within one cluster is a gap', async () => {
  const recording = await create();
  const blocks = [0, 500, 1000, 21_000, 21_500].map((ms) => webm.simpleBlock(1, ms, ms === 0 ? KEY : 0));
  recording.media([webm.openCluster(0, ...blocks)], START_US + 21_600_000);
  await recording.flush();
  expect(gapsOf(recording)).toEqual([[1000, 21_000, 'no-data']]);
});

test('[G6] a hostile clock does not hold up the relay', async () => {
  const recordings = new Map<number, JournaledRecording>();
  for (const count of [5_000, 20_000]) {
    const recording = await create();
    for (let n = 0; n < count; n += 1) slice(recording, n * SLICE_MS, n * 6_000);
    await recording.flush();
    recordings.set(count, recording);
  }
  const gapCount = (count: number): number => summaryOf(recordings.get(count)!).gaps.length;
  expect(gapCount(20_000)).toBeGreaterThan(0);
  expect(growthOf(gapCount, 5_000)).toBeLessThan(MUCH_GROWTH);
});
