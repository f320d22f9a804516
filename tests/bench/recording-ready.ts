/**
 * `recording.ready.p95`, `.8h`, `.slope`: from the publisher's `stop` to the bytes of a place in the middle that a
 * player asks for over HTTP, for recordings of ten minutes and of eight hours, and what an hour more costs.
 */
import { startBenchRelay } from './bench-relay.ts';
import {
  median,
  percentile,
  type Benchmark,
  type BenchmarkOptions,
  type BenchmarkResult,
  type ByEffort,
} from './benchmark.ts';
import { startHelper } from './helper-process.ts';
import type { RecordingLoad } from './recording-load.ts';

const HOUR_MS = 3_600_000;
const WARM_UP_MS = 4_000;
const SHORT_MS: ByEffort<number> = { quick: 4_000, usual: 600_000, long: 600_000 };
const LONG_MS: ByEffort<number> = { quick: 40_000, usual: 8 * HOUR_MS, long: 8 * HOUR_MS };
const SHORT_SAMPLES: ByEffort<number> = { quick: 1, usual: 12, long: 40 };
const LONG_SAMPLES: ByEffort<number> = { quick: 1, usual: 4, long: 10 };
const GOAL_MS = 250;
const GOAL_MS_PER_HOUR = 10;

export const recordingReady: Benchmark = {
  names: ['recording.ready.p95', 'recording.ready.p95.8h', 'recording.ready.slope'],
  run,
};

async function run({ effort, note }: BenchmarkOptions): Promise<BenchmarkResult[]> {
  const measureAll = async (durationMs: number, samples: number) => {
    const readyMs: number[] = [];
    for (let sample = 0; sample < samples; sample++) {
      readyMs.push(await measure(durationMs));
      note(`${(durationMs / HOUR_MS).toFixed(2)} h: ${readyMs.at(-1)!.toFixed(1)} ms`);
    }
    return readyMs;
  };
  const short = await measureAll(SHORT_MS[effort], SHORT_SAMPLES[effort]);
  const long = await measureAll(LONG_MS[effort], LONG_SAMPLES[effort]);
  const hoursApart = (LONG_MS[effort] - SHORT_MS[effort]) / HOUR_MS;
  const perHour = (median(long) - median(short)) / hoursApart;
  return [
    toResult('recording.ready.p95', short, SHORT_MS[effort]),
    toResult('recording.ready.p95.8h', long, LONG_MS[effort]),
    {
      name: 'recording.ready.slope',
      value: perHour,
      unit: 'ms per hour',
      baseline: null,
      ratio: null,
      goal: `< ${GOAL_MS_PER_HOUR} ms per hour`,
      met: perHour < GOAL_MS_PER_HOUR,
      conditions: `difference of the medians, ${median(short).toFixed(1)} and ${median(long).toFixed(1)} ms, over ${hoursApart.toFixed(1)} h`,
    },
  ];
}

/** In a relay of its own that has served a short recording before, so that nothing else runs and all code was run once. */
async function measure(durationMs: number): Promise<number> {
  await using stack = new AsyncDisposableStack();
  const relay = stack.adopt(await startBenchRelay(), (it) => it.close());
  const load = stack.adopt(startHelper<RecordingLoad>('recording-load.ts'), (it) => it.close());
  await load.call('upload', { url: relay.url, durationMs: WARM_UP_MS });
  await load.call('stopAndSeek', undefined);
  await load.call('untilSettled', undefined);
  await load.call('upload', { url: relay.url, durationMs });
  return await load.call('stopAndSeek', undefined);
}

function toResult(name: string, readyMs: readonly number[], durationMs: number): BenchmarkResult {
  const value = percentile(readyMs, 0.95);
  return {
    name,
    value,
    unit: 'ms',
    baseline: null,
    ratio: null,
    goal: `≤ ${GOAL_MS} ms`,
    met: value <= GOAL_MS,
    conditions: `${readyMs.length} recordings of ${(durationMs / HOUR_MS).toFixed(2)} h in chunks of 250 ms, 30 pictures a second, uploaded at once; from sending stop to the last byte of a range of 256 KiB in the middle, the redirect to the pinned address included; median ${median(readyMs).toFixed(1)} ms`,
  };
}
