/**
 * kill −9 of a relay process at any moment of a recording, from the first word to the last step of sealing: whatever was
 * acknowledged as durable is in the sealed recording, once and in order; what was not is asked for again.
 */
import { readdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import {
  openManifest,
  rebuild,
  type ByteSource,
  type Chunk,
  type Id,
  type RebuiltChunk,
} from '@proofcast/shared';
import { loadWebmClip } from '@proofcast/shared/testing/webm-clip';
import { freshSeed, seededRandom } from '@proofcast/shared/testing/random';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { nodeSha256 } from '../../relay/src/node-sha256.ts';
import { ChunkMaker } from '../../relay/testing/chunk-maker.ts';
import { TestClient } from '../../relay/testing/test-client.ts';
import { TestDevice } from '../../relay/testing/test-device.ts';
import { TestPublisher } from '../../relay/testing/test-publisher.ts';
import { waitForSealed } from '../harness/sealed-recording.ts';
import { run } from '../harness/stamp-readers.ts';
import { startServices, type Services } from '../harness/services.ts';

let services: Services;
beforeEach(async () => {
  services = await startServices();
});
afterEach(() => services.close());

async function signInAdmin(): Promise<TestClient> {
  const client = new TestClient(services.relay.url);
  await client.call('signIn', { body: services.admin });
  return client;
}

/** Size and content hash of every video packet of a webm file, in order. */
async function packetsOf(path: string): Promise<string[][]> {
  const args = ['-v', 'error', '-i', path, '-map', '0:v', '-c', 'copy', '-f', 'framemd5', '-'];
  const listing = (await run('ffmpeg', args)).toString();
  const lines = listing.split('\n').filter((line) => line !== '' && !line.startsWith('#'));
  return lines.map((line) => line.split(/, */).slice(4));
}

/** The chunks that the API gives back of the recording: rebuilt from what it serves as media and as manifest. */
async function rebuiltChunks(client: TestClient, recordingId: Id): Promise<RebuiltChunk[]> {
  const params = { recordingId };
  const bytesOf = async (response: Response): Promise<ByteSource> => {
    expect(response.status).toBe(200);
    const bytes = Buffer.from(await response.arrayBuffer());
    return {
      sizeBytes: bytes.length,
      read: async (offset, length) => bytes.subarray(offset, offset + length),
    };
  };
  const manifest = await openManifest(
    await bytesOf(await client.fetch('recordingManifest', { params })),
    nodeSha256,
  );
  const parts: ByteSource[] = [];
  for (const part of manifest.head.parts.keys()) {
    const query = { part: String(part) };
    parts.push(await bytesOf(await client.fetch('recordingMedia', { params, query })));
  }
  const rebuilding = rebuild({ manifest, parts, sha256: nodeSha256 });
  const chunks: RebuiltChunk[] = [];
  let next = await rebuilding.next();
  for (; next.done !== true; next = await rebuilding.next()) chunks.push(next.value);
  expect(next.value).toMatchObject({ kind: 'intact' });
  return chunks;
}

const summaryOf = ({ kind, sequence, epoch, captureTimeUs, payload }: Chunk) => [
  kind,
  sequence,
  epoch,
  captureTimeUs,
  Buffer.from(nodeSha256.hash(payload)).toString('hex'),
];

// Six kills each.
describe.each([7, freshSeed()])('a relay that is killed, seed %d', (seed) => {
  it('[J13] [J21] [I10] has every chunk that it called durable once and in order, whenever it was killed', async () => {
    const random = seededRandom(seed);
    const { bytes } = loadWebmClip('vp8');
    const device = await TestDevice.enrol(await signInAdmin());
    const client = () => new TestClient(services.relay.url);
    const { streamId } = await device.publishTokens(client());
    const connect = async (maker: ChunkMaker): Promise<TestPublisher> => {
      const { ingest } = await device.publishTokens(client());
      const headers = { authorization: `Bearer ${ingest.token}` };
      return new TestPublisher(await client().open('ingest', { headers }), maker);
    };
    const killAndRestart = async (publisher?: TestPublisher): Promise<void> => {
      await services.relay.kill();
      publisher?.socket.terminate();
      await services.restartRelay();
    };
    /** The largest count that was acknowledged as durable on a connection, of what nobody has read yet. */
    const durableOf = ({ unread }: TestPublisher): number =>
      Math.max(
        0,
        ...unread.map((message) => ('type' in message && message.type === 'ack' ? message.data.durable : 0)),
      );

    const maker = new ChunkMaker({ streamId, deviceId: device.deviceId }, Date.now() * 1000);
    for (const epoch of [0, 1]) {
      maker.epoch({ startedAtUs: maker.start.startedAtUs + epoch * 10_000_000 });
      for (let start = 0; start < bytes.length;) {
        const end = start + random.integer(200, 8000);
        maker.media(bytes.subarray(start, end));
        start = end;
      }
      if (epoch === 0) maker.event({ type: 'epoch-ended', data: { reason: 'source-changed' } });
    }
    const { length: count } = maker.chunks;
    let durable = 0;

    // Start: somewhere between the first word and the first chunks.
    const starting = await connect(maker);
    const welcome = starting.hello().catch(() => null);
    if (random.integer(0, 1) === 1) {
      await welcome;
      starting.upload();
    }
    await wait(random.integer(0, 30));
    await killAndRestart(starting);
    durable = Math.max(durable, durableOf(starting));

    // Steady: while chunks behind the acknowledged one are on their way, in memory or half written.
    for (let time = 0; time < 2; time += 1) {
      const publisher = await connect(maker);
      const { nextSequence } = await publisher.hello();
      expect(nextSequence).toBeGreaterThanOrEqual(durable);
      publisher.upload(nextSequence);
      const until = random.integer(nextSequence, count - 1);
      await publisher.untilDurable(until);
      await killAndRestart(publisher);
      durable = Math.max(durable, until, durableOf(publisher));
    }

    // Stop: somewhere between that word and its answer.
    const stopping = await connect(maker);
    const resumed = await stopping.hello();
    expect(resumed.nextSequence).toBeGreaterThanOrEqual(durable);
    stopping.upload(resumed.nextSequence);
    await stopping.untilReceived(count);
    stopping.say({ type: 'stop', data: { chunkCount: count } });
    await wait(random.integer(0, 60));
    await killAndRestart(stopping);
    const again = await connect(maker);
    const answer = await Promise.race([again.hello(), again.next('refused')]);
    if ('nextSequence' in answer) {
      again.upload(answer.nextSequence);
      await again.stop();
    } else {
      expect(answer).toMatchObject({ code: 'RECORDING_SEALED', details: { chunkCount: count } });
    }

    // Seal: at any of its steps, twice.
    for (let time = 0; time < 2; time += 1) {
      await wait(random.integer(0, 400));
      await killAndRestart(time === 0 ? again : undefined);
    }

    const auditor = await signInAdmin();
    const { recordingId } = maker.start;
    expect(await waitForSealed(auditor, recordingId)).toMatchObject({ isComplete: true, gapCount: 1 });
    expect((await rebuiltChunks(auditor, recordingId)).map(summaryOf)).toEqual(maker.chunks.map(summaryOf));
    const media = await auditor.fetch('recordingMedia', { params: { recordingId } });
    const [sealed, original] = ['sealed', 'original'].map((name) => join(services.dataDir, `${name}.webm`));
    await writeFile(sealed ?? '', Buffer.from(await media.arrayBuffer()));
    await writeFile(original ?? '', bytes);
    const once = await packetsOf(original ?? '');
    expect(once.length).toBeGreaterThan(10);
    expect(await packetsOf(sealed ?? '')).toEqual([...once, ...once]);
    expect(await readdir(join(services.dataDir, 'journals'))).toEqual([]);
    const names = await readdir(join(services.dataDir, 'recordings'), { recursive: true });
    expect(names.filter((name) => name.includes('.part'))).toEqual([]);
  }, 180_000);
});
