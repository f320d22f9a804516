/**
 * The folder in which one derivative is made: links to the parts of the recording under bare names, and whatever ffmpeg
 * writes. Nothing in it outlives the attempt, also when the relay is killed in the middle of it.
 */
import { lstat, mkdir, readdir, readFile, readlink, realpath, rm, symlink } from 'node:fs/promises';
import { join } from 'node:path';
import type { DerivativeSource } from './derivative-source.ts';

/** Below the folder of recordings, because a finished file is moved from here to there. No company has such an id. */
const ROOT = '.derivatives';

export async function openWorkspace(
  recordingsDir: string,
  kind: string,
  source: DerivativeSource,
): Promise<string> {
  const folder = join(recordingsDir, ROOT, `${source.recordingId}.${kind}`);
  await removeWorkspace(folder);
  await mkdir(folder, { recursive: true, mode: 0o700 });
  for (const [index, part] of source.parts.entries()) await symlink(part.path, join(folder, partName(index)));
  return folder;
}

/** The name in the workspace of the file of a part. */
export function partName(index: number): string {
  return `part-${index}.webm`;
}

/** What has been written into it; links count nothing. */
export async function workspaceBytes(folder: string): Promise<number> {
  let sum = 0;
  for (const name of await readdir(folder).catch(() => [])) {
    const found = await lstat(join(folder, name)).catch(() => null);
    if (found?.isFile() === true) sum += found.size;
  }
  return sum;
}

export function removeWorkspace(folder: string): Promise<void> {
  return rm(folder, { recursive: true, force: true, maxRetries: 3 });
}

/**
 * Removes what a relay that was killed has left, and ends those of its programs that still work there: nobody waits for
 * them any more. Call it before anything is begun.
 */
export async function removeLeftovers(recordingsDir: string): Promise<void> {
  const root = join(recordingsDir, ROOT);
  // The system reports folders without symbolic links in their names.
  const realRoot = await realpath(root).catch(() => null);
  if (realRoot === null) return;
  for (const pid of await processesBelow(realRoot)) {
    try {
      process.kill(pid, 'SIGKILL');
    } catch {
      // It has just ended by itself.
    }
  }
  await removeWorkspace(root);
}

/** Processes that work in a folder below `root`, by the system's own list; none where there is no such list. */
async function processesBelow(root: string): Promise<number[]> {
  const names = await readdir('/proc').catch(() => []);
  const found: number[] = [];
  for (const name of names) {
    if (!/^\d+$/.test(name)) continue;
    // Processes come and go while they are listed, and those of others tell nothing.
    const folder = await readlink(join('/proc', name, 'cwd')).catch(() => '');
    if (folder.startsWith(`${root}/`) && (await isMediaProgram(name))) found.push(Number(name));
  }
  return found;
}

/** A shell in which somebody looks around there is to live on. */
async function isMediaProgram(pid: string): Promise<boolean> {
  const commandLine = await readFile(join('/proc', pid, 'cmdline'), 'utf8').catch(() => '');
  return commandLine.split('\0').includes('-protocol_whitelist');
}
