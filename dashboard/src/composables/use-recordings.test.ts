import type { Recording } from '@proofcast/shared';
import { expect, it } from 'vitest';
import { mergeRecordings, refreshRecordings } from './use-recordings.ts';

const recording = (number: number, startedAtMs: number, state: Recording['state'] = 'sealed'): Recording => ({
  recordingId: `rec_${String(number).padStart(20, '0')}`,
  streamId: 'str_00000000000000000001',
  deviceName: 'Desk 1',
  sourceName: 'Screen 1',
  state,
  failure: null,
  isComplete: true,
  gapCount: 0,
  startedAtMs,
  endedAtMs: null,
  durationMs: null,
  sizeBytes: null,
  widthPx: null,
  heightPx: null,
  hasThumbnail: false,
});

it('lists newest first, each recording once, the way it was last told', () => {
  const known = [recording(2, 200, 'recording'), recording(1, 100)];
  const fresh = [recording(3, 300), recording(2, 200, 'sealed')];
  const merged = mergeRecordings(known, fresh);
  expect(merged.map(({ startedAtMs }) => startedAtMs)).toEqual([300, 200, 100]);
  expect(merged[1]?.state).toBe('sealed');
});

it('forgets what was deleted, as far as the newest page reaches', () => {
  const known = [recording(4, 400), recording(3, 300), recording(2, 200), recording(1, 100)];
  const idsOf = (recordings: Recording[]) => recordings.map(({ startedAtMs }) => startedAtMs);
  const page = [recording(4, 400), recording(2, 200)];
  expect(idsOf(refreshRecordings(known, page, { isAll: false }))).toEqual([400, 200, 100]);
  expect(idsOf(refreshRecordings(known, page, { isAll: true }))).toEqual([400, 200]);
  expect(refreshRecordings(known, [], { isAll: true })).toEqual([]);
});
