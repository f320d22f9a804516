/** What the API tells and serves of a recording once it is sealed. */
import { writeFile } from 'node:fs/promises';
import { setTimeout as wait } from 'node:timers/promises';
import type { Id, Recording, RecordingDetails } from '@proofcast/shared';
import type { TestClient } from '../../relay/testing/test-client.ts';

const POLL_MS = 50;
/** Others may need the processors as well, while ffmpeg encodes. */
const TIMEOUT_MS = 150_000;

/** Asks until the recording is sealed, as a client of the API does; throws when it fails or takes too long. */
export function waitForSealed(client: TestClient, recordingId: Id): Promise<RecordingDetails> {
  return waitForRecording(client, recordingId, (recording) => {
    if (recording.state === 'failed') throw failureOf(recording);
    return recording.state === 'sealed';
  });
}

/** Asks until the recording is as wanted; throws when it takes too long. */
export async function waitForRecording(
  client: TestClient,
  recordingId: Id,
  isWanted: (recording: RecordingDetails) => boolean,
): Promise<RecordingDetails> {
  const deadlineMs = Date.now() + TIMEOUT_MS;
  for (;;) {
    const recording = await client.call('recording', { params: { recordingId } });
    if (isWanted(recording)) return recording;
    if (Date.now() > deadlineMs) throw failureOf(recording);
    await wait(POLL_MS);
  }
}

function failureOf({ recordingId, state, failure, derivatives }: RecordingDetails): Error {
  const made = derivatives.map((one) => `${one.kind} ${one.state} ${one.failure?.message ?? ''}`.trim());
  return new Error(`Recording ${recordingId} is ${state}: ${failure?.message}; ${made.join(', ')}`);
}

/** The only recording that the company has, sealed, and its file at `path`. */
export async function downloadOnlyRecording(client: TestClient, path: string): Promise<Recording> {
  const { recordings } = await client.call('recordings');
  const [only] = recordings;
  if (!only || recordings.length > 1)
    throw new Error(`Expected one recording, there are ${recordings.length}.`);
  const recording = await waitForSealed(client, only.recordingId);
  const media = await client.fetch('recordingMedia', { params: { recordingId: recording.recordingId } });
  await writeFile(path, Buffer.from(await media.arrayBuffer()));
  return recording;
}
