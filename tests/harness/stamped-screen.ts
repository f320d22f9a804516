/**
 * A real X screen (Xvfb) that shows a page which burns the time into every picture it draws. What is captured from
 * this screen can be dated to the millisecond, wherever it turns up.
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { chromium } from 'playwright-core';
import { startXvfb } from '../electron-stand-in/xvfb.ts';
import { CHROMIUM_PATH, chromiumArguments } from './chromium.ts';
import { openHarnessPage } from './harness-pages.ts';

export interface StampedScreen {
  /** For the environment variable DISPLAY, such as `:99`. */
  readonly display: string;
  close(): Promise<void>;
}

export const SCREEN_SIZE = { width: 1280, height: 720 } as const;

export async function openStampedScreen(): Promise<StampedScreen> {
  const xvfb = await startXvfb(SCREEN_SIZE);
  const profile = await mkdtemp(join(tmpdir(), 'proofcast-screen-'));
  const context = await chromium.launchPersistentContext(profile, {
    executablePath: CHROMIUM_PATH,
    headless: false,
    viewport: null,
    args: [
      ...chromiumArguments(),
      '--kiosk',
      '--window-position=0,0',
      `--window-size=${SCREEN_SIZE.width},${SCREEN_SIZE.height}`,
    ],
    env: { ...process.env, DISPLAY: xvfb.display },
  });
  await openHarnessPage(context.pages()[0] ?? (await context.newPage()), 'stamped-screen.ts');
  return {
    display: xvfb.display,
    async close() {
      await context.close();
      await xvfb.close();
      await rm(profile, { recursive: true, force: true });
    },
  };
}
