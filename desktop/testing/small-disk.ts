/** A real file system of a few kilobytes in memory, for what happens when a disk is full. */
import { execFile } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';

const run = promisify(execFile);

export interface SmallDisk {
  readonly path: string;
  /** Idempotent; whatever is still open there keeps it alive until it is closed. */
  close(): Promise<void>;
}

/** Whether this user may mount one; for the condition of a test that needs it. */
export async function maySmallDiskBeMounted(): Promise<boolean> {
  try {
    await (await mountSmallDisk(64 * 1024)).close();
    return true;
  } catch {
    return false;
  }
}

/** Throws where this user may not mount anything. */
export async function mountSmallDisk(sizeBytes: number): Promise<SmallDisk> {
  const path = await mkdtemp(join(tmpdir(), 'proofcast-small-disk-'));
  try {
    await run('mount', ['-t', 'tmpfs', '-o', `size=${sizeBytes},mode=0700`, 'tmpfs', path]);
  } catch (error) {
    await rm(path, { recursive: true });
    throw error;
  }
  let closing: Promise<void> | undefined;
  const close = async (): Promise<void> => {
    await run('umount', ['--lazy', path]);
    await rm(path, { recursive: true });
  };
  return { path, close: () => (closing ??= close()) };
}
