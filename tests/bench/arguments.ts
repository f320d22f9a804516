/** The command line of `npm run bench`. */
import { parseArgs } from 'node:util';
import type { Benchmark, BenchmarkOptions } from './benchmark.ts';

export interface BenchArguments {
  readonly jsonPath: string | null;
  readonly effort: BenchmarkOptions['effort'];
  /** Whether results with this name were asked for. */
  readonly isWanted: (name: string) => boolean;
  /** Those of which at least one result was asked for. */
  readonly wanted: readonly Benchmark[];
}

/** Throws an error for people when nothing that exists was asked for. */
export function readArguments(args: readonly string[], benchmarks: readonly Benchmark[]): BenchArguments {
  const { values: flags, positionals: prefixes } = parseArgs({
    args: [...args],
    options: { json: { type: 'string' }, long: { type: 'boolean' }, quick: { type: 'boolean' } },
    allowPositionals: true,
  });
  if (flags.long && flags.quick) throw new Error('A run is either --long or --quick.');
  const isWanted = (name: string) =>
    prefixes.length === 0 || prefixes.some((prefix) => name.startsWith(prefix));
  const wanted = benchmarks.filter(
    ({ names, isExplanation }) => names.some(isWanted) && (prefixes.length > 0 || isExplanation !== true),
  );
  const names = benchmarks.flatMap((benchmark) => benchmark.names);
  const unknown = prefixes.filter((prefix) => !names.some((name) => name.startsWith(prefix)));
  if (unknown.length > 0) {
    throw new Error(`No benchmark begins with ${unknown.join(' or ')}; there are ${names.join(', ')}.`);
  }
  const effort = flags.long ? 'long' : flags.quick ? 'quick' : 'usual';
  return { jsonPath: flags.json ?? null, effort, isWanted, wanted };
}
