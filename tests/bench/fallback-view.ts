/**
 * `fallback.latency.*` and `fallback.join.p50`: a really captured screen, seen through the relay in the dashboard by
 * somebody whose network lets nothing of the SFU's media through.
 */
import { setTimeout as wait } from 'node:timers/promises';
import type { Id } from '@proofcast/shared';
import type { Page } from 'playwright-core';
import { openWall, tileOf } from '../harness/dashboard-driver.ts';
import { watchStamps, type SeenStamp } from '../harness/stamp-readers.ts';
import {
  median,
  percentile,
  type Benchmark,
  type BenchmarkOptions,
  type BenchmarkResult,
  type ByEffort,
} from './benchmark.ts';
import { CapturedScreen } from './captured-screen.ts';

const WATCH_MS: ByEffort<number> = { quick: 2_000, usual: 40_000, long: 120_000 };
/** Until the player has found how close to the edge it can play. */
const SETTLE_MS: ByEffort<number> = { quick: 1_000, usual: 15_000, long: 15_000 };
/** A machine that shows less is too busy to say anything. */
const MIN_PICTURES: ByEffort<number> = { quick: 2, usual: 100, long: 300 };
const JOINS: ByEffort<number> = { quick: 1, usual: 12, long: 30 };
const TIMEOUT_MS = 180_000;
/** Spreads joins over the two seconds between key pictures. */
const JOIN_PHASE_MS = 370;
const KEY_DISTANCE_MS = 2000;
const POLL_MS = 50;

const GOAL_P50_MS = 600;
const GOAL_P95_MS = 1000;
const GOAL_SLICES_P95_MS = 2600;
const GOAL_JOIN_MS = 400;

export const fallbackView: Benchmark = {
  names: ['fallback.latency.p50', 'fallback.latency.p95', 'fallback.join.p50', 'fallback.latency.p95.slices'],
  run,
};

async function run({ effort, note }: BenchmarkOptions): Promise<BenchmarkResult[]> {
  await using screen = await CapturedScreen.open();
  const streamId = await screen.share();
  const browser = await screen.openRestrictedBrowser();
  const { relay, admin } = screen.services;
  const page = await openWall(browser, relay.url, admin);
  const tile = tileOf(page, streamId);

  await tile.waitForPath('relay');
  const watchedMs = await readAges(page, tile.video, effort);
  note(`watched: p50 ${median(watchedMs).toFixed(0)} ms`);

  const joinsMs: number[] = [];
  for (let join = 0; join < JOINS[effort]; join++) {
    await leaveWall(screen, page);
    await wait((join * JOIN_PHASE_MS) % KEY_DISTANCE_MS);
    joinsMs.push(await clickToFirstFrame(page, streamId));
    note(`join: ${joinsMs.at(-1)!.toFixed(0)} ms`);
  }

  // A recorder that is not asked for its data delivers every two seconds, as with an app that cannot hear the relay.
  await screen.desktop.app.page.evaluate(() => {
    MediaRecorder.prototype.requestData = () => undefined;
  });
  const slicesMs = await readAges(page, tile.video, effort);

  const conditions = (count: number) =>
    `${count} pictures of a really captured screen of 1280 × 720 with a burnt-in stamp, from drawing to seeing it in the dashboard of a browser behind a proxy that lets no media of the SFU through; all on one machine`;
  return [
    toResult(
      'fallback.latency.p50',
      { valueMs: median(watchedMs), goalMs: GOAL_P50_MS },
      conditions(watchedMs.length),
    ),
    toResult(
      'fallback.latency.p95',
      { valueMs: percentile(watchedMs, 0.95), goalMs: GOAL_P95_MS },
      conditions(watchedMs.length),
    ),
    toResult(
      'fallback.join.p50',
      { valueMs: median(joinsMs), goalMs: GOAL_JOIN_MS },
      `${joinsMs.length} joins at different times between two key pictures: from the click on Live, with the page and its connections open and nobody else watching, to the first picture through the relay; slowest ${Math.max(...joinsMs).toFixed(0)} ms`,
    ),
    toResult(
      'fallback.latency.p95.slices',
      { valueMs: percentile(slicesMs, 0.95), goalMs: GOAL_SLICES_P95_MS },
      `${conditions(slicesMs.length)}; the recorder delivers every 2 s; median ${median(slicesMs).toFixed(0)} ms`,
    ),
  ];
}

/** How old pictures are when they are first seen, after the player has settled. */
async function readAges(page: Page, video: string, effort: BenchmarkOptions['effort']): Promise<number[]> {
  const fromMs = Date.now() + SETTLE_MS[effort];
  const settled = (seen: readonly SeenStamp[]) => seen.filter(({ seenAtMs }) => seenAtMs >= fromMs);
  const seen = await watchStamps(page, video, {
    isEnough: (all) => Date.now() > fromMs + WATCH_MS[effort] && settled(all).length >= MIN_PICTURES[effort],
    timeoutMs: TIMEOUT_MS,
  });
  return settled(seen).map(({ stampMs, seenAtMs }) => seenAtMs - stampMs);
}

/** Goes to another page, and resolves when the relay has no viewer any more. */
async function leaveWall({ admin }: CapturedScreen, page: Page): Promise<void> {
  await page.getByTestId('nav-devices').click();
  for (;;) {
    const { streams } = await admin.call('streams');
    if (streams.every(({ viewerCount }) => viewerCount === 0)) return;
    await wait(POLL_MS);
  }
}

/** Measured in the page itself: from the click until the tile shows a picture of the relay. */
function clickToFirstFrame(page: Page, streamId: Id): Promise<number> {
  return page.evaluate(
    (selector) =>
      new Promise<number>((resolve) => {
        const startedMs = performance.now();
        const look = (): void => {
          if (document.querySelector(selector)) resolve(performance.now() - startedMs);
          else requestAnimationFrame(look);
        };
        document.querySelector<HTMLElement>('[data-testid="nav-live"]')!.click();
        look();
      }),
    `[data-testid="tile-${streamId}"][data-path="relay"] [data-testid="video"]`,
  );
}

function toResult(
  name: string,
  { valueMs, goalMs }: { valueMs: number; goalMs: number },
  conditions: string,
): BenchmarkResult {
  return {
    name,
    value: valueMs,
    unit: 'ms',
    baseline: null,
    ratio: null,
    goal: `≤ ${goalMs} ms`,
    met: valueMs <= goalMs,
    conditions,
  };
}
