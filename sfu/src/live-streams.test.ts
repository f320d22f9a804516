import { createId } from '@proofcast/shared';
import { killProcess } from '@proofcast/shared/testing/processes';
import { pino } from 'pino';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { RTP_CAPABILITIES, videoParameters } from '../testing/rtp-parameters.ts';
import type { Audience } from './audience-watch.ts';
import { DEFAULT_LIMITS } from './config.ts';
import { LiveStreams, type StreamKey } from './live-streams.ts';
import { MediaTransport } from './media-transport.ts';
import type { MediaWorker } from './media-worker.ts';
import { Peer } from './peer.ts';
import { Workers } from './workers.ts';

/**
 * What happens while mediasoup works on an answer. Called directly, because over a socket nobody can tell which of two
 * events comes first.
 */
let workers: Workers;
let streams: LiveStreams;
let key: StreamKey;

beforeEach(async () => {
  const log = pino({ level: 'silent' });
  workers = await Workers.open({
    count: 1,
    firstPort: 0,
    mediaAddress: '127.0.0.1',
    announcedAddress: undefined,
    limits: DEFAULT_LIMITS,
    log,
  });
  streams = new LiveStreams({ workers, limits: DEFAULT_LIMITS, log });
  key = { companyId: createId('company'), streamId: createId('stream') };
});

afterEach(async () => {
  streams.close();
  await workers.close();
});

/** An end of a stream that writes down what it is told. */
function recorder() {
  const told: (string | number)[] = [];
  return {
    told,
    transportOn: (worker: MediaWorker) => MediaTransport.open(worker),
    audienceChanged: ({ viewerCount }: Audience) => void told.push(viewerCount),
    producerAdded: (kind: string) => void told.push(kind),
    consumerClosed: () => void told.push('consumerClosed'),
    sendingDelayed: () => undefined,
    ended: (code: string) => void told.push(code),
  };
}

function peerOf(kind: 'user' | 'device'): Peer {
  const { companyId, streamId } = key;
  return new Peer({
    principal:
      kind === 'user'
        ? { kind, companyId, userId: createId('user'), role: 'viewer' }
        : { kind, companyId, deviceId: createId('device'), streamId },
    streams,
    maxStreams: 10,
    notify: () => {},
  });
}

/** All that runs before the event loop turns, and with it before any answer of a worker. */
async function workerIsAsked(): Promise<void> {
  for (let turn = 0; turn < 20; turn += 1) await Promise.resolve();
}

/** What is open on the only worker. */
async function load(): Promise<number> {
  return (await workers.placeStream(key.companyId)).load;
}

it('a viewer whose connection closes while it joins is let go at once', async () => {
  const publisher = recorder();
  await streams.publish(key, publisher);
  const before = await load();
  const peer = peerOf('user');
  const joining = peer.view(key.streamId, { rtpCapabilities: RTP_CAPABILITIES });
  await workerIsAsked();
  peer.close();
  await expect(joining).rejects.toMatchObject({ code: 'UNAUTHENTICATED' });
  expect(publisher.told).toEqual([]);
  expect(await load()).toBe(before);
  await expect(peer.view(key.streamId, { rtpCapabilities: RTP_CAPABILITIES })).rejects.toMatchObject({
    code: 'UNAUTHENTICATED',
  });
});

it('a publisher whose connection closes while it joins leaves no stream behind', async () => {
  const peer = peerOf('device');
  const joining = peer.publish(key.streamId);
  await workerIsAsked();
  peer.close();
  await expect(joining).rejects.toMatchObject({ code: 'STREAM_OFFLINE' });
  expect(await load()).toBe(0);
  await expect(streams.view(key, recorder())).rejects.toMatchObject({ code: 'STREAM_OFFLINE' });
});

it('a publisher that leaves while the next one joins does not take the stream with it', async () => {
  const [first, second, viewer] = [recorder(), recorder(), recorder()];
  const end = await streams.publish(key, first);
  await streams.view(key, viewer);
  const joining = streams.publish(key, second);
  end.leave();
  await joining;
  expect(viewer.told).toEqual([]);
  expect(first.told).toEqual([1]);
  expect(second.told).toEqual([1]);
});

it('a stream waits for nobody when the next publisher could not join', async () => {
  const [first, viewer] = [recorder(), recorder()];
  const end = await streams.publish(key, first);
  const worker = await workers.placeStream(key.companyId);
  await streams.view(key, viewer);
  // Without its port no transport can be opened any more.
  worker.webRtcServer.close();
  const joining = streams.publish(key, recorder());
  end.leave();
  expect(viewer.told).toEqual([]);
  await expect(joining).rejects.toThrow();
  expect(viewer.told).toEqual(['STREAM_OFFLINE']);
});

it('viewers hear of no consumer that was closed before they were told of it', async () => {
  const publisher = await streams.publish(key, recorder());
  await publisher.produce('video', videoParameters());
  const client = recorder();
  const viewer = await streams.view(key, client);
  const consuming = viewer.consume(RTP_CAPABILITIES);
  const next = await streams.publish(key, recorder());
  const consumers = await consuming;
  if (consumers.length === 0) expect(client.told).toEqual([]);
  else await expect.poll(() => client.told).toEqual(['consumerClosed']);
  await next.produce('video', videoParameters());
  expect(await viewer.consume(RTP_CAPABILITIES)).toHaveLength(1);
});

it.each(['SHUTTING_DOWN', 'WORKER_DIED'] as const)(
  'a publisher that is just joining hears %s',
  async (code) => {
    const joining = streams.publish(key, recorder());
    if (code === 'SHUTTING_DOWN') streams.close();
    else killProcess(workers.pids[0]);
    await expect(joining).rejects.toMatchObject({ code });
  },
);

it('a producer that is created while its stream is closed is refused', async () => {
  const end = await streams.publish(key, recorder());
  const producing = end.produce('video', videoParameters());
  end.leave();
  await expect(producing).rejects.toMatchObject({ code: 'TRANSPORT_NOT_FOUND' });
  await expect(end.transport.restartIce()).rejects.toMatchObject({ code: 'TRANSPORT_NOT_FOUND' });
});
