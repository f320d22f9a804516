import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { killProcess } from '@proofcast/shared/testing/processes';
import { expect, it } from 'vitest';
import { cpuSeconds, preciseCpuSeconds, treeCpuSeconds } from './process-usage.ts';

/** A shell whose child works and ends; then it works itself for ever. */
const WORK = 'i=0; while [ $i -lt 200000 ]; do i=$((i+1)); done';

it('counts what a process has used, with its children, those included that have ended', async () => {
  const shell = spawn('sh', ['-c', `sh -c '${WORK}'; echo ended; read line`], {
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  const ended = once(shell, 'exit');
  try {
    const pid = shell.pid ?? 0;
    await once(shell.stdout, 'data');
    // What the child has worked is nothing of the shell's own.
    expect(treeCpuSeconds(pid)).toBeGreaterThan(cpuSeconds(pid));
    expect(treeCpuSeconds(process.pid)).toBeGreaterThanOrEqual(treeCpuSeconds(pid));
  } finally {
    killProcess(shell.pid);
    await ended;
  }
});

it('counts more precisely what Linux counts in ticks', async () => {
  const before = preciseCpuSeconds(process.pid);
  while (preciseCpuSeconds(process.pid) - before < 0.1);
  // Threads of this process that have ended are in the one and not in the other.
  expect(preciseCpuSeconds(process.pid)).toBeLessThanOrEqual(cpuSeconds(process.pid) + 0.05);
});
