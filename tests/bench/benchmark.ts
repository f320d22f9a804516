/** What a benchmark is, and the arithmetic that all of them share. */

export interface BenchmarkResult {
  readonly name: string;
  readonly value: number;
  readonly unit: string;
  /** The same measure of the baseline in the same run; null where there is none. */
  readonly baseline: number | null;
  /** value / baseline, null without a baseline. A ratio is the result, an absolute time only a note. */
  readonly ratio: number | null;
  /** What the measure has to be, in words. */
  readonly goal: string;
  readonly met: boolean;
  /** What was measured and how often, in one sentence. */
  readonly conditions: string;
}

export interface Benchmark {
  /** Names of the results that it yields; selection on the command line is by prefix of these. */
  readonly names: readonly string[];
  run(): Promise<BenchmarkResult[]>;
}

export function median(values: readonly number[]): number {
  return percentile(values, 0.5);
}

/** The value at `fraction` of the sorted values, interpolated linearly between neighbours. */
export function percentile(values: readonly number[], fraction: number): number {
  if (values.length === 0) throw new RangeError('There is no percentile of nothing.');
  const sorted = values.toSorted((a, b) => a - b);
  const position = (sorted.length - 1) * fraction;
  const below = sorted[Math.floor(position)]!;
  const above = sorted[Math.ceil(position)]!;
  return below + (above - below) * (position - Math.floor(position));
}
