import { createId, type Id } from '@proofcast/shared';
import { killProcess } from '@proofcast/shared/testing/processes';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { videoParameters, viewOf } from '../testing/rtp-parameters.ts';
import { runSfu, type RunningSfu } from '../testing/running-sfu.ts';
import { SFU_METRICS } from './metric-definitions.ts';

const TOKEN = 'a-token-that-nobody-guesses';

let running: RunningSfu;
let streamId: Id;

beforeEach(() => {
  streamId = createId('stream');
});
afterEach(() => running.stop());

async function publishAndView() {
  const publisher = await running.connect(await running.issuer.publisher(streamId));
  await publisher.request('publish', { streamId });
  await publisher.request('produce', { streamId, kind: 'video', rtpParameters: videoParameters() });
  const viewer = await running.connect(await running.issuer.viewer());
  const { consumers } = await viewer.request('view', viewOf(streamId));
  return { publisher, viewer, consumerId: consumers[0]?.id ?? '' };
}

/** The value of each series. */
async function read(): Promise<Map<string, number>> {
  const text = await (await fetch(`${running.sfu.url}/metrics`)).text();
  return new Map(
    [...text.matchAll(/^(proofcast_\S+) (\S+)$/gm)].map(([, name = '', value]) => [name, Number(value)]),
  );
}

describe('[S18] the metrics', () => {
  it('say how many publish, view and are connected, and change with that', async () => {
    running = await runSfu();
    const { viewer } = await publishAndView();
    const values = await read();
    expect(values.get('proofcast_sfu_connections')).toBe(2);
    expect(values.get('proofcast_sfu_streams{state="watched"}')).toBe(1);
    expect(values.get('proofcast_sfu_streams{state="unwatched"}')).toBe(0);
    expect(values.get('proofcast_sfu_viewers{state="paused"}')).toBe(1);
    expect(values.get('proofcast_sfu_workers{state="running"}')).toBe(1);
    await viewer.close();
    await expect.poll(async () => (await read()).get('proofcast_sfu_connections')).toBe(1);
  });

  it('count the workers that died', async () => {
    running = await runSfu();
    killProcess(running.sfu.workerPids[0]);
    await expect.poll(async () => (await read()).get('proofcast_sfu_worker_deaths_total')).toBe(1);
  });

  it('are exactly those of the list, with its labels, however many streams there are', async () => {
    running = await runSfu();
    await publishAndView();
    const expected = Object.entries(SFU_METRICS).flatMap(([name, definition]) =>
      'label' in definition
        ? definition.label.values.map((value) => `${name}{${definition.label.name}="${value}"}`)
        : [name],
    );
    expect([...(await read()).keys()]).toEqual(expected);
  });

  it('come with what is sampled about every stream, and what its viewers report', async () => {
    running = await runSfu({ limits: { statisticsIntervalMs: 20 } });
    const { viewer, consumerId } = await publishAndView();
    const reading = { widthPx: 640, heightPx: 360, framesPerSecond: 29.5, freezeCount: 3, delayMs: 42 };
    const foreign = { streamId: createId('stream'), reading };
    await viewer.request('report', { readings: [{ streamId, reading }, foreign] });
    await expect
      .poll(async () => (await fetch(`${running.sfu.url}/statistics`)).json())
      .toMatchObject({
        streams: [
          {
            streamId,
            workerPid: running.sfu.workerPids[0],
            isWanted: true,
            received: { byteCount: 0, bitrateBps: 0 },
            viewers: [{ isPaused: true, sent: { byteCount: 0 }, reading }],
          },
        ],
      });
    expect((await read()).get('proofcast_sfu_freezes')).toBe(3);
    // Nothing is sent to who has not resumed its consumer.
    const delays = ['median', 'worst'].map((of) => `proofcast_sfu_picture_delay_seconds{of="${of}"}`);
    const before = await read();
    expect(delays.map((series) => before.get(series))).toEqual([0, 0]);
    await viewer.request('resumeConsumer', { streamId, consumerId });
    const after = await read();
    expect(delays.map((series) => after.get(series))).toEqual([0.042, 0.042]);
  });
});

describe('[S18] metrics and statistics', () => {
  const status = async (path: string, headers: Record<string, string>) =>
    (await fetch(running.sfu.url + path, { headers })).status;

  it.each(['/metrics', '/statistics'])(
    '%s are told to who has the token, and to nobody else',
    async (path) => {
      running = await runSfu({ metricsToken: TOKEN });
      expect(await status(path, { authorization: `Bearer ${TOKEN}` })).toBe(200);
      expect(await status(path, { authorization: `Bearer ${TOKEN}x` })).toBe(401);
      expect(await status(path, {})).toBe(401);
    },
  );

  it.each(['/metrics', '/statistics'])('%s are without a token told to this machine only', async (path) => {
    running = await runSfu();
    expect(await status(path, {})).toBe(200);
    expect(await status(path, { 'x-forwarded-for': '203.0.113.7' })).toBe(401);
    expect(await status(path, { forwarded: 'for=203.0.113.7' })).toBe(401);
  });
});
