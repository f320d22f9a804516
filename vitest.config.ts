import { defineConfig } from 'vitest/config';

/** Folders whose tests need a process, a browser or a screen; they run one file at a time. */
const JOURNEYS = ['tests/journeys/**/*.test.ts', '**/*.browser.test.ts'];

export default defineConfig({
  test: {
    projects: [
      {
        test: {
          name: 'unit',
          include: ['{shared,sfu,relay,desktop,dashboard,scripts}/**/*.test.ts'],
          exclude: ['**/node_modules/**', '**/dist/**', ...JOURNEYS],
          testTimeout: 30_000,
          hookTimeout: 60_000,
        },
      },
      {
        test: {
          name: 'system',
          include: ['tests/{bench,contract,electron-stand-in,fuzz,harness,media,repository}/**/*.test.ts'],
          testTimeout: 60_000,
          hookTimeout: 60_000,
        },
      },
      {
        test: {
          name: 'journeys',
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
