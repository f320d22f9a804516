import { expect, it } from 'vitest';
import { fileName, mediaUrl } from './media-url.ts';

const recordingId = 'rec_00000000000000000001';
const part = { part: 0, startedAtMs: 0, durationMs: 1, sizeBytes: 1 };

it('a file is asked for as it was made of so many chunks, which stays the same', () => {
  expect(mediaUrl({ recordingId, chunkCount: 42, parts: [part] }, 3)).toBe(
    `/api/recordings/${recordingId}/media?chunks=42&part=3`,
  );
});

it('what was sealed before there were parts is asked for as the only file there is', () => {
  expect(mediaUrl({ recordingId, chunkCount: 0, parts: [] }, 0)).toBe(`/api/recordings/${recordingId}/media`);
});

it('a download is called by the start in UTC and the id', () => {
  const startedAtMs = Date.UTC(2026, 10, 22, 9, 8, 7);
  expect(fileName({ startedAtMs, recordingId }, '2.webm')).toBe(
    `proofcast-20261122T090807Z-${recordingId}.2.webm`,
  );
});
