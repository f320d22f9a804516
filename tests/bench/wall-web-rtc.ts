/**
 * `wall.webrtc.*`: 49 light streams on one wall of the dashboard by WebRTC, publishers, SFU and viewer on one machine, with
 * more and more pictures a second, until not all of them arrive.
 */
import { cpus } from 'node:os';
import { setTimeout as wait } from 'node:timers/promises';
import { LiveWall } from '../harness/live-wall.ts';
import { WallPage } from '../harness/wall-page.ts';
import type { Benchmark, BenchmarkOptions, BenchmarkResult, ByEffort } from './benchmark.ts';
import { cpuSeconds } from './process-usage.ts';

const STREAMS: ByEffort<number> = { quick: 4, usual: 49, long: 49 };
/** Pictures a second that each stream is published with, one run after the other. */
const RATES: ByEffort<readonly number[]> = {
  quick: [5],
  usual: [5, 10, 15, 20],
  long: [5, 10, 15, 20, 25, 30],
};
const MEASURED_MS: ByEffort<number> = { quick: 2_000, usual: 15_000, long: 60_000 };
/** Until the estimates of bandwidth have settled. */
const SETTLE_MS: ByEffort<number> = { quick: 500, usual: 8_000, long: 15_000 };
const SIZE = { widthPx: 480, heightPx: 270 } as const;
const JOIN_TIMEOUT_MS = 120_000;
const POLL_MS = 250;
/** A stream that shows less than this share of what is published does not keep up. */
const KEPT_UP = 0.9;

export const wallWebRtc: Benchmark = {
  names: ['wall.webrtc.moving', 'wall.webrtc.rate', 'wall.webrtc.viewer.cpu', 'wall.webrtc.sfu.cpu'],
  run,
};

/** One rate of pictures. CPU is in cores, rates are pictures a second. */
interface Step {
  readonly published: number;
  /** Of each stream, in the order of the wall. */
  readonly shown: readonly number[];
  /** What each publisher has encoded of the layer that is shown, on average. */
  readonly encoded: number;
  readonly joinMs: number;
  readonly viewerCpu: number;
  readonly sfuCpu: number;
  readonly publisherCpu: number;
  /** Of all that the cores of the machine could do, between 0 and 1. */
  readonly busy: number;
}

async function run({ effort, note }: BenchmarkOptions): Promise<BenchmarkResult[]> {
  const steps: Step[] = [];
  for (const rate of RATES[effort]) {
    const step = await measure(rate, effort);
    steps.push(step);
    note(describe(step));
  }
  const [lightest] = steps;
  if (!lightest) throw new Error('No rate of pictures was measured.');
  const best = steps.findLast(keepsUp);
  const streams = STREAMS[effort];
  const moving = lightest.shown.filter((rate) => rate > 0).length;
  const conditions = `${streams} streams of ${SIZE.widthPx} × ${SIZE.heightPx} in two layers, of which the small one is shown, on one wall in one page; publishers, SFU and viewer on one machine of ${cpus().length} cores; ${steps.map(describe).join('; ')}`;
  const atBest = `the same, at ${(best ?? lightest).published} pictures a second`;
  return [
    {
      ...toResult('moving', { value: moving, unit: 'streams', conditions }),
      goal: `${streams} streams`,
      met: moving === streams,
    },
    toResult('rate', {
      value: best?.published ?? 0,
      unit: 'pictures/s of each',
      conditions: `the same; the highest of these rates of which every tile shows ${KEPT_UP * 100} %`,
    }),
    toResult('viewer.cpu', { value: (best ?? lightest).viewerCpu, unit: 'cores', conditions: atBest }),
    toResult('sfu.cpu', { value: (best ?? lightest).sfuCpu, unit: 'cores', conditions: atBest }),
  ];
}

/** Without a goal: it says what a machine can do. */
function toResult(
  name: string,
  measured: Pick<BenchmarkResult, 'value' | 'unit' | 'conditions'>,
): BenchmarkResult {
  return { name: `wall.webrtc.${name}`, ...measured, baseline: null, ratio: null, goal: 'none', met: true };
}

const keepsUp = ({ published, shown }: Step): boolean => Math.min(...shown) >= KEPT_UP * published;

function describe(step: Step): string {
  const cores = (value: number): string => value.toFixed(2);
  return `at ${step.published} pictures a second ${step.encoded.toFixed(1)} encoded and ${Math.min(...step.shown).toFixed(1)} to ${Math.max(...step.shown).toFixed(1)} shown, all joined after ${step.joinMs.toFixed(0)} ms, cores: viewer ${cores(step.viewerCpu)}, SFU ${cores(step.sfuCpu)}, publishers ${cores(step.publisherCpu)}, machine ${(step.busy * 100).toFixed(0)} % busy`;
}

async function measure(framesPerSecond: number, effort: BenchmarkOptions['effort']): Promise<Step> {
  await using stack = new AsyncDisposableStack();
  const picture = { ...SIZE, framesPerSecond, isRestless: false };
  const wall = stack.adopt(await LiveWall.open({ streamCount: STREAMS[effort], picture }), (it) =>
    it.close(),
  );
  const { relay, sfu, admin } = wall.services;
  const viewer = stack.adopt(await WallPage.open(relay.url, { admin, gridSize: 49 }), (it) => it.close());
  const openedMs = Date.now();
  await viewer.load(relay.url);
  await untilAllJoined(viewer, STREAMS[effort]);
  const joinMs = Date.now() - openedMs;
  await wait(SETTLE_MS[effort]);
  const { workers } = await wall.services.sfuStatistics();
  const sfuPids = [sfu.pid, ...workers.map(({ pid }) => pid)];

  const read = async () => ({
    atS: performance.now() / 1000,
    tiles: await viewer.readTiles(),
    encoded: await wall.encodedCount(),
    viewerCpu: await viewer.cpuSeconds(),
    publisherCpu: await wall.publisherCpuSeconds(),
    sfuCpu: sfuPids.reduce((sum, pid) => sum + cpuSeconds(pid), 0),
    machine: machineMs(),
  });
  const before = await read();
  await wait(MEASURED_MS[effort]);
  const after = await read();
  const perSecond = (key: 'encoded' | 'viewerCpu' | 'publisherCpu' | 'sfuCpu'): number =>
    (after[key] - before[key]) / (after.atS - before.atS);
  const countBefore = new Map(before.tiles.map(({ streamId, pictureCount }) => [streamId, pictureCount]));
  return {
    published: framesPerSecond,
    // A tile that is shown by another path than WebRTC by then does not count as moving.
    shown: after.tiles.map(({ streamId, pictureCount, path }) =>
      path === 'webrtc'
        ? Math.max(0, pictureCount - (countBefore.get(streamId) ?? 0)) / (after.atS - before.atS)
        : 0,
    ),
    encoded: perSecond('encoded') / STREAMS[effort],
    joinMs,
    viewerCpu: perSecond('viewerCpu'),
    sfuCpu: perSecond('sfuCpu'),
    publisherCpu: perSecond('publisherCpu'),
    busy: 1 - (after.machine.idle - before.machine.idle) / (after.machine.total - before.machine.total),
  };
}

async function untilAllJoined(viewer: WallPage, count: number): Promise<void> {
  const deadlineMs = Date.now() + JOIN_TIMEOUT_MS;
  for (;;) {
    const tiles = await viewer.readTiles();
    const joined = tiles.filter(({ path }) => path === 'webrtc').length;
    if (joined === count) return;
    if (Date.now() > deadlineMs) throw new Error(`Only ${joined} of ${count} streams came by WebRTC.`);
    await wait(POLL_MS);
  }
}

/** What all cores together have done since they were started, in milliseconds. */
function machineMs(): { idle: number; total: number } {
  const times = cpus().map((cpu) => cpu.times);
  return {
    idle: times.reduce((sum, { idle }) => sum + idle, 0),
    total: times.reduce((sum, time) => sum + Object.values(time).reduce((all, ms) => all + ms, 0), 0),
  };
}
