import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { defineConfig } from 'vitest/config';

/** Tests that need a browser or a screen. They run last and one file at a time, so that they have the machine to themselves. */
const JOURNEYS = ['tests/journeys/**/*.test.ts', '**/*.browser.test.ts'];

/** One of two cores would be left to the runner, which has hardly anything to do. */
const maxWorkers = availableParallelism();

/** Relay, SFU and desktop app are started hundreds of times; with what V8 kept of the last time, in half the CPU time. */
const env = { NODE_COMPILE_CACHE: join(import.meta.dirname, 'node_modules/.cache/compile') };

export default defineConfig({
  test: {
    projects: [
      {
        test: {
          env,
          name: 'unit',
          maxWorkers,
          sequence: { groupOrder: 1 },
          include: ['{shared,sfu,relay,desktop,dashboard,scripts}/**/*.test.ts'],
          exclude: ['**/node_modules/**', '**/dist/**', ...JOURNEYS],
          testTimeout: 30_000,
          hookTimeout: 60_000,
        },
      },
      {
        test: {
          env,
          name: 'system',
          maxWorkers,
          exclude: ['**/node_modules/**', ...JOURNEYS],
          sequence: { groupOrder: 2 },
          include: [
            'tests/{bench,contract,electron-stand-in,fuzz,harness,media,network,repository}/**/*.test.ts',
          ],
          testTimeout: 60_000,
          hookTimeout: 60_000,
        },
      },
      {
        test: {
          env,
          name: 'journeys',
          sequence: { groupOrder: 3 },
          include: JOURNEYS,
          exclude: ['**/node_modules/**', '**/dist/**'],
          testTimeout: 180_000,
          hookTimeout: 120_000,
          fileParallelism: false,
        },
      },
    ],
  },
});
