/** What the API tells and serves of a recording once it is sealed. */
import { writeFile } from 'node:fs/promises';
import { setTimeout as wait } from 'node:timers/promises';
import type { Id, Recording } from '@proofcast/shared';
import type { TestClient } from '../../relay/testing/test-client.ts';

const POLL_MS = 50;
const TIMEOUT_MS = 60_000;

/** Asks until the recording is sealed, as a client of the API does; throws when it fails or takes too long. */
export async function waitForSealed(client: TestClient, recordingId: Id): Promise<Recording> {
  const deadlineMs = Date.now() + TIMEOUT_MS;
  for (;;) {
    const recording = await client.call('recording', { params: { recordingId } });
    if (recording.state === 'sealed') return recording;
    if (recording.state === 'failed' || Date.now() > deadlineMs) {
      throw new Error(`Recording ${recordingId} is ${recording.state}: ${recording.failure?.message}`);
    }
    await wait(POLL_MS);
  }
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
