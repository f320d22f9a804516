import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { lockDataDir } from './data-dir-lock.ts';

it('keeps a second relay out until the first lets go', async () => {
  const directory = await mkdtemp(join(tmpdir(), 'proofcast-lock-'));
  try {
    const dataDir = join(directory, 'data');
    const first = await lockDataDir(dataDir);
    await expect(lockDataDir(dataDir)).rejects.toThrow(`Cannot use the data directory ${dataDir}`);
    first.release();
    first.release();
    const second = await lockDataDir(dataDir);
    second.release();
  } finally {
    await rm(directory, { recursive: true });
  }
});
