/** The static part of `npm test`: formatting, lint with types (import borders included), and types. */
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

/** Runs all steps, also after one has failed. */
export async function runChecks(): Promise<StepResult[]> {
  const results: StepResult[] = [];
  for (const step of STEPS) results.push(await runQuietly(step));
  return results;
}
