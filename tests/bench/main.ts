/**
 * `npm run bench -- [--json FILE] [--long | --quick] [NAME-PREFIX …]`: runs the benchmarks whose names begin with one of
 * the prefixes, all without any, prints a table, and writes the results as an array to FILE. Ends with 1 when one of
 * them could not be measured; a goal that is missed is a result like any other.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { readArguments, type BenchArguments } from './arguments.ts';
import { BENCHMARKS } from './benchmarks.ts';
import { runBenchmarks } from './run-benchmarks.ts';

const given = readArgumentsOrExit();
const jsonPath = given.jsonPath === null ? null : resolve(given.jsonPath);
keepTemporaryFilesTogether();
const { results, failures } = await runBenchmarks(given, (text) => console.error(text));
console.table(
  results.map(({ name, value, unit, baseline, ratio, goal, met }) => ({
    name,
    value: `${round(value)} ${unit}`,
    baseline: baseline === null ? '–' : `${round(baseline)} ${unit}`,
    ratio: ratio === null ? '–' : round(ratio),
    goal: goal ?? '–',
    met: met === null ? '–' : met ? 'yes' : 'no',
  })),
);
for (const { name, conditions } of results) console.log(`${name}: ${conditions}`);
for (const { names, error } of failures) console.error(`${names.join(', ')} could not be measured:`, error);
if (jsonPath !== null) await writeFile(jsonPath, `${JSON.stringify(results, null, 2)}\n`);
process.exit(failures.length === 0 ? 0 : 1);

function readArgumentsOrExit(): BenchArguments {
  try {
    return readArguments(process.argv.slice(2), BENCHMARKS);
  } catch (error) {
    console.error(error instanceof Error ? error.message : String(error));
    return process.exit(1);
  }
}

/** Whatever a benchmark or a process of it leaves when it is broken off goes with this process. */
function keepTemporaryFilesTogether(): void {
  const folder = mkdtempSync(join(tmpdir(), 'proofcast-bench-'));
  process.env['TMPDIR'] = folder;
  process.on('exit', () => rmSync(folder, { recursive: true, force: true, maxRetries: 5 }));
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
    process.on(signal, () => {
      console.error(`Broken off by ${signal}.`);
      process.exit(1);
    });
  }
}

function round(value: number): number {
  return Number(value.toPrecision(3));
}
