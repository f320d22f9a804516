import type { Id } from '@proofcast/shared';
import { loadWebmClip } from '@proofcast/shared/testing/webm-clip';
import { ChunkMaker } from './chunk-maker.ts';
import type { TestClient } from './test-client.ts';
import type { TestDevice } from './test-device.ts';
import { TestPublisher } from './test-publisher.ts';

export interface PublishOptions {
  readonly device: TestDevice;
  /** Of the relay, whoever is signed in with it. */
  readonly client: TestClient;
  /** Relay's clock, which tokens are judged by. */
  readonly nowMs?: number;
  /** Chunks of an earlier connection, to go on with. */
  readonly maker?: ChunkMaker;
}

/** A publisher that is welcome, with nothing sent yet. */
export async function connectPublisher(options: PublishOptions): Promise<TestPublisher> {
  const publisher = await openPublisher(options);
  await publisher.hello();
  return publisher;
}

/** A connection on which nothing was said yet. */
export async function openPublisher({
  device,
  client,
  nowMs = Date.now(),
  maker,
}: PublishOptions): Promise<TestPublisher> {
  const { streamId, ingest } = await device.publishTokens(client, { nowMs });
  const headers = { authorization: `Bearer ${ingest.token}` };
  const { deviceId } = device;
  const chunks = maker ?? new ChunkMaker({ streamId, deviceId }, nowMs * 1000);
  return new TestPublisher(await client.open('ingest', { headers }), chunks);
}

/** Publishes a real clip until it is durable, and does not say that it ended. */
export async function publishClip(options: PublishOptions): Promise<TestPublisher> {
  const publisher = await connectPublisher(options);
  publisher.maker.epoch();
  for (const slice of loadWebmClip('vp8').slices) publisher.maker.media(slice);
  publisher.upload();
  await publisher.untilDurable();
  return publisher;
}

/** Publishes a real clip from beginning to end. */
export async function publishRecording(options: PublishOptions): Promise<Id> {
  const publisher = await publishClip(options);
  const { recordingId } = await publisher.stop();
  await publisher.closed;
  return recordingId;
}
