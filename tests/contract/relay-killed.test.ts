/**
 * kill −9 of a relay process between any two acknowledgements: whatever was acknowledged as durable is in the sealed
 * recording, once and in order; what was not is asked for again.
 */
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { loadWebmClip } from '@proofcast/shared/testing/webm-clip';
import { freshSeed, seededRandom } from '@proofcast/shared/testing/random';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { ChunkMaker } from '../../relay/testing/chunk-maker.ts';
import { TestClient } from '../../relay/testing/test-client.ts';
import { TestDevice } from '../../relay/testing/test-device.ts';
import { TestPublisher } from '../../relay/testing/test-publisher.ts';
import { downloadOnlyRecording } from '../harness/sealed-recording.ts';
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

/**
 * Time, size and content hash of every video packet of a webm file. The duration, which ffmpeg guesses from the frame
 * rate that the file claims, is left out.
 */
async function packetsOf(path: string): Promise<string[][]> {
  const listing = await run('ffmpeg', [
    '-v',
    'error',
    '-i',
    path,
    '-map',
    '0:v',
    '-c',
    'copy',
    '-f',
    'framemd5',
    '-',
  ]);
  return listing
    .toString()
    .split('\n')
    .filter((line) => line !== '' && !line.startsWith('#'))
    .map((line) => line.split(/, */).toSpliced(3, 1));
}

describe.each([7, freshSeed()])('a relay that is killed, seed %d', (seed) => {
  it('[I10] [I3] has on disk what it called durable, and asks for exactly what is missing', async () => {
    const random = seededRandom(seed);
    const { bytes } = loadWebmClip('vp8');
    const device = await TestDevice.enrol(await signInAdmin());
    const client = () => new TestClient(services.relay.url);
    const { streamId } = await device.publishTokens(client());
    const maker = new ChunkMaker({ streamId, deviceId: device.deviceId });
    const connect = async () => {
      const { ingest } = await device.publishTokens(client());
      const socket = await client().open('ingest', {
        headers: { authorization: `Bearer ${ingest.token}` },
      });
      return new TestPublisher(socket, maker);
    };
    maker.epoch();
    for (let start = 0; start < bytes.length;) {
      const end = start + random.integer(200, 8000);
      maker.media(bytes.subarray(start, end));
      start = end;
    }

    for (let kills = 0; kills < 3; kills++) {
      const publisher = await connect();
      const { nextSequence } = await publisher.hello();
      // Killed while chunks behind the acknowledged one are on their way, in memory or half written.
      const durableCount = random.integer(nextSequence, maker.chunks.length);
      publisher.upload(nextSequence);
      await publisher.untilDurable(durableCount);
      await services.relay.kill();
      publisher.socket.terminate();
      await services.restartRelay();
      const resumed = await connect();
      expect((await resumed.hello()).nextSequence).toBeGreaterThanOrEqual(durableCount);
      resumed.socket.terminate();
    }

    const publisher = await connect();
    publisher.upload((await publisher.hello()).nextSequence);
    await publisher.stop();
    publisher.socket.terminate();

    const sealed = join(services.dataDir, 'sealed.webm');
    const original = join(services.dataDir, 'original.webm');
    await writeFile(original, bytes);
    await downloadOnlyRecording(await signInAdmin(), sealed);
    expect(await packetsOf(sealed)).toEqual(await packetsOf(original));
  });
});
