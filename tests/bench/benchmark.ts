/** What a benchmark is, and the arithmetic that all of them share. */

export interface BenchmarkResult {
  readonly name: string;
  readonly value: number;
  readonly unit: string;
  /** The same measure of the baseline in the same run; null where there is none. */
  readonly baseline: number | null;
  /** value / baseline, null without a baseline. A ratio is the result, an absolute time only a note. */
  readonly ratio: number | null;
  /** What the measure has to be, in words; null for one that only explains another one. */
  readonly goal: string | null;
  /** Null without a goal. */
  readonly met: boolean | null;
  /** What was measured and how often, in one sentence. */
  readonly conditions: string;
}

/** How much of a benchmark is run. */
export interface BenchmarkOptions {
  /** `quick` proves that the benchmark works, its numbers mean nothing; `long` takes the time that flatness needs. */
  readonly effort: 'quick' | 'usual' | 'long';
  /** Says what is being done at the moment. */
  readonly note: (text: string) => void;
}

export interface Benchmark {
  /** Names of the results that it yields; selection on the command line is by prefix of these. */
  readonly names: readonly string[];
  /** It explains other results, and runs only when it is asked for by name. */
  readonly isExplanation?: boolean;
  run(options: BenchmarkOptions): Promise<BenchmarkResult[]>;
}

/** One value for each effort, side by side, so that it is seen what a quick run leaves out. */
export type ByEffort<T> = Readonly<Record<BenchmarkOptions['effort'], T>>;

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

/** How much `y` grows per unit of `x`: least squares over the points. */
export function slope(points: readonly { readonly x: number; readonly y: number }[]): number {
  if (points.length < 2) throw new RangeError('A slope takes two points.');
  const meanX = points.reduce((sum, { x }) => sum + x, 0) / points.length;
  const meanY = points.reduce((sum, { y }) => sum + y, 0) / points.length;
  const covariance = points.reduce((sum, { x, y }) => sum + (x - meanX) * (y - meanY), 0);
  return covariance / points.reduce((sum, { x }) => sum + (x - meanX) ** 2, 0);
}

/**
 * Measures subject and baseline in turns, the other one first in every second pair, so that what the machine does
 * beside meets both alike. The ratio is the median of the ratios of the pairs.
 */
export async function measurePairs(options: {
  pairs: number;
  subject: () => Promise<number>;
  baseline: () => Promise<number>;
}): Promise<{ value: number; baseline: number; ratio: number; ratios: readonly number[] }> {
  const values: number[] = [];
  const baselines: number[] = [];
  for (let pair = 0; pair < options.pairs; pair++) {
    if (pair % 2 === 0) values.push(await options.subject());
    baselines.push(await options.baseline());
    if (pair % 2 === 1) values.push(await options.subject());
  }
  const ratios = values.map((value, index) => value / baselines[index]!);
  return { value: median(values), baseline: median(baselines), ratio: median(ratios), ratios };
}
