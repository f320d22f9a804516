/**
 * `sfu.recovery.p95`: from kill −9 of the media worker that carries a stream to the first picture at each viewer that
 * was drawn after it, with the real SFU and the real clients; `.single` the same where there is no other worker. Each is
 * held to the goal by itself, so that the easier case does not make up for the other one.
 */
import { killProcess } from '@proofcast/shared/testing/processes';
import type { LivePage } from '../harness/live-page.ts';
import { LiveWorld } from '../live/live-world.ts';
import {
  median,
  percentile,
  type Benchmark,
  type BenchmarkOptions,
  type BenchmarkResult,
  type ByEffort,
} from './benchmark.ts';

/** With a second worker the stream moves there at once; a single one has to be started anew. */
const WORKER_COUNTS = { 'sfu.recovery.p95': 2, 'sfu.recovery.p95.single': 1 } as const;
const KILLS: ByEffort<number> = { quick: 1, usual: 15, long: 50 };
const VIEWERS: ByEffort<number> = { quick: 2, usual: 8, long: 8 };
/** Small enough that two cores draw, encode, and decode it eight times, with time to spare. */
const PICTURE = { widthPx: 640, heightPx: 360, framesPerSecond: 20 };
/** A picture that has only just begun may be given up: whatever kills workers must not be tried for ever. */
const PICTURES_BEFORE = 60;
const GOAL_MS = 1500;

export const sfuRecovery: readonly Benchmark[] = Object.entries(WORKER_COUNTS).map(([name, workerCount]) => ({
  names: [name],
  run: async (options) => {
    const recoveriesMs = await killWorkers(workerCount, options);
    return [toResult(name, { workerCount, recoveriesMs, effort: options.effort })];
  },
}));

/** Milliseconds to the picture, for each viewer after each kill. */
async function killWorkers(workerCount: number, { effort, note }: BenchmarkOptions): Promise<number[]> {
  const world = await LiveWorld.open({ workerCount });
  try {
    const publisher = await world.publish(world.streamId, PICTURE);
    const viewers: LivePage[] = [];
    for (let count = 0; count < VIEWERS[effort]; count += 1) {
      const viewer = await world.openPage();
      await world.view(viewer);
      viewers.push(viewer);
    }
    const recoveriesMs: number[] = [];
    for (let kill = 0; kill < KILLS[effort]; kill += 1) {
      await publisher.untilDrawn(PICTURES_BEFORE);
      const tookMs = await killAndRecover(world, viewers);
      note(`${workerCount} worker(s): ${tookMs.map((ms) => ms.toFixed(0)).join(', ')} ms`);
      recoveriesMs.push(...tookMs);
    }
    return recoveriesMs;
  } finally {
    await world.close();
  }
}

async function killAndRecover(world: LiveWorld, viewers: readonly LivePage[]): Promise<number[]> {
  killProcess(world.running.sfu.statistics().streams[0]?.workerPid);
  const killedMs = Date.now();
  const shownMs = await Promise.all(
    viewers.map((viewer) => viewer.untilDrawnAfter(world.streamId, killedMs)),
  );
  const lost = (await Promise.all(viewers.map((viewer) => viewer.lost(world.streamId)))).filter(Boolean);
  if (lost.length > 0) throw new Error(`${lost.length} viewers have lost the stream: ${lost[0]}`);
  return shownMs.map((ms) => ms - killedMs);
}

function toResult(
  name: string,
  {
    workerCount,
    recoveriesMs,
    effort,
  }: { workerCount: number; recoveriesMs: readonly number[]; effort: BenchmarkOptions['effort'] },
): BenchmarkResult {
  const value = percentile(recoveriesMs, 0.95);
  return {
    name,
    value,
    unit: 'ms',
    baseline: null,
    ratio: null,
    goal: `≤ ${GOAL_MS} ms`,
    met: value <= GOAL_MS,
    conditions: `${KILLS[effort]} kills of one of ${workerCount} worker(s), ${VIEWERS[effort]} viewers each in a page of its own, ${PICTURE.widthPx} × ${PICTURE.heightPx} at ${PICTURE.framesPerSecond} a second, from the kill to the first picture that was drawn after it; median ${median(recoveriesMs).toFixed(0)} ms, slowest ${Math.max(...recoveriesMs).toFixed(0)} ms; publisher, viewers and SFU on one machine`,
  };
}
