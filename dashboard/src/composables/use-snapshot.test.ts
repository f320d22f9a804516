import type { RecordingDetails } from '@proofcast/shared';
import { nextTick, shallowRef } from 'vue';
import { expect, it } from 'vitest';
import { useSnapshot } from './use-snapshot.ts';

const START_MS = 1_790_000_000_000;

const details = (
  chunkCount: number,
  durationMs: number,
  fields: Partial<RecordingDetails> = {},
): RecordingDetails => ({
  recordingId: 'rec_00000000000000000001',
  streamId: 'str_00000000000000000001',
  deviceName: 'Desk 1',
  sourceName: 'Screen 1',
  state: 'recording',
  failure: null,
  isComplete: false,
  gapCount: null,
  startedAtMs: START_MS,
  endedAtMs: null,
  durationMs: null,
  sizeBytes: null,
  widthPx: null,
  heightPx: null,
  hasThumbnail: false,
  chunkCount,
  parts: durationMs === 0 ? [] : [{ part: 0, startedAtMs: START_MS, durationMs, sizeBytes: 1 }],
  gaps: [],
  events: [],
  eventCount: 0,
  derivatives: [],
  ...fields,
});

it('stays what it was while the recording grows, and says by how much, until the newest is asked for', async () => {
  const newest = shallowRef<RecordingDetails | null>(details(10, 2_000));
  const { pinned, newerMs, showNewest } = useSnapshot(newest);
  newest.value = details(14, 3_500);
  await nextTick();
  expect(pinned.value?.chunkCount).toBe(10);
  expect(newerMs.value).toBe(1_500);
  showNewest();
  expect(pinned.value?.chunkCount).toBe(14);
  expect(newerMs.value).toBe(0);
});

it('takes over at once what the first picture arrives in, and what is told anew of the same chunks', async () => {
  const newest = shallowRef<RecordingDetails | null>(null);
  const { pinned } = useSnapshot(newest);
  newest.value = details(1, 0);
  await nextTick();
  newest.value = details(4, 900);
  await nextTick();
  expect(pinned.value?.chunkCount).toBe(4);
  newest.value = details(4, 900, { state: 'sealed' });
  await nextTick();
  expect(pinned.value?.state).toBe('sealed');
});

it('lets go of a recording when another one is opened, and offers nothing that is not longer', async () => {
  const newest = shallowRef<RecordingDetails | null>(details(10, 2_000));
  const { pinned, newerMs } = useSnapshot(newest);
  newest.value = details(11, 2_000);
  await nextTick();
  expect(newerMs.value).toBe(0);
  newest.value = details(3, 500, { recordingId: 'rec_00000000000000000002' });
  await nextTick();
  expect(pinned.value?.recordingId).toBe('rec_00000000000000000002');
  newest.value = null;
  await nextTick();
  expect(pinned.value).toBeNull();
  expect(newerMs.value).toBe(0);
});
