import { createId, SFU_PATH } from '@proofcast/shared';
import { isProcessAlive, killProcess } from '@proofcast/shared/testing/processes';
import { afterEach, describe, expect, it } from 'vitest';
import { viewOf } from '../testing/rtp-parameters.ts';
import { runSfu, testConfig, type RunningSfu } from '../testing/running-sfu.ts';
import { SignalingClient } from '../testing/signaling-client.ts';
import { KeyServer, TokenIssuer } from '../testing/token-issuer.ts';
import { startSfu } from './server.ts';

const cleanups: (() => void | Promise<void>)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).toReversed()) await cleanup();
});

async function run(overrides: Parameters<typeof runSfu>[0] = {}): Promise<RunningSfu> {
  const running = await runSfu(overrides);
  cleanups.push(() => running.stop());
  return running;
}

async function get(url: string): Promise<{ status: number; body: unknown }> {
  const response = await fetch(url);
  return { status: response.status, body: await response.json() };
}

describe('health', () => {
  it('is ok while the process answers', async () => {
    const { sfu } = await run();
    expect(await get(`${sfu.url}/healthz`)).toEqual({ status: 200, body: { status: 'ok' } });
  });

  it('is ready with keys and workers', async () => {
    const { sfu } = await run();
    await expect
      .poll(() => get(`${sfu.url}/readyz`))
      .toEqual({ status: 200, body: { status: 'ready', reasons: [] } });
  });

  it('[S2] starts while the relay is down, says why it is not ready, and is ready when the relay comes', async () => {
    const issuer = await TokenIssuer.create();
    const relay = await new KeyServer(issuer.keySet).start();
    await relay.stop();
    cleanups.push(() => relay.stop());
    const { sfu } = await run({ keySource: { kind: 'url', url: relay.url } });
    await expect
      .poll(() => get(`${sfu.url}/readyz`))
      .toEqual({
        status: 503,
        body: {
          status: 'unready',
          reasons: [expect.stringMatching(/no public keys of the relay: .*ECONNREFUSED/)],
        },
      });
    expect((await get(`${sfu.url}/healthz`)).status).toBe(200);
    await relay.start();
    await expect.poll(() => get(`${sfu.url}/readyz`), { timeout: 10_000 }).toMatchObject({ status: 200 });
    await relay.stop();
    const client = await SignalingClient.connect(sfu.url, await issuer.viewer());
    expect((await get(`${sfu.url}/readyz`)).status).toBe(200);
    await client.close();
  });

  it('[S8] is not ready while a worker is being replaced', async () => {
    const { sfu } = await run();
    await expect.poll(() => get(`${sfu.url}/readyz`)).toMatchObject({ status: 200 });
    const [pid = 0] = sfu.workerPids;
    killProcess(pid);
    await expect.poll(() => sfu.workerPids.includes(pid), { interval: 1 }).toBe(false);
    await expect.poll(() => get(`${sfu.url}/readyz`), { timeout: 10_000 }).toMatchObject({ status: 200 });
    expect(sfu.workerPids).toHaveLength(1);
  });

  it.each([
    ['/', 404, 'NOT_FOUND'],
    ['/metric', 404, 'NOT_FOUND'],
    [SFU_PATH, 400, 'MESSAGE_INVALID'],
    ['/%', 400, 'MESSAGE_INVALID'],
  ])('anything else over HTTP is refused with a code: %s', async (path, status, code) => {
    const { sfu } = await run();
    expect(await get(sfu.url + path)).toEqual({ status, body: { code, message: expect.any(String) } });
  });
});

describe('[S11] shutdown', () => {
  it('tells every peer SHUTTING_DOWN, closes with 4503, and leaves neither port nor process', async () => {
    const running = await run({ workerCount: 2 });
    const { sfu, issuer } = running;
    const streamId = createId('stream');
    const publisher = await running.connect(await issuer.publisher(streamId));
    await publisher.request('publish', { streamId });
    const viewer = await running.connect(await issuer.viewer());
    await viewer.request('view', viewOf(streamId));
    const stranger = await running.connect();
    const { workerPids } = sfu;
    await Promise.all([sfu.close(), sfu.close()]);
    for (const client of [publisher, viewer]) {
      expect(await client.next('streamClosed')).toEqual({ streamId, code: 'SHUTTING_DOWN' });
    }
    for (const client of [publisher, viewer, stranger]) {
      expect(await client.closed).toMatchObject({
        code: 4503,
        reason: expect.stringMatching(/^SHUTTING_DOWN: /),
      });
    }
    for (const pid of workerPids) expect(isProcessAlive(pid)).toBe(false);
    await expect(fetch(`${sfu.url}/healthz`)).rejects.toThrow();
    await sfu.close();
  });

  it('does not wait long for a client that answers nothing', async () => {
    const running = await run({ limits: { closeTimeoutMs: 100 } });
    const { sfu, issuer } = running;
    const client = await running.connect(await issuer.viewer());
    client.socket.pause();
    const startedAtMs = performance.now();
    await sfu.close();
    expect(performance.now() - startedAtMs).toBeLessThan(2_000);
    client.socket.resume();
  });

  it('lets a publisher that is just coming not begin', async () => {
    const running = await run();
    const { sfu, issuer } = running;
    const [pid = 0] = sfu.workerPids;
    const streamId = createId('stream');
    const publisher = await running.connect(await issuer.publisher(streamId));
    const publishing = publisher.request('publish', { streamId }).then(
      () => 'granted',
      () => 'refused',
    );
    await sfu.close();
    expect(['granted', 'refused']).toContain(await publishing);
    expect(isProcessAlive(pid)).toBe(false);
  });
});

it('does not start on a port that is taken, and leaves no worker behind', async () => {
  const { sfu } = await run();
  const config = testConfig({ port: Number(new URL(sfu.url).port) });
  await expect(startSfu(config)).rejects.toThrow(/EADDRINUSE/);
});
