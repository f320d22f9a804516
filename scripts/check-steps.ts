/** The static part of `npm test`: formatting, lint with types (import borders included), and types. */
import { availableParallelism } from 'node:os';
import { runQuietly, type Step, type StepResult } from './run-step.ts';

const STEPS: readonly Step[] = [
  { name: 'format', command: 'oxfmt', args: ['--check', '.'] },
  { name: 'lint and import borders', command: 'oxlint', args: ['--type-aware', '--deny-warnings'] },
  { name: 'types of shared', command: 'tsc', args: ['-p', 'shared'] },
  { name: 'types of sfu', command: 'tsc', args: ['-p', 'sfu'] },
  { name: 'types of the test page of sfu', command: 'tsc', args: ['-p', 'sfu/testing/page'] },
  { name: 'types of relay', command: 'tsc', args: ['-p', 'relay'] },
  { name: 'types of tests', command: 'tsc', args: ['-p', 'tests'] },
  { name: 'types of scripts', command: 'tsc', args: ['-p', 'scripts'] },
  { name: 'types of desktop', command: 'vue-tsc', args: ['-p', 'desktop'] },
  { name: 'types of dashboard', command: 'vue-tsc', args: ['-p', 'dashboard'] },
];

/** A type check takes one core and up to a gigabyte. */
const MAX_AT_ONCE = 4;

/** Runs all steps, as many at once as there are cores, also after one has failed. */
export async function runChecks(): Promise<StepResult[]> {
  const results: StepResult[] = [];
  const waiting = STEPS.values();
  const runInTurn = async (): Promise<void> => {
    for (const step of waiting) results.push(await runQuietly(step));
  };
  const lanes = Math.min(availableParallelism(), MAX_AT_ONCE);
  await Promise.all(Array.from({ length: lanes }, runInTurn));
  return results;
}
