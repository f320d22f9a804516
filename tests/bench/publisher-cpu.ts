/**
 * `publisher.cpu`: what the desktop app costs the machine of the person who shares while nobody watches, with all of its
 * processes, against a page that captures and records the same screen and does nothing else. `publisher.cpu.live`: the
 * same app against itself without a live path, so that it is seen what the one that idles adds.
 */
import { setTimeout as wait } from 'node:timers/promises';
import type { Page } from 'playwright-core';
import {
  median,
  type Benchmark,
  type BenchmarkOptions,
  type BenchmarkResult,
  type ByEffort,
} from './benchmark.ts';
import { CapturedScreen } from './captured-screen.ts';
import { openLoneRecorder } from './lone-recorder.ts';
import { treeCpuSeconds } from './process-usage.ts';

const ROUNDS: ByEffort<number> = { quick: 1, usual: 7, long: 15 };
const MEASURE_MS: ByEffort<number> = { quick: 1_000, usual: 10_000, long: 20_000 };
/** Until the encoder has found how fast it has to be. */
const SETTLE_MS: ByEffort<number> = { quick: 500, usual: 6_000, long: 6_000 };
const GOAL_RATIO = 1.05;

type Way = 'app' | 'appWithoutLive' | 'recorderAlone';
const WAYS: readonly Way[] = ['app', 'appWithoutLive', 'recorderAlone'];

/** Per cent of one core, and pictures that the capture delivered in a second. */
interface Cost {
  readonly cpuPercent: number;
  readonly picturesPerSecond: number;
}

export const publisherCpu: Benchmark = { names: ['publisher.cpu', 'publisher.cpu.live'], run };

async function run({ effort, note }: BenchmarkOptions): Promise<BenchmarkResult[]> {
  await using screen = await CapturedScreen.open();
  await using recorder = await openLoneRecorder(screen.display);
  const { desktop } = screen;
  await Promise.all([desktop.app.page, recorder.page].map(observePage));
  const costOf = (page: Page, pid: number) => measureCost({ page, pid, effort });
  const measure: Record<Way, () => Promise<Cost>> = {
    async app() {
      await desktop.shareScreen();
      const cost = await costOf(desktop.app.page, desktop.app.mainPid);
      await desktop.stopSharing();
      return cost;
    },
    async appWithoutLive() {
      await setLivePath(desktop.app.page, false);
      await desktop.clickStart();
      await desktop.app.page.locator('[data-testid="live-path"][data-state="unavailable"]').waitFor();
      await desktop.waitForRecordingState('uploading');
      const cost = await costOf(desktop.app.page, desktop.app.mainPid);
      await desktop.stopSharing();
      await setLivePath(desktop.app.page, true);
      return cost;
    },
    async recorderAlone() {
      await recorder.start();
      const cost = await costOf(recorder.page, recorder.pid);
      await recorder.stop();
      return cost;
    },
  };
  const rounds: Record<Way, Cost>[] = [];
  for (let round = 0; round < ROUNDS[effort]; round += 1) {
    const costs: Partial<Record<Way, Cost>> = {};
    for (const way of round % 2 === 0 ? WAYS : WAYS.toReversed()) costs[way] = await measure[way]();
    const { app, appWithoutLive, recorderAlone } = costs;
    if (!app || !appWithoutLive || !recorderAlone) throw new Error('One of the three was not measured.');
    rounds.push({ app, appWithoutLive, recorderAlone });
    const told = WAYS.map((way) => {
      const { cpuPercent, picturesPerSecond } = { app, appWithoutLive, recorderAlone }[way];
      return `${way} ${cpuPercent.toFixed(1)} % at ${picturesPerSecond.toFixed(1)} a second`;
    });
    note(told.join(', '));
  }
  return [
    toResult('publisher.cpu', 'recorderAlone', { rounds, effort }),
    toResult('publisher.cpu.live', 'appWithoutLive', { rounds, effort }),
  ];
}

async function measureCost({
  page,
  pid,
  effort,
}: {
  page: Page;
  pid: number;
  effort: BenchmarkOptions['effort'];
}): Promise<Cost> {
  await wait(SETTLE_MS[effort]);
  const [cpuBefore, picturesBefore, startedMs] = [
    treeCpuSeconds(pid),
    await deliveredPictures(page),
    performance.now(),
  ];
  await wait(MEASURE_MS[effort]);
  const [cpuAfter, picturesAfter] = [treeCpuSeconds(pid), await deliveredPictures(page)];
  const tookS = (performance.now() - startedMs) / 1000;
  return {
    cpuPercent: ((cpuAfter - cpuBefore) / tookS) * 100,
    picturesPerSecond: (picturesAfter - picturesBefore) / tookS,
  };
}

interface ObservedWindow extends Window {
  capturedTrack?: MediaStreamTrack;
  OpenWebSocket?: typeof WebSocket;
}

/** Chromium's interface that TypeScript's DOM does not know (W3C MediaStreamTrack Statistics). */
interface CountedTrack extends MediaStreamTrack {
  readonly stats: { readonly deliveredFrames: number };
}

/** Keeps what the page captures within reach of `deliveredPictures`. */
async function observePage(page: Page): Promise<void> {
  await page.evaluate(() => {
    const { mediaDevices } = navigator;
    const capture = mediaDevices.getDisplayMedia.bind(mediaDevices);
    mediaDevices.getDisplayMedia = async (constraints) => {
      const stream = await capture(constraints);
      const [track] = stream.getVideoTracks();
      if (track) (window as ObservedWindow).capturedTrack = track;
      return stream;
    };
  });
}

function deliveredPictures(page: Page): Promise<number> {
  return page.evaluate(() => {
    const { capturedTrack } = window as ObservedWindow;
    return (capturedTrack as CountedTrack | undefined)?.stats.deliveredFrames ?? 0;
  });
}

/** Without a live path the signalling refuses the page for good, which then does not try again. */
async function setLivePath(page: Page, isOn: boolean): Promise<void> {
  await page.evaluate((isWanted) => {
    const observed = window as ObservedWindow;
    observed.OpenWebSocket ??= WebSocket;
    const refusal = { code: 4403, reason: 'FORBIDDEN: there is no live path' };
    class RefusedWebSocket extends EventTarget {
      constructor() {
        super();
        queueMicrotask(() => this.dispatchEvent(new CloseEvent('close', refusal)));
      }
      close(): void {}
    }
    Object.assign(window, { WebSocket: isWanted ? observed.OpenWebSocket : RefusedWebSocket });
  }, isOn);
}

function toResult(
  name: string,
  baselineWay: Way,
  { rounds, effort }: { rounds: readonly Record<Way, Cost>[]; effort: BenchmarkOptions['effort'] },
): BenchmarkResult {
  const ratios = rounds.map((round) => round.app.cpuPercent / round[baselineWay].cpuPercent);
  const ratio = median(ratios);
  const pictures = (way: Way) => median(rounds.map((round) => round[way].picturesPerSecond)).toFixed(1);
  const baseline =
    baselineWay === 'recorderAlone'
      ? 'a page of an equal Chromium that captures and records with the same settings, and does nothing else'
      : 'the same app, whose signalling is refused for good';
  return {
    name,
    value: median(rounds.map(({ app }) => app.cpuPercent)),
    unit: '% of a core',
    baseline: median(rounds.map((round) => round[baselineWay].cpuPercent)),
    ratio,
    goal: `≤ ${GOAL_RATIO}×`,
    met: ratio <= GOAL_RATIO,
    conditions: `all processes of the desktop app on the stand-in for Electron, sharing a screen of 1280 × 720 that shows 20 new pictures a second, live path connected, nobody watching; ${rounds.length} rounds of ${MEASURE_MS[effort] / 1000} s, ratios ${Math.min(...ratios).toFixed(2)}–${Math.max(...ratios).toFixed(2)}; ${pictures('app')} and ${pictures(baselineWay)} pictures a second; baseline: ${baseline}`,
  };
}
