/**
 * `sfu.consumers`: packets that reach viewers for a second of the media worker's CPU, through our SFU with the real
 * clients, in turns with a bare mediasoup worker with the same codecs and transports. Publishers and viewers are
 * Chromium's in both cases, so that handshakes, encryption, acknowledgements and estimates are those of production; they
 * run in a browser whose CPU is not counted.
 */
import { join } from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import { createId, SFU_PATH, type Id } from '@proofcast/shared';
import { startBareSfu, type BareSfu } from '../../sfu/testing/bare-sfu.ts';
import { launchBrowser, type RemotePage, type TestBrowser } from '../../sfu/testing/browser.ts';
import { runSfu, type RunningSfu } from '../../sfu/testing/running-sfu.ts';
import { connectToBareSfu } from '../harness/bare-client-api.ts';
import type { CrowdPageApi } from '../harness/crowd-page-api.ts';
import type { LiveAccess } from '../harness/live-page-api.ts';
import {
  measurePairs,
  median,
  type Benchmark,
  type BenchmarkOptions,
  type BenchmarkResult,
  type ByEffort,
} from './benchmark.ts';
import { preciseCpuSeconds } from './process-usage.ts';

const PAIRS: ByEffort<number> = { quick: 1, usual: 7, long: 15 };
const STREAMS: ByEffort<number> = { quick: 1, usual: 2, long: 2 };
/** Each receives all streams over a connection of its own. */
const VIEWERS: ByEffort<number> = { quick: 2, usual: 8, long: 8 };
const MEASURE_MS: ByEffort<number> = { quick: 1_000, usual: 12_000, long: 20_000 };
/** Until the estimates of bandwidth have settled on the large layer. */
const SETTLE_MS: ByEffort<number> = { quick: 500, usual: 5_000, long: 5_000 };
/** Changes all over, so that it takes all the bits that it may have, and is small, so that two cores can encode it. */
const PICTURE = { widthPx: 640, heightPx: 360, framesPerSecond: 15, isRestless: true };
const GOAL_RATIO = 0.95;

type CrowdPage = RemotePage<CrowdPageApi>;

/** One way to bring streams to viewers. */
interface Way {
  readonly name: string;
  /** Of the media worker. */
  readonly pid: number;
  /** To be called for each page first. */
  prepare(page: CrowdPage): Promise<void>;
  publish(page: CrowdPage, streamId: Id): Promise<void>;
  view(page: CrowdPage, streamIds: readonly Id[]): Promise<void>;
  /** Forgets what pages that are closed have left. */
  reset(): Promise<void>;
}

interface Flow {
  readonly packetsPerSecond: number;
  readonly meanBytes: number;
  readonly lost: number;
}

export const sfuConsumers: Benchmark = { names: ['sfu.consumers'], run };

async function run({ effort, note }: BenchmarkOptions): Promise<BenchmarkResult[]> {
  await using stack = new AsyncDisposableStack();
  const running = stack.adopt(await runSfu({ workerCount: 1 }), (it) => it.stop());
  const bare = stack.adopt(await startBareSfu(), (it) => it.close());
  const browser = stack.adopt(
    await launchBrowser<CrowdPageApi>(join(import.meta.dirname, '../harness/pages/crowd-page.ts')),
    (it) => it.close(),
  );
  const flows: Flow[] = [];
  const measureOn = (way: Way) => async () => {
    const { packetsPerCpuSecond, flow } = await measure(way, { browser, effort });
    note(
      `${way.name}: ${packetsPerCpuSecond.toFixed(0)} packets per CPU-second; ${flow.packetsPerSecond.toFixed(0)} a second of ${flow.meanBytes.toFixed(0)} bytes, ${flow.lost} lost`,
    );
    flows.push(flow);
    return packetsPerCpuSecond;
  };
  const { value, baseline, ratio, ratios } = await measurePairs({
    pairs: PAIRS[effort],
    subject: measureOn(ours(running)),
    baseline: measureOn(bareWay(bare)),
  });
  const rates = flows.map(({ packetsPerSecond }) => packetsPerSecond);
  return [
    {
      name: 'sfu.consumers',
      value,
      unit: 'packets per CPU-second of the worker',
      baseline,
      ratio,
      goal: `≥ ${GOAL_RATIO}×`,
      met: ratio >= GOAL_RATIO,
      conditions: `${STREAMS[effort]} stream(s) of two layers to each of ${VIEWERS[effort]} viewers with a connection of its own, ${STREAMS[effort] * VIEWERS[effort]} consumers, by WebRtcTransport over UDP; Chromium publishes and receives, and decodes key pictures only; ${ratios.length} pairs of ${MEASURE_MS[effort] / 1000} s, ratios ${Math.min(...ratios).toFixed(2)}–${Math.max(...ratios).toFixed(2)}; ${Math.min(...rates).toFixed(0)}–${Math.max(...rates).toFixed(0)} packets a second of ${median(flows.map(({ meanBytes }) => meanBytes)).toFixed(0)} bytes; baseline: a bare mediasoup worker with the same codecs and transports`,
    },
  ];
}

async function measure(
  way: Way,
  { browser, effort }: { browser: TestBrowser<CrowdPageApi>; effort: BenchmarkOptions['effort'] },
): Promise<{ packetsPerCpuSecond: number; flow: Flow }> {
  const [publisher, crowd] = [await browser.open(), await browser.open()];
  try {
    for (const page of [publisher, crowd]) await way.prepare(page);
    const streamIds = Array.from({ length: STREAMS[effort] }, () => createId('stream'));
    for (const streamId of streamIds) await way.publish(publisher, streamId);
    for (let viewer = 0; viewer < VIEWERS[effort]; viewer += 1) await way.view(crowd, streamIds);
    await wait(SETTLE_MS[effort]);
    const startedMs = performance.now();
    const [cpuBefore, before] = [preciseCpuSeconds(way.pid), await crowd.received()];
    await wait(MEASURE_MS[effort]);
    const [cpuAfter, after] = [preciseCpuSeconds(way.pid), await crowd.received()];
    const tookS = (performance.now() - startedMs) / 1000;
    const packets = after.packets - before.packets;
    if (packets === 0) throw new Error(`No packet has reached a viewer through ${way.name}.`);
    return {
      packetsPerCpuSecond: packets / (cpuAfter - cpuBefore),
      flow: {
        packetsPerSecond: packets / tookS,
        meanBytes: (after.bytes - before.bytes) / packets,
        lost: after.lost - before.lost,
      },
    };
  } finally {
    await Promise.all([publisher.close(), crowd.close()]);
    await way.reset();
  }
}

function ours({ sfu, issuer }: RunningSfu): Way {
  const [pid] = sfu.workerPids;
  if (pid === undefined) throw new Error('The SFU has no worker.');
  const access = (streamId: Id, token: string): LiveAccess => ({
    url: sfu.url.replace('http', 'ws') + SFU_PATH,
    token,
    streamId,
  });
  return {
    name: 'SFU',
    pid,
    prepare: () => Promise.resolve(),
    publish: async (page, streamId) =>
      page.publish({ ...access(streamId, await issuer.publisher(streamId)), ...PICTURE }),
    async view(page, streamIds) {
      const token = await issuer.viewer();
      await page.view(streamIds.map((streamId) => access(streamId, token)));
    },
    reset: () => Promise.resolve(),
  };
}

function bareWay(bare: BareSfu): Way {
  return {
    name: 'bare mediasoup',
    pid: bare.pid,
    prepare: ({ page }) => connectToBareSfu(page, bare.calls),
    publish: (page, streamId) => page.publishBare(streamId, PICTURE),
    view: (page, streamIds) => page.viewBare(streamIds),
    reset: () => bare.reset(),
  };
}
