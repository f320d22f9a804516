import { mkdtemp, open, readlink, rm, stat, type FileHandle } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { MediaWorld } from '../../testing/media-world.ts';
import { lockDataDir } from '../data-dir-lock.ts';
import { makeDurableFolder } from './durable-file.ts';

let root: string;
/** Everything that was synced, in order. */
let synced: string[];

beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), 'proofcast-durable-'));
  synced = [];
  const handle = await open(root);
  const handles = Object.getPrototypeOf(handle) as FileHandle;
  await handle.close();
  const sync = Reflect.get<FileHandle, 'sync'>(handles, 'sync');
  // It syncs as before, and says what.
  vi.spyOn(handles, 'sync').mockImplementation(async function (this: FileHandle) {
    synced.push(await readlink(`/proc/self/fd/${this.fd}`));
    await sync.call(this);
  });
});
afterEach(async () => {
  vi.restoreAllMocks();
  await rm(root, { recursive: true, force: true });
});

test('[J3] the names of the folders for journals and recordings are made durable', async () => {
  const dataDir = join(root, 'data');
  const lock = await lockDataDir(dataDir);
  expect(synced).toEqual([root]);
  const world = await MediaWorld.open({ dataDir });
  expect(synced.filter((path) => path === dataDir)).toHaveLength(2);
  await world.close();
  lock.release();
});

test('[J3] a data folder deep below others is made durable with all that were made for it', async () => {
  const dataDir = join(root, 'a', 'b', 'data');
  const lock = await lockDataDir(dataDir);
  expect(synced).toEqual([join(root, 'a', 'b'), join(root, 'a'), root]);
  lock.release();
  synced = [];
  (await lockDataDir(dataDir)).release();
  expect(synced).toEqual([]);
});

test('a folder is for its owner alone, and durable up to where it begins, also when it was there', async () => {
  const path = join(root, 'x', 'y');
  for (let round = 0; round < 2; round += 1) {
    synced = [];
    await makeDurableFolder(root, path);
    expect(synced).toEqual([join(root, 'x'), root]);
  }
  expect((await stat(path)).mode & 0o777).toBe(0o700);
});
