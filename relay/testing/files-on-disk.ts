/** What lies in a folder while the relay works in it. */
import { readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';

/** All files below `root` with their bytes; what goes while it is looked at is not there. */
export async function filesOnDisk(root: string): Promise<Map<string, number>> {
  const sizes = new Map<string, number>();
  for (const entry of (await unlessGone(() => readdir(root, { withFileTypes: true }))) ?? []) {
    const path = join(root, entry.name);
    if (entry.isDirectory()) {
      for (const [inner, size] of await filesOnDisk(path)) sizes.set(inner, size);
    } else {
      const found = await unlessGone(() => stat(path));
      if (found) sizes.set(path, found.size);
    }
  }
  return sizes;
}

async function unlessGone<T>(read: () => Promise<T>): Promise<T | undefined> {
  try {
    return await read();
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
}
