/**
 * `relay.fanout.64` and `.512`: bytes that reach viewers for a second of the relay's CPU, with journal, hashes and
 * sign-in, against a bare loop over `ws` in a process of its own. Senders and receivers are in a third process.
 */
import { startBenchRelay } from './bench-relay.ts';
import {
  measurePairs,
  type Benchmark,
  type BenchmarkOptions,
  type BenchmarkResult,
  type ByEffort,
} from './benchmark.ts';
import type { BareFanOut } from './bare-fan-out.ts';
import type { FanOutLoad } from './fan-out-load.ts';
import { startHelper } from './helper-process.ts';
import { cpuSeconds } from './process-usage.ts';

const VIEWERS = [64, 512] as const;
const BITS_PER_SECOND = 2_000_000;
const PAIRS: ByEffort<number> = { quick: 1, usual: 7, long: 15 };
/** Payload bytes that reach viewers in one half of a pair; about a second of CPU. */
const BYTES: ByEffort<number> = { quick: 100e6, usual: 3e9, long: 3e9 };
const GOAL_RATIO = 0.9;

export const relayFanOut: readonly Benchmark[] = VIEWERS.map((viewers) => ({
  names: [`relay.fanout.${viewers}`],
  run: async (options) => [await measure(viewers, options)],
}));

async function measure(viewers: number, { effort, note }: BenchmarkOptions): Promise<BenchmarkResult> {
  await using stack = new AsyncDisposableStack();
  const relay = stack.adopt(await startBenchRelay(), (it) => it.close());
  const bare = stack.adopt(startHelper<BareFanOut>('bare-fan-out.ts'), (it) => it.close());
  const load = stack.adopt(startHelper<FanOutLoad>('fan-out-load.ts'), (it) => it.close());
  const bareUrl = await bare.call('listen', undefined);
  const target = { viewers, bitsPerSecond: BITS_PER_SECOND };
  const onRelay = await load.call('open', { kind: 'relay', url: relay.url, ...target });
  const onBare = await load.call('open', { kind: 'bare', url: bareUrl, ...target });
  const measureOn = (pid: number, index: number) => async () => {
    const before = cpuSeconds(pid);
    const bytes = await load.call('push', { load: index, payloadBytes: BYTES[effort] });
    const spent = cpuSeconds(pid) - before;
    note(`${viewers} viewers, ${index === onRelay ? 'relay' : 'bare loop'}: ${spent.toFixed(2)} s of CPU`);
    return bytes / 1e6 / spent;
  };
  const { value, baseline, ratio, ratios } = await measurePairs({
    pairs: PAIRS[effort],
    subject: measureOn(relay.pid, onRelay),
    baseline: measureOn(bare.pid, onBare),
  });
  const spread = `${Math.min(...ratios).toFixed(2)}–${Math.max(...ratios).toFixed(2)}`;
  return {
    name: `relay.fanout.${viewers}`,
    value,
    unit: 'MB per CPU-second',
    baseline,
    ratio,
    goal: `≥ ${GOAL_RATIO}×`,
    met: ratio >= GOAL_RATIO,
    conditions: `${viewers} viewers of one stream of 2 Mbps in slices of 250 ms, ${ratios.length} pairs of ${BYTES[effort] / 1e9} GB each, ratios ${spread}; journal with fdatasync, hashes and tickets on; baseline: bare ws loop; viewers are raw sockets in another process`,
  };
}
