import type { BenchArguments } from './arguments.ts';
import type { BenchmarkOptions, BenchmarkResult } from './benchmark.ts';

export interface BenchmarkRun {
  readonly results: readonly BenchmarkResult[];
  readonly failures: readonly { readonly names: readonly string[]; readonly error: unknown }[];
}

/** Runs what was asked for, one after the other. A benchmark that fails does not keep the others from running. */
export async function runBenchmarks(
  { wanted, isWanted, effort }: BenchArguments,
  note: BenchmarkOptions['note'],
): Promise<BenchmarkRun> {
  const results: BenchmarkResult[] = [];
  const failures: BenchmarkRun['failures'][number][] = [];
  for (const benchmark of wanted) {
    const names = benchmark.names.filter(isWanted);
    note(names.join(', '));
    try {
      const measured = await benchmark.run({ effort, note: (text) => note(`  ${text}`) });
      results.push(...measured.filter((result) => isWanted(result.name)));
    } catch (error) {
      note(`  failed: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}`);
      failures.push({ names, error });
    }
  }
  return { results, failures };
}
