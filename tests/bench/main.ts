/**
 * `npm run bench -- [--json FILE] [NAME-PREFIX …]`: runs the benchmarks whose names begin with one of the prefixes,
 * all without any, prints a table, and writes the results as an array to FILE.
 */
import { writeFile } from 'node:fs/promises';
import { parseArgs } from 'node:util';
import type { Benchmark, BenchmarkResult } from './benchmark.ts';
import { relayAck } from './relay-ack.ts';

const BENCHMARKS: readonly Benchmark[] = [relayAck];

const { values: flags, positionals: prefixes } = parseArgs({
  options: { json: { type: 'string' } },
  allowPositionals: true,
});
const isWanted = (name: string) =>
  prefixes.length === 0 || prefixes.some((prefix) => name.startsWith(prefix));
const wanted = BENCHMARKS.filter((benchmark) => benchmark.names.some(isWanted));
if (wanted.length === 0) {
  console.error(`No benchmark begins with ${prefixes.join(' or ')}.`);
  process.exit(1);
}

const results: BenchmarkResult[] = [];
for (const benchmark of wanted) {
  const measured = await benchmark.run();
  results.push(...measured.filter((result) => isWanted(result.name)));
}
console.table(
  results.map(({ name, value, unit, baseline, ratio, goal, met }) => ({
    name,
    value: `${round(value)} ${unit}`,
    baseline: baseline === null ? '–' : `${round(baseline)} ${unit}`,
    ratio: ratio === null ? '–' : round(ratio),
    goal,
    met: met ? 'yes' : 'no',
  })),
);
for (const { name, conditions } of results) console.log(`${name}: ${conditions}`);
if (flags.json) await writeFile(flags.json, `${JSON.stringify(results, null, 2)}\n`);

function round(value: number): number {
  return Number(value.toPrecision(3));
}
