import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { withLock } from './lock.mjs';
import { createReport } from './report.mjs';

const LOCK_MODULE = new URL('lock.mjs', import.meta.url).href;

let directory: string;

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'proofcast-lock-'));
});

afterEach(async () => {
  await rm(directory, { recursive: true });
});

describe('withLock', () => {
  const lock = () => ({
    file: join(directory, 'locks', 'lock'),
    what: 'testing',
    report: createReport({ write: () => true }),
  });

  test('lets one piece of work in at a time', async () => {
    let inside = 0;
    let mostInside = 0;

    const work = async (): Promise<void> => {
      mostInside = Math.max(mostInside, (inside += 1));
      await new Promise((resolve) => {
        setImmediate(resolve);
      });
      inside -= 1;
    };

    await Promise.all([1, 2, 3, 4].map(() => withLock(lock(), work)));

    expect(mostInside).toBe(1);
  });

  test('is free again after work that failed', async () => {
    await expect(withLock(lock(), () => Promise.reject(new Error('no')))).rejects.toThrow('no');

    await expect(withLock(lock(), async () => 'in')).resolves.toBe('in');
  });

  test('is free again after a holder that was killed', async () => {
    const script = `
      import(${JSON.stringify(LOCK_MODULE)}).then(({ withLock }) =>
        withLock({ file: ${JSON.stringify(lock().file)}, what: '', report: null }, () => {
          console.log('held');
          return new Promise((resolve) => setTimeout(resolve, 60_000));
        }));`;
    const holder = spawn(process.execPath, ['-e', script], { stdio: ['ignore', 'pipe', 'inherit'] });

    await once(holder.stdout, 'data');
    holder.kill('SIGKILL');

    await expect(withLock(lock(), async () => 'in')).resolves.toBe('in');
  });
});
