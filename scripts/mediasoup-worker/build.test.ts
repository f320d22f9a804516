import { readFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { describe, expect, test } from 'vitest';
import { PATCHES } from './recipe/patches.mjs';

const WORKER_SOURCES = resolve(import.meta.dirname, '../../node_modules/mediasoup/worker');

// Building takes minutes and is done by the bootstrap; that it cannot be done any more after an upgrade of
// mediasoup should be known on every machine, also where a worker is cached or fetched.
describe('the recipe of the worker', () => {
  test.each(PATCHES)('finds what it changes in $file exactly once', async ({ file, find, replace }) => {
    const text = await readFile(join(WORKER_SOURCES, file), 'utf8');

    expect(text.split(find)).toHaveLength(2);
    expect(text).not.toContain(replace);
  });
});
