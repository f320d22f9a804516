/** A real X screen (Xvfb) that one page of a Chromium fills. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { chromium, type BrowserContext, type Page } from 'playwright-core';
import { startXvfb } from '../electron-stand-in/xvfb.ts';
import { CHROMIUM_PATH, chromiumArguments } from './chromium.ts';

export interface KioskScreen {
  /** For the environment variable DISPLAY, such as `:99`. */
  readonly display: string;
  close(): Promise<void>;
}

export interface ScreenSize {
  readonly width: number;
  readonly height: number;
}

export const SCREEN_SIZE: ScreenSize = { width: 1280, height: 720 };

/** `fill` opens what is to be seen in the page that covers the screen. What was begun is ended when anything fails. */
export async function openKioskScreen(
  fill: (page: Page) => Promise<unknown>,
  size: ScreenSize = SCREEN_SIZE,
): Promise<KioskScreen> {
  const xvfb = await startXvfb(size);
  const profile = await mkdtemp(join(tmpdir(), 'proofcast-screen-'));
  let context: BrowserContext | undefined;
  const close = async () => {
    await context?.close();
    await xvfb.close();
    await rm(profile, { recursive: true, force: true });
  };
  try {
    context = await chromium.launchPersistentContext(profile, {
      executablePath: CHROMIUM_PATH,
      headless: false,
      viewport: null,
      // Whoever opened the screen closes it, in its own order.
      handleSIGINT: false,
      handleSIGTERM: false,
      handleSIGHUP: false,
      args: [
        ...chromiumArguments(),
        '--kiosk',
        '--window-position=0,0',
        `--window-size=${size.width},${size.height}`,
      ],
      env: { ...process.env, DISPLAY: xvfb.display },
    });
    await fill(context.pages()[0] ?? (await context.newPage()));
  } catch (error) {
    await close();
    throw error;
  }
  return { display: xvfb.display, close };
}
