/** Making files and folders that survive a power cut. */
import { constants, mkdir, open, readdir, rename, unlink } from 'node:fs/promises';
import { dirname, join } from 'node:path';

/** Creates `path` and what is missing above it, up to `root`, and makes all those names durable. */
export async function makeDurableFolder(root: string, path: string): Promise<void> {
  await mkdir(path, { recursive: true, mode: 0o700 });
  for (let folder = path; folder !== root && folder !== dirname(folder); folder = dirname(folder)) {
    await syncFolder(dirname(folder));
  }
}

/** Puts the finished file `temporaryPath` in the place of `path`, so that either all of it is there or nothing. */
export async function publishFile(temporaryPath: string, path: string): Promise<void> {
  const file = await open(temporaryPath, constants.O_RDWR);
  try {
    await file.sync();
  } finally {
    await file.close();
  }
  await rename(temporaryPath, path);
  await syncFolder(dirname(path));
}

/** Removes the files in `folder` whose names begin with `prefix`. */
export async function removeByPrefix(folder: string, prefix: string): Promise<void> {
  for (const name of await readdir(folder)) if (name.startsWith(prefix)) await unlink(join(folder, name));
}

/** Makes created, renamed and removed names in the folder durable. */
export async function syncFolder(path: string): Promise<void> {
  const folder = await open(path, constants.O_RDONLY);
  try {
    await folder.sync();
  } finally {
    await folder.close();
  }
}
