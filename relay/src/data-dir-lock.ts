import { mkdir } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { makeDurableFolder } from './recording/durable-file.ts';

/**
 * Keeps a second relay out of the data directory, where two would write the same journals. The lock is that of a SQLite
 * file of its own, so the operating system takes it back when the process dies, however it dies. Throws when another
 * relay holds it.
 */
export async function lockDataDir(dataDir: string): Promise<{ release(): void }> {
  const firstMade = await mkdir(dataDir, { recursive: true, mode: 0o700 });
  // What will be synced inside of it is lost with it.
  if (firstMade !== undefined) await makeDurableFolder(dirname(resolve(firstMade)), resolve(dataDir));
  const file = new DatabaseSync(join(dataDir, 'relay.lock'));
  try {
    file.exec('begin exclusive');
  } catch (cause) {
    file.close();
    throw new Error(
      `Cannot use the data directory ${dataDir}: another relay is using it; stop that one or set DATA_DIR.`,
      { cause },
    );
  }
  return {
    release() {
      if (file.isOpen) file.close();
    },
  };
}
