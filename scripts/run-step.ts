/** Runs a program as one step of a larger script, with the terminal of the script. */
import { spawn } from 'node:child_process';

export interface Step {
  readonly name: string;
  /** A program of the project's own dependencies, found on the PATH that bootstrap sets. */
  readonly command: string;
  readonly args: readonly string[];
}

export type StepResult = { readonly step: Step; readonly isPassed: boolean; readonly durationMs: number };

/** Shows the output only when the step fails, so that what went wrong is what one sees. */
export function runQuietly(step: Step): Promise<StepResult> {
  const startedMs = performance.now();
  return new Promise((resolve, reject) => {
    const child = spawn(step.command, step.args, { stdio: ['ignore', 'pipe', 'pipe'] });
    const output: Buffer[] = [];
    child.stdout.on('data', (data: Buffer) => output.push(data));
    child.stderr.on('data', (data: Buffer) => output.push(data));
    child.on('error', reject);
    child.on('close', (code) => {
      const durationMs = performance.now() - startedMs;
      const isPassed = code === 0;
      console.log(`${isPassed ? '✓' : '✗'} ${step.name} (${(durationMs / 1000).toFixed(1)} s)`);
      if (!isPassed) process.stdout.write(Buffer.concat(output));
      resolve({ step, isPassed, durationMs });
    });
  });
}
