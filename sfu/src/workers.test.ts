import { createServer, type AddressInfo } from 'node:net';
import { createId } from '@proofcast/shared';
import { isProcessAlive, killProcess, signalProcess } from '@proofcast/shared/testing/processes';
import type { RtpParameters } from 'mediasoup/types';
import { pino } from 'pino';
import { afterEach, describe, expect, it } from 'vitest';
import { videoParameters, viewOf } from '../testing/rtp-parameters.ts';
import { runSfu, type RunningSfu } from '../testing/running-sfu.ts';
import { DEFAULT_LIMITS, type SfuLimits } from './config.ts';
import type { MediaWorker } from './media-worker.ts';
import { Workers, type WorkersOptions } from './workers.ts';

const cleanups: (() => void | Promise<void>)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).toReversed()) await cleanup();
});

async function openWorkers({
  limits,
  ...overrides
}: Partial<Omit<WorkersOptions, 'limits'>> & { limits?: Partial<SfuLimits> } = {}): Promise<Workers> {
  const workers = await Workers.open({
    count: 1,
    firstPort: 0,
    mediaAddress: '127.0.0.1',
    announcedAddress: undefined,
    limits: { ...DEFAULT_LIMITS, ...limits },
    log: pino({ level: 'silent' }),
    ...overrides,
  });
  cleanups.push(() => workers.close());
  return workers;
}

/** The worker for a stream of a company that has none yet. */
function place(workers: Workers): Promise<MediaWorker> {
  return workers.placeStream(createId('company'));
}

async function run(overrides: Parameters<typeof runSfu>[0] = {}): Promise<RunningSfu> {
  const running = await runSfu(overrides);
  cleanups.push(() => running.stop());
  return running;
}

/** Listens on `port`, or on any free one, until the test ends or `release` is called. */
async function takePort(port = 0): Promise<{ port: number; release: () => Promise<void> }> {
  const server = createServer();
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(port, '127.0.0.1', resolve);
  });
  let released: Promise<void> | undefined;
  const release = () => (released ??= new Promise<void>((resolve) => server.close(() => resolve())));
  cleanups.push(release);
  return { port: (server.address() as AddressInfo).port, release };
}

/** Two ports in a row, the first of them free and the second one taken. */
async function takeSecondOfTwoPorts(): Promise<{ firstPort: number; release: () => Promise<void> }> {
  for (;;) {
    const first = await takePort();
    const second = await takePort(first.port + 1).catch(() => undefined);
    await first.release();
    if (second) return { firstPort: first.port, release: second.release };
  }
}

async function portsOf(worker: MediaWorker): Promise<number[]> {
  const { udpSockets, tcpServers } = await worker.webRtcServer.dump();
  return [...udpSockets, ...tcpServers].map(({ port }) => port);
}

describe('the pool', () => {
  it('places the streams of one company together, until that worker has too much more to do', async () => {
    const workers = await openWorkers({ count: 2, limits: { companyAffinitySlack: 3 } });
    const companyId = createId('company');
    const place = async (id = companyId) => {
      const worker = await workers.placeStream(id);
      return { worker, leave: worker.takeHome(id) };
    };
    const placed = [await place(), await place(), await place(), await place()];
    const [first] = placed;
    expect(placed.map(({ worker }) => worker.pid)).toEqual(placed.map(() => first?.worker.pid));
    expect(first?.worker.load).toBe(4);
    const fifth = await place();
    expect(fifth.worker.pid).not.toBe(first?.worker.pid);
    expect((await place(createId('company'))).worker.pid).toBe(fifth.worker.pid);
    for (const { leave } of placed) {
      leave();
      leave();
    }
    expect(first?.worker.load).toBe(0);
    expect(first?.worker.homesOf(companyId)).toBe(0);
  });

  it('places streams of many companies where there is least to do', async () => {
    const workers = await openWorkers({ count: 2 });
    const place = async () => {
      const companyId = createId('company');
      const worker = await workers.placeStream(companyId);
      worker.takeHome(companyId);
      return worker.pid;
    };
    const pids = [await place(), await place(), await place(), await place()];
    expect(new Set(pids.slice(0, 2)).size).toBe(2);
    expect(new Set(pids.slice(2)).size).toBe(2);
  });

  it('counts what is open on a worker as what it has to do', async () => {
    const workers = await openWorkers();
    const worker = await workers.placeStream(createId('company'));
    const transport = await worker.router.createWebRtcTransport({ webRtcServer: worker.webRtcServer });
    const rtpParameters = videoParameters() as RtpParameters;
    await transport.produce({ kind: 'video', rtpParameters });
    expect(worker.load).toBe(2);
    transport.close();
    expect(worker.load).toBe(0);
  });

  it('takes UDP and TCP ports in a row from the first one', async () => {
    const { firstPort, release } = await takeSecondOfTwoPorts();
    await release();
    const workers = await openWorkers({ count: 2, firstPort });
    const one = await place(workers);
    one.takeHome(createId('company'));
    const other = await place(workers);
    const ports = [...(await portsOf(one)), ...(await portsOf(other))].toSorted((a, b) => a - b);
    expect(ports).toEqual([firstPort, firstPort, firstPort + 1, firstPort + 1]);
  });

  it('does not start when one port is taken, says so, and gives the others back', async () => {
    const { firstPort } = await takeSecondOfTwoPorts();
    await expect(openWorkers({ count: 2, firstPort })).rejects.toThrow(
      /Cannot take a port for media: .*address already in use/,
    );
    const workers = await openWorkers({ count: 1, firstPort });
    expect(await portsOf(await place(workers))).toEqual([firstPort, firstPort]);
  });

  it('announces another address than the one it listens on', async () => {
    const running = await run({ announcedAddress: 'media.example' });
    const streamId = createId('stream');
    const publisher = await running.connect(await running.issuer.publisher(streamId));
    const { transport } = await publisher.request('publish', { streamId });
    expect(transport.iceCandidates.map(({ address }) => address)).toEqual(['media.example', 'media.example']);
  });

  it('ends its processes when it is closed, twice as well as once, and places nothing any more', async () => {
    const workers = await openWorkers({ count: 2 });
    const { pids } = workers;
    expect(pids.every(isProcessAlive)).toBe(true);
    await Promise.all([workers.close(), workers.close()]);
    expect(pids.some(isProcessAlive)).toBe(false);
    await expect(place(workers)).rejects.toMatchObject({ code: 'SHUTTING_DOWN' });
  });

  it('kills a process that does not end by itself', async () => {
    const workers = await openWorkers({ limits: { workerCloseTimeoutMs: 50 } });
    const [pid = 0] = workers.pids;
    signalProcess(pid, 'SIGSTOP');
    await workers.close();
    expect(isProcessAlive(pid)).toBe(false);
  });
});

describe('[S8] a worker that dies', () => {
  it('is replaced, and whoever waits for one gets the new one', async () => {
    const workers = await openWorkers();
    const [old = 0] = workers.pids;
    const { died } = watchDeath(await place(workers));
    killProcess(old);
    await died;
    expect(workers.unreadyReasons()).toEqual([
      expect.stringContaining('media worker 0 is being replaced: it died'),
    ]);
    const worker = await place(workers);
    expect(worker.pid).not.toBe(old);
    expect(workers.pids).toEqual([worker.pid]);
    expect(workers.unreadyReasons()).toEqual([]);
  });

  it('is replaced each time, however often it dies', async () => {
    const workers = await openWorkers();
    const seen = new Set<number>();
    for (let death = 0; death < 4; death += 1) {
      const worker = await place(workers);
      seen.add(worker.pid);
      const { died } = watchDeath(worker);
      killProcess(worker.pid);
      await died;
    }
    await place(workers);
    expect(seen.size).toBe(4);
  });

  it('is replaced on the same port', async () => {
    const { port, release } = await takePort();
    await release();
    const workers = await openWorkers({ firstPort: port });
    const { died } = watchDeath(await place(workers));
    killProcess(workers.pids[0]);
    await died;
    expect(await portsOf(await place(workers))).toEqual([port, port]);
  });

  it('whose port is taken meanwhile is tried again until the port is free; waiting for it has a limit', async () => {
    const { port, release } = await takePort();
    await release();
    const workers = await openWorkers({ firstPort: port, limits: { workerWaitMs: 300 } });
    const worker = await place(workers);
    const { died } = watchDeath(worker);
    killProcess(worker.pid);
    await died;
    const squatter = await takePort(port);
    await expect(place(workers)).rejects.toMatchObject({ code: 'UNAVAILABLE' });
    expect(workers.unreadyReasons()[0]).toContain('address already in use');
    await squatter.release();
    await expect.poll(() => workers.unreadyReasons(), { timeout: 10_000 }).toEqual([]);
  });

  it('ends its streams with WORKER_DIED for everybody; the same connections publish and view again', async () => {
    const running = await run();
    const streamId = createId('stream');
    const publisher = await running.connect(await running.issuer.publisher(streamId));
    const viewers = await Promise.all(
      Array.from({ length: 3 }, async () => running.connect(await running.issuer.viewer())),
    );
    const publish = async () => {
      await publisher.request('publish', { streamId });
      await publisher.request('produce', { streamId, kind: 'video', rtpParameters: videoParameters() });
    };
    await publish();
    for (const viewer of viewers) await viewer.request('view', viewOf(streamId));

    killProcess(running.sfu.workerPids[0]);
    for (const client of [publisher, ...viewers]) {
      expect(await client.next('streamClosed')).toEqual({ streamId, code: 'WORKER_DIED' });
    }
    await publish();
    for (const viewer of viewers) {
      const { consumers } = await viewer.request('view', viewOf(streamId));
      expect(consumers).toHaveLength(1);
      expect(viewer.unread).toEqual(['transportClosed', 'streamOnline']);
    }
  });

  it('leaves the streams of other workers alone', async () => {
    const running = await run({ workerCount: 2 });
    const ids = [createId('stream'), createId('stream')];
    const publishers = await Promise.all(
      ids.map(async (streamId) => {
        // Of different companies, because those of one company share a worker.
        const companyId = createId('company');
        const publisher = await running.connect(await running.issuer.publisher(streamId, { companyId }));
        const { transport } = await publisher.request('publish', { streamId });
        return { publisher, streamId, transportId: transport.id };
      }),
    );
    killProcess(running.sfu.workerPids[0]);
    const ended = await Promise.race(
      publishers.map(async (one) => ({ ...one, notification: await one.publisher.next('streamClosed') })),
    );
    expect(ended.notification).toEqual({ streamId: ended.streamId, code: 'WORKER_DIED' });
    const other = publishers.find(({ streamId }) => streamId !== ended.streamId);
    await other?.publisher.request('restartIce', { transportId: other.transportId });
    expect(other?.publisher.unread).toEqual([]);
  });

  it('while requests are under way has them refused, not forgotten', async () => {
    const running = await run();
    const streamId = createId('stream');
    const publisher = await running.connect(await running.issuer.publisher(streamId));
    const { transport } = await publisher.request('publish', { streamId });
    const [pid = 0] = running.sfu.workerPids;
    signalProcess(pid, 'SIGSTOP');
    const waiting = publisher.refusal('restartIce', { transportId: transport.id });
    const viewer = await running.connect(await running.issuer.viewer());
    const joining = viewer.refusal('view', viewOf(streamId));
    killProcess(pid);
    expect((await waiting).code).toBe('WORKER_DIED');
    expect((await joining).code).toBe('WORKER_DIED');
  });

  it('includes one that hangs: it is killed and replaced', async () => {
    const running = await run({ limits: { workerPingIntervalMs: 50, workerPingTimeoutMs: 200 } });
    const streamId = createId('stream');
    const publisher = await running.connect(await running.issuer.publisher(streamId));
    await publisher.request('publish', { streamId });
    signalProcess(running.sfu.workerPids[0], 'SIGSTOP');
    expect(await publisher.next('streamClosed')).toEqual({ streamId, code: 'WORKER_DIED' });
    await publisher.request('publish', { streamId });
  });
});

describe('the watch over a worker', () => {
  it('replaces one whose channel a parameter that slipped through has made unusable', async () => {
    const workers = await openWorkers({ limits: { workerPingIntervalMs: 50 } });
    const worker = await place(workers);
    const transport = await worker.router.createWebRtcTransport({ webRtcServer: worker.webRtcServer });
    const { died } = watchDeath(worker);
    const rtpParameters = videoParameters() as RtpParameters;
    const encodings = [{ ssrc: 1, maxBitrate: 1.5 }];
    await expect(
      transport.produce({ kind: 'video', rtpParameters: { ...rtpParameters, encodings } }),
    ).rejects.toThrow(RangeError);
    await expect(worker.router.createActiveSpeakerObserver()).rejects.toThrow('must not be nested');
    await died;
    expect((await place(workers)).pid).not.toBe(worker.pid);
  });
});

function watchDeath(worker: { onDied(callback: () => void): void }): { died: Promise<void> } {
  return { died: new Promise((resolve) => worker.onDied(resolve)) };
}
