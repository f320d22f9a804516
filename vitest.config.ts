import { defineConfig } from 'vitest/config';

/** Tests that need a browser or a screen. They run last and one file at a time, so that they have the machine to themselves. */
const JOURNEYS = ['tests/journeys/**/*.test.ts', '**/*.browser.test.ts'];

export default defineConfig({
  test: {
    projects: [
      {
        test: {
          name: 'unit',
          sequence: { groupOrder: 0 },
          include: ['{shared,sfu,relay,desktop,dashboard,scripts}/**/*.test.ts'],
          exclude: ['**/node_modules/**', '**/dist/**', ...JOURNEYS],
          testTimeout: 30_000,
          hookTimeout: 60_000,
        },
      },
      {
        test: {
          name: 'system',
          exclude: ['**/node_modules/**', ...JOURNEYS],
          sequence: { groupOrder: 1 },
          include: ['tests/{bench,contract,electron-stand-in,fuzz,harness,media,repository}/**/*.test.ts'],
          testTimeout: 60_000,
          hookTimeout: 60_000,
        },
      },
      {
        test: {
          name: 'journeys',
          sequence: { groupOrder: 2 },
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
