/**
 * `npm test`: static checks, builds, then every vitest project. Arguments go to vitest; with arguments only the tests
 * they name run. The last line is `N passed, N failed, N skipped`.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { buildWhenChanged } from './build-steps.ts';
import { runChecks } from './check-steps.ts';

interface Counts {
  passed: number;
  failed: number;
  skipped: number;
}

const vitestArguments = process.argv.slice(2);
const counts: Counts = { passed: 0, failed: 0, skipped: 0 };
const count = (isPassed: boolean) => (isPassed ? counts.passed++ : counts.failed++);

if (vitestArguments.length === 0) for (const { isPassed } of await runChecks()) count(isPassed);
for (const workspace of ['dashboard', 'desktop'] as const) count(await buildWhenChanged(workspace));
const tests = await runVitest(vitestArguments);
counts.passed += tests.passed;
counts.failed += tests.failed;
counts.skipped += tests.skipped;

console.log(`${counts.passed} passed, ${counts.failed} failed, ${counts.skipped} skipped`);
process.exitCode = counts.failed === 0 ? 0 : 1;

async function runVitest(args: readonly string[]): Promise<Counts> {
  const folder = await mkdtemp(join(tmpdir(), 'proofcast-test-'));
  const report = join(folder, 'report.json');
  try {
    const child = spawn(
      'vitest',
      ['run', '--reporter=default', '--reporter=json', `--outputFile.json=${report}`, ...args],
      { stdio: 'inherit' },
    );
    // Ctrl-C reaches vitest itself, which cleans up; the others are passed on, and this script ends after it.
    process.on('SIGINT', () => {});
    for (const signal of ['SIGTERM', 'SIGHUP'] as const) process.on(signal, () => child.kill(signal));
    const [code] = (await once(child, 'exit')) as [number | null];
    return await readCounts(report, code);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

/** A run that broke off, or failed outside of any test, counts as one failure more. */
async function readCounts(report: string, exitCode: number | null): Promise<Counts> {
  let result: {
    numPassedTests: number;
    numFailedTests: number;
    numPendingTests: number;
    numTodoTests: number;
  };
  try {
    result = JSON.parse(await readFile(report, 'utf8')) as typeof result;
  } catch {
    return { passed: 0, failed: 1, skipped: 0 };
  }
  const isBrokenOff = exitCode !== 0 && result.numFailedTests === 0;
  return {
    passed: result.numPassedTests,
    failed: result.numFailedTests + (isBrokenOff ? 1 : 0),
    skipped: result.numPendingTests + result.numTodoTests,
  };
}
