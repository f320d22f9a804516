/** The original chunks of a sealed recording, rebuilt from what the API serves of it: its files and its manifest. */
import {
  openManifest,
  parseMessage,
  rebuild,
  RECORDING_EVENTS,
  type ByteSource,
  type Id,
  type RecordingEvent,
} from '@proofcast/shared';
import { createHash } from 'node:crypto';
import { nodeSha256 } from '../../relay/src/node-sha256.ts';
import type { TestClient } from '../../relay/testing/test-client.ts';

export interface OriginalChunk {
  readonly sequence: number;
  readonly epoch: number;
  /** Publisher's clock, microseconds since 1970. */
  readonly captureTimeUs: number;
  readonly payloadSha256: string;
  /** Null when it is media. */
  readonly event: RecordingEvent | null;
}

/** Throws when a byte of the recording is not what was received. */
export async function readOriginalChunks(client: TestClient, recordingId: Id): Promise<OriginalChunk[]> {
  const params = { recordingId };
  const manifest = await openManifest(
    await bytesOf(client.fetch('recordingManifest', { params })),
    nodeSha256,
  );
  const parts: ByteSource[] = [];
  for (const part of manifest.head.parts.keys()) {
    const query = { chunks: String(manifest.head.chunkCount), part: String(part) };
    parts.push(await bytesOf(client.fetch('recordingMedia', { params, query })));
  }
  const chunks: OriginalChunk[] = [];
  const rebuilding = rebuild({ manifest, parts, sha256: nodeSha256 });
  for (;;) {
    const { value, done } = await rebuilding.next();
    if (done) {
      if (value.kind !== 'intact') throw new Error(`${recordingId} is not intact: ${JSON.stringify(value)}`);
      return chunks;
    }
    const { sequence, epoch, captureTimeUs, kind, payload } = value;
    const text = kind === 'event' ? new TextDecoder().decode(payload) : null;
    chunks.push({
      sequence,
      epoch,
      captureTimeUs,
      payloadSha256: createHash('sha256').update(payload).digest('hex'),
      event: text === null ? null : parseMessage(RECORDING_EVENTS, text),
    });
  }
}

async function bytesOf(responding: Promise<Response>): Promise<ByteSource> {
  const response = await responding;
  if (!response.ok) throw new Error(`${response.url} answered with ${response.status}.`);
  const bytes = new Uint8Array(await response.arrayBuffer());
  return {
    sizeBytes: bytes.length,
    read: (offset, length) => Promise.resolve(bytes.slice(offset, offset + length)),
  };
}
