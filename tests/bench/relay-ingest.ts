/**
 * `relay.ingest`: how many streams of 2 Mbps one core takes in with every acknowledgement durable. The load is doubled
 * until acknowledgements do not keep up any more, then the border is sought between the last two; what counts is the CPU
 * that the relay spends at the largest load that it keeps up with.
 */
import { startBenchRelay } from './bench-relay.ts';
import type { Benchmark, BenchmarkOptions, BenchmarkResult, ByEffort } from './benchmark.ts';
import { startHelper } from './helper-process.ts';
import type { IngestLoad, IngestRun } from './ingest-load.ts';

const BITS_PER_SECOND = 2_000_000;
/** As recorders deliver that nobody watches. */
const SLICE_MS = 2000;
const FIRST_COUNT: ByEffort<number> = { quick: 4, usual: 100, long: 100 };
const MAX_COUNT: ByEffort<number> = { quick: 8, usual: 1600, long: 3200 };
const DURATION_MS: ByEffort<number> = { quick: 2000, usual: 6000, long: 20_000 };
const MIN_COUNT = 4;
/** How often the interval in which the border lies is halved. */
const HALVINGS = 2;
/** Half of the time between two slices of a stream: a relay that needs longer falls behind sooner or later. */
const MAX_ACK_MS = 1000;
/** Beyond it the load was not the load that it says. */
const MAX_LATE_MS = 250;
const GOAL_STREAMS = 400;

export const relayIngest: Benchmark = { names: ['relay.ingest'], run };

type Verdict = 'kept up' | 'fell behind' | 'not loaded';

interface Attempt {
  readonly count: number;
  readonly run: IngestRun;
  readonly verdict: Verdict;
}

async function run({ effort, note }: BenchmarkOptions): Promise<BenchmarkResult[]> {
  await using stack = new AsyncDisposableStack();
  const relay = stack.adopt(await startBenchRelay(), (it) => it.close());
  const load = stack.adopt(startHelper<IngestLoad>('ingest-load.ts'), (it) => it.close());
  const { url, pid } = relay;
  await load.call('begin', { url, pid, bitsPerSecond: BITS_PER_SECOND, sliceMs: SLICE_MS });
  const attempts: Attempt[] = [];
  for (let count: number | null = FIRST_COUNT[effort]; count !== null; count = nextCount(attempts, effort)) {
    await load.call('open', { count });
    const measured = await load.call('run', { count, durationMs: DURATION_MS[effort] });
    const attempt = { count, run: measured, verdict: judge(measured) };
    attempts.push(attempt);
    note(describe(attempt));
  }
  return [toResult(attempts, DURATION_MS[effort])];
}

/** Twice as many until one load is too much, then between the two; null when it is known well enough. */
function nextCount(attempts: readonly Attempt[], effort: BenchmarkOptions['effort']): number | null {
  const above = tooMuch(attempts);
  const below = largestKept(attempts);
  if (above === null) {
    const doubled = attempts.at(-1)!.count * 2;
    return doubled <= MAX_COUNT[effort] ? doubled : null;
  }
  if (below === null) return above.count >= 2 * MIN_COUNT ? Math.round(above.count / 2) : null;
  const isBracketed = (end: number) => {
    const tried = attempts.slice(0, end);
    return tooMuch(tried) !== null && largestKept(tried) !== null;
  };
  const bracketed = attempts.findIndex((_, index) => isBracketed(index + 1)) + 1;
  if (attempts.length >= bracketed + HALVINGS) return null;
  return Math.round((below.count + above.count) / 2);
}

function largestKept(attempts: readonly Attempt[]): Attempt | null {
  const kept = attempts.filter(({ verdict }) => verdict === 'kept up');
  return kept.toSorted((a, b) => a.count - b.count).at(-1) ?? null;
}

function tooMuch(attempts: readonly Attempt[]): Attempt | null {
  const failed = attempts.filter(({ verdict }) => verdict !== 'kept up');
  return failed.toSorted((a, b) => a.count - b.count)[0] ?? null;
}

function judge({ ackP99Ms, drainMs, lateP99Ms }: IngestRun): Verdict {
  if (ackP99Ms > MAX_ACK_MS || drainMs > MAX_ACK_MS) return 'fell behind';
  return lateP99Ms > MAX_LATE_MS ? 'not loaded' : 'kept up';
}

function toResult(attempts: readonly Attempt[], durationMs: number): BenchmarkResult {
  const best = largestKept(attempts);
  if (best === null) throw new Error(`The relay keeps up with no load at all: ${describe(attempts[0]!)}`);
  const above = tooMuch(attempts);
  const value = best.count / best.run.cpuPerSecond;
  const border =
    above === null
      ? 'no larger load was tried'
      : `beyond: ${describe(above)}${above.verdict === 'not loaded' ? ' (the load generator could not make more)' : ''}`;
  return {
    name: 'relay.ingest',
    value,
    unit: 'streams per core',
    baseline: null,
    ratio: null,
    goal: `≥ ${GOAL_STREAMS}`,
    met: value >= GOAL_STREAMS,
    conditions: `streams of 2 Mbps in slices of 2 s for ${durationMs / 1000} s, real hashes, chains and fdatasync, publishers in another process on the same machine; largest load kept up with: ${describe(best)}; ${border}`,
  };
}

function describe({ count, run, verdict }: Attempt): string {
  const cpu = run.cpuPerSecond.toFixed(2);
  const times = [run.ackP50Ms, run.ackP99Ms, run.drainMs, run.lateP99Ms].map((ms) => ms.toFixed(0));
  const starved = run.starvedPerSecond.toFixed(2);
  return `${count} streams ${verdict}: ${cpu} cores (and ${starved} s a second waiting for one), acknowledged p50 ${times[0]} ms, p99 ${times[1]} ms, drained in ${times[2]} ms, load late by ${times[3]} ms`;
}
