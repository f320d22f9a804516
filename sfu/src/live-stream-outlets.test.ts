/** One stream, many workers: shared transports, pipes, preferences, and what dies with which worker. */
import { createId, type Id } from '@proofcast/shared';
import { killProcess } from '@proofcast/shared/testing/processes';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { DTLS_PARAMETERS, RTP_CAPABILITIES, videoParameters, viewOf } from '../testing/rtp-parameters.ts';
import { runSfu, type RunningSfu } from '../testing/running-sfu.ts';
import type { SignalingClient } from '../testing/signaling-client.ts';

let running: RunningSfu;
let streamId: Id;
let companyId: Id;

const PAUSED = { isPaused: true, isHeard: false, maxSpatialLayer: null, priority: 1 };
const FULL = { ...PAUSED, isPaused: false };

async function run(overrides: Parameters<typeof runSfu>[0]): Promise<void> {
  running = await runSfu(overrides);
}

beforeEach(() => {
  streamId = createId('stream');
  companyId = createId('company');
});
afterEach(() => running.stop());

async function publish(id = streamId): Promise<SignalingClient> {
  const publisher = await running.connect(await running.issuer.publisher(id, { companyId }));
  await publisher.request('publish', { streamId: id });
  await produce(publisher, id);
  return publisher;
}

function produce(publisher: SignalingClient, id = streamId): Promise<unknown> {
  return publisher.request('produce', { streamId: id, kind: 'video', rtpParameters: videoParameters() });
}

async function connectViewer(): Promise<SignalingClient> {
  return running.connect(await running.issuer.viewer({ companyId }));
}

async function join(viewer: SignalingClient, id = streamId) {
  const { transport, consumers } = await viewer.request('view', viewOf(id));
  const port = transport.iceCandidates[0]?.port ?? 0;
  return { transportId: transport.id, consumers, port };
}

describe('[S13] transports for watching', () => {
  it('are shared by all streams that come from one worker', async () => {
    await run({});
    const other = createId('stream');
    await publish();
    await publish(other);
    const viewer = await connectViewer();
    const [first, second] = await Promise.all([join(viewer), join(viewer, other)]);
    expect(second.transportId).toBe(first.transportId);
    await viewer.request('connectTransport', {
      transportId: first.transportId,
      dtlsParameters: DTLS_PARAMETERS,
    });
  });

  it('stay when the last stream is left, and serve the next one', async () => {
    await run({});
    await publish();
    const viewer = await connectViewer();
    const { transportId } = await join(viewer);
    await viewer.request('leave', { streamId });
    expect((await join(viewer)).transportId).toBe(transportId);
  });

  it('are closed on request, with every stream on them; the next stream gets another one', async () => {
    await run({});
    const publisher = await publish();
    const viewer = await connectViewer();
    const { transportId } = await join(viewer);
    await viewer.request('closeTransport', { transportId });
    await viewer.request('closeTransport', { transportId });
    expect(await publisher.next('viewers')).toMatchObject({ viewerCount: 1 });
    expect(await publisher.next('viewers')).toMatchObject({ viewerCount: 0 });
    const refusal = await viewer.refusal('consume', viewOf(streamId));
    expect(refusal.code).toBe('TRANSPORT_NOT_FOUND');
    expect((await join(viewer)).transportId).not.toBe(transportId);
    expect(viewer.unread).toEqual([]);
  });

  it('of somebody else are not found, and not closed', async () => {
    await run({});
    await publish();
    const [viewer, stranger] = [await connectViewer(), await connectViewer()];
    const { transportId } = await join(viewer);
    await stranger.request('closeTransport', { transportId });
    for (const refusal of [
      await stranger.refusal('restartIce', { transportId }),
      await stranger.refusal('connectTransport', { transportId, dtlsParameters: DTLS_PARAMETERS }),
    ]) {
      expect(refusal.code).toBe('TRANSPORT_NOT_FOUND');
    }
    await viewer.request('restartIce', { transportId });
  });
});

describe('[S12] the publisher', () => {
  it('is wanted by viewers who have not paused, and no longer some time after the last of them', async () => {
    await run({ limits: { audienceLingerMs: 50 } });
    const publisher = await publish();
    const viewer = await connectViewer();
    await viewer.request('view', { ...viewOf(streamId), preference: PAUSED });
    expect(await publisher.next('viewers')).toEqual({ streamId, viewerCount: 1, isWanted: false });
    await viewer.request('prefer', { streamId, preference: FULL });
    expect(await publisher.next('viewers')).toEqual({ streamId, viewerCount: 1, isWanted: true });
    await viewer.request('prefer', { streamId, preference: PAUSED });
    expect(await publisher.next('viewers')).toEqual({ streamId, viewerCount: 1, isWanted: false });
    await viewer.request('leave', { streamId });
    expect(await publisher.next('viewers')).toEqual({ streamId, viewerCount: 0, isWanted: false });
  });

  it('that takes over hears at once that it is wanted', async () => {
    await run({});
    await publish();
    await join(await connectViewer());
    const next = await publish();
    expect(await next.next('viewers')).toEqual({ streamId, viewerCount: 1, isWanted: true });
  });
});

describe('[S14] a preference', () => {
  it('is for streams that the connection views', async () => {
    await run({});
    await publish();
    const [viewer, stranger] = [await connectViewer(), await connectViewer()];
    await join(viewer);
    await viewer.request('prefer', { streamId, preference: { ...FULL, maxSpatialLayer: 0, priority: 255 } });
    const refusal = await stranger.refusal('prefer', { streamId, preference: PAUSED });
    expect(refusal.code).toBe('TRANSPORT_NOT_FOUND');
  });

  it.each([
    { ...FULL, priority: 0 },
    { ...FULL, priority: 1.5 },
    { ...FULL, maxSpatialLayer: 3 },
    { ...FULL, maxSpatialLayer: -1 },
    { isPaused: 'yes', isHeard: false, maxSpatialLayer: null, priority: 1 },
  ])('that makes no sense is refused: %j', async (preference) => {
    await run({});
    await publish();
    const viewer = await connectViewer();
    await join(viewer);
    const refusal = await viewer.refusal('prefer', { streamId, preference: preference as typeof FULL });
    expect(refusal.code).toBe('MESSAGE_INVALID');
  });
});

describe('[S15] viewers beyond the threshold', () => {
  const limits = { maxViewersPerRouter: 2 };

  it('come to another worker, and when all are full to the one with the fewest', async () => {
    await run({ workerCount: 2, limits });
    await publish();
    const ports: number[] = [];
    for (let count = 0; count < 6; count += 1) ports.push((await join(await connectViewer())).port);
    const [home, other] = [ports[0], ports[2]];
    expect(other).not.toBe(home);
    expect(ports.slice(0, 4)).toEqual([home, home, other, other]);
    expect(ports.filter((port) => port === home)).toHaveLength(3);
  });

  it('get every producer, also one that comes later or replaces the first', async () => {
    await run({ workerCount: 2, limits: { maxViewersPerRouter: 1 } });
    const publisher = await publish();
    await join(await connectViewer());
    const viewer = await connectViewer();
    const { consumers } = await join(viewer);
    expect(consumers).toHaveLength(1);
    const next = await publish();
    expect(await viewer.next('consumerClosed')).toEqual({ streamId, consumerId: consumers[0]?.id });
    await viewer.next('producerAdded');
    const again = await viewer.request('consume', viewOf(streamId));
    expect(again.consumers).toHaveLength(1);
    await next.request('leave', { streamId });
    expect(await viewer.next('streamClosed')).toEqual({ streamId, code: 'STREAM_OFFLINE' });
    expect(publisher.unread).toContain('streamClosed');
  });

  it('who come at once share one pipe, which ends with the last of them', async () => {
    await run({ workerCount: 2, limits: { maxViewersPerRouter: 2 } });
    await publish();
    for (let count = 0; count < 2; count += 1) await join(await connectViewer());
    const otherLoad = (): number => running.sfu.statistics().workers[1]?.load ?? Number.NaN;
    const idle = otherLoad();
    const viewers = [await connectViewer(), await connectViewer()];
    await Promise.all(viewers.map((viewer) => join(viewer)));
    // Two transports with a consumer each, and one pipe: a transport and a producer.
    expect(otherLoad() - idle).toBe(6);
    for (const viewer of viewers) await viewer.close();
    // The transport of the pipe stays for the next one.
    await expect.poll(otherLoad).toBe(idle + 1);
  });

  it('are told when their worker dies, and come back; the others and the publisher notice nothing', async () => {
    await run({ workerCount: 2, limits: { maxViewersPerRouter: 1 } });
    const publisher = await publish();
    const near = await connectViewer();
    await join(near);
    const far = await connectViewer();
    const { transportId } = await join(far);
    for (let count = 0; count < 2; count += 1) await publisher.next('viewers');
    killProcess(running.sfu.workerPids[1]);
    expect(await far.next('streamClosed')).toEqual({ streamId, code: 'WORKER_DIED' });
    expect(await far.next('transportClosed')).toEqual({ transportId });
    expect((await join(far)).consumers).toHaveLength(1);
    expect(near.unread).toEqual([]);
    expect(publisher.unread).not.toContain('streamClosed');
  });
});

describe('[S17] a viewer of a stream whose worker has died', () => {
  it('waits for the publisher, and gets its picture', async () => {
    await run({});
    const publisher = await publish();
    const viewer = await connectViewer();
    await join(viewer);
    killProcess(running.sfu.workerPids[0]);
    await viewer.next('streamClosed');
    const joining = join(viewer);
    await publisher.next('streamClosed');
    await publisher.request('publish', { streamId });
    await produce(publisher);
    const { consumers } = await joining;
    if (consumers.length === 0) {
      await viewer.next('producerAdded');
      const late = { streamId, rtpCapabilities: RTP_CAPABILITIES };
      expect((await viewer.request('consume', late)).consumers).toHaveLength(1);
    }
  });

  it('does not wait for long when the publisher does not come', async () => {
    await run({ limits: { rebuildWaitMs: 200 } });
    await publish();
    const viewer = await connectViewer();
    await join(viewer);
    killProcess(running.sfu.workerPids[0]);
    await viewer.next('streamClosed');
    expect((await viewer.refusal('view', viewOf(streamId))).code).toBe('STREAM_OFFLINE');
    expect((await viewer.refusal('view', viewOf(streamId))).code).toBe('STREAM_OFFLINE');
  });

  it('of another company waits for nothing', async () => {
    await run({ limits: { rebuildWaitMs: 60_000 } });
    await publish();
    const viewer = await connectViewer();
    await join(viewer);
    const stranger = await running.connect(await running.issuer.viewer());
    killProcess(running.sfu.workerPids[0]);
    await viewer.next('streamClosed');
    expect((await stranger.refusal('view', viewOf(streamId))).code).toBe('STREAM_OFFLINE');
  });
});
