// Keeps two setups on one machine from doing the same work at the same time.

import { spawn } from 'node:child_process';
import { mkdirSync } from 'node:fs';
import { dirname } from 'node:path';

const SAY_WAITING_AFTER_MS = 1_000;

/**
 * Runs `work` while holding the lock `file`; waits for another holder first.
 *
 * The lock is held by a `flock` process for as long as its stdin is open. However this process ends, the
 * kernel closes that pipe and the lock is free: there are no stale locks to judge.
 *
 * @template T
 * @param {{ file: string, what: string, report: import('./report.mjs').Report }} options
 * @param {() => Promise<T>} work
 * @returns {Promise<T>}
 */
export async function withLock({ file, what, report }, work) {
  mkdirSync(dirname(file), { recursive: true });

  const holder = spawn('flock', [file, 'sh', '-c', 'echo held; exec cat'], {
    stdio: ['pipe', 'pipe', 'ignore'],
  });
  const waiting = setTimeout(
    () => report.step(`Waiting for another setup that is ${what}`),
    SAY_WAITING_AFTER_MS,
  );

  try {
    await new Promise((resolve) => {
      holder.stdout.once('data', resolve);
      // Where there is no flock (outside Linux), two setups at once are the person's own affair.
      holder.once('error', resolve);
      holder.once('close', resolve);
    });
    clearTimeout(waiting);

    return await work();
  } finally {
    clearTimeout(waiting);
    // Unhandled, writing to a holder that is gone would end this process.
    holder.stdin?.on('error', () => {});
    holder.stdin?.end();
  }
}
