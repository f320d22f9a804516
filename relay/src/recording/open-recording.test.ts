import { loadWebmClip } from '@proofcast/shared/testing/webm-clip';
import { afterEach, describe, expect, test } from 'vitest';
import { JournaledRecording } from '../../testing/journaled-recording.ts';
import { OpenRecording } from './open-recording.ts';

const DAY_US = 24 * 3_600_000_000;
const PARTS = 9;
const { slices } = loadWebmClip('vp8');

let journaled: JournaledRecording;
afterEach(() => journaled.close());

/** Each epoch begins two days after the one before, and makes a part of its own. */
async function openParts(): Promise<OpenRecording> {
  journaled = await JournaledRecording.create();
  for (let part = 0; part < PARTS; part += 1) {
    journaled.epoch({ startedAtUs: journaled.maker.start.startedAtUs + part * 2 * DAY_US });
    journaled.media(slices);
  }
  await journaled.flush();
  const { journal, index } = journaled;
  return new OpenRecording({ journal, index, ending: null });
}

describe('a recording of many parts', () => {
  test('tells the sizes of all without letting go of the ones that are being read', async () => {
    const recording = await openParts();
    const { snapshotCount } = recording;
    const read = [3, 5, 6, 8];
    const ropes = read.map((part) => recording.rope(part, snapshotCount));
    const sizes = recording.sizes(snapshotCount);
    expect(sizes).toHaveLength(PARTS);
    for (const [n, part] of read.entries()) expect(recording.rope(part, snapshotCount)).toBe(ropes[n]);
    for (const [part, bytes] of sizes.entries()) {
      expect(recording.rope(part, snapshotCount).sizeBytes).toBe(bytes);
    }
  });

  test('counts them once for a snapshot, and again for the next one', async () => {
    const recording = await openParts();
    const { snapshotCount } = recording;
    const sizes = recording.sizes(snapshotCount);
    expect(recording.sizes(snapshotCount)).toBe(sizes);
    const fewer = recording.sizes(snapshotCount - 1);
    expect(fewer).toHaveLength(PARTS);
    expect(fewer.at(-1)).toBeLessThan(sizes.at(-1) ?? 0);
  });

  test('has no size without a picture', async () => {
    journaled = await JournaledRecording.create();
    journaled.epoch();
    await journaled.flush();
    const { journal, index } = journaled;
    expect(new OpenRecording({ journal, index, ending: null }).sizes()).toEqual([]);
  });
});
