/**
 * `live.latency.*` and `live.join.p50`: a stamped picture through the SFU, with the real clients, and in turns with it
 * from page to page without any server.
 */
import { LiveWorld } from '../live/live-world.ts';
import {
  median,
  type Benchmark,
  type BenchmarkOptions,
  type BenchmarkResult,
  type ByEffort,
} from './benchmark.ts';
import { fromPageToPage, PICTURES, throughSfu, type LiveSession } from './live-sessions.ts';

const PAIRS: ByEffort<number> = { quick: 1, usual: 5, long: 15 };

const GOAL_P50 = 1.1;
const GOAL_P95 = 1.15;
const GOAL_JOIN = 2;
const GOAL_JOIN_MS = 300;

export const liveView: Benchmark = {
  names: ['live.latency.p50', 'live.latency.p95', 'live.join.p50'],
  run,
};

async function run({ effort, note }: BenchmarkOptions): Promise<BenchmarkResult[]> {
  const subject: LiveSession[] = [];
  const baseline: LiveSession[] = [];
  const world = await LiveWorld.open();
  try {
    const measure = {
      subject: async () => subject.push(await throughSfu(world, effort)),
      baseline: async () => baseline.push(await fromPageToPage(world, effort)),
    };
    for (let pair = 0; pair < PAIRS[effort]; pair += 1) {
      const order = pair % 2 === 0 ? (['subject', 'baseline'] as const) : (['baseline', 'subject'] as const);
      for (const which of order) await measure[which]();
      const [sfu, peer] = [subject.at(-1)!, baseline.at(-1)!];
      note(
        `p50 ${sfu.p50.toFixed(0)} / ${peer.p50.toFixed(0)} ms, join ${sfu.joinMs.toFixed(0)} / ${peer.joinMs.toFixed(0)} ms`,
      );
    }
  } finally {
    await world.close();
  }
  const result = (
    name: string,
    key: keyof LiveSession,
    goal: { ratio: number; ms?: number },
  ): BenchmarkResult => {
    const ratio = median(subject.map((session, index) => session[key] / baseline[index]![key]));
    const value = median(subject.map((session) => session[key]));
    return {
      name,
      value,
      unit: 'ms',
      baseline: median(baseline.map((session) => session[key])),
      ratio,
      goal: goal.ms === undefined ? `≤ ${goal.ratio}×` : `≤ ${goal.ratio}× and ≤ ${goal.ms} ms`,
      met: ratio <= goal.ratio && value <= (goal.ms ?? Number.POSITIVE_INFINITY),
      conditions: `${PAIRS[effort]} pairs of ${PICTURES[effort]} pictures of a canvas of 1280 × 720 at 30 a second with a burnt-in stamp, in pages of one browser; baseline: from page to page without a server`,
    };
  };
  return [
    result('live.latency.p50', 'p50', { ratio: GOAL_P50 }),
    result('live.latency.p95', 'p95', { ratio: GOAL_P95 }),
    result('live.join.p50', 'joinMs', { ratio: GOAL_JOIN, ms: GOAL_JOIN_MS }),
  ];
}
