/** Small files that are either old or new after a crash, never half of each. */
import { open, rename, type FileHandle } from 'node:fs/promises';
import { dirname } from 'node:path';

/** Replaces the file at `path`: temporary name, sync, rename, sync of the directory. `mode` applies to the new file. */
export async function writeFileAtomically(path: string, content: string, mode = 0o600): Promise<void> {
  const temporaryPath = `${path}.new`;
  await using(await open(temporaryPath, 'w', mode), async (file) => {
    await file.chmod(mode);
    await file.writeFile(content);
    await file.sync();
  });
  await rename(temporaryPath, path);
  await syncDirectory(dirname(path));
}

/** Makes the names in a directory durable. Windows has no such call and needs none. */
export async function syncDirectory(path: string): Promise<void> {
  if (process.platform === 'win32') return;
  await using(await open(path, 'r'), (directory) => directory.sync());
}

async function using(file: FileHandle, use: (file: FileHandle) => Promise<void>): Promise<void> {
  try {
    await use(file);
  } finally {
    await file.close();
  }
}
