/**
 * What the publisher's CPU is measured against: a Chromium as the app's, with a page that captures the same screen,
 * records it with the same settings, throws away what is recorded, and does nothing else.
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { chromium, type Page } from 'playwright-core';
import { CAPTURE, RECORDER } from '../../desktop/src/renderer/config.ts';
import { hideCaptureBar } from '../electron-stand-in/capture-bar.ts';
import { CAPTURING_ARGUMENTS } from '../electron-stand-in/chromium.ts';
import { OFF_SCREEN } from '../electron-stand-in/launch.ts';
import { CHROMIUM_PATH } from '../harness/chromium.ts';
import { openHarnessPage } from '../harness/harness-pages.ts';

export interface LoneRecorder extends AsyncDisposable {
  readonly page: Page;
  /** Process id of the browser, of which all others of it are children. */
  readonly pid: number;
  start(): Promise<void>;
  /** Releases the screen. */
  stop(): Promise<void>;
}

export async function openLoneRecorder(display: string): Promise<LoneRecorder> {
  await using stack = new AsyncDisposableStack();
  const profile = stack.adopt(await mkdtemp(join(tmpdir(), 'proofcast-recorder-')), (path) =>
    rm(path, { recursive: true, force: true, maxRetries: 5 }),
  );
  await hideCaptureBar(display);
  const context = stack.adopt(
    await chromium.launchPersistentContext(profile, {
      executablePath: CHROMIUM_PATH,
      headless: false,
      viewport: null,
      args: [...CAPTURING_ARGUMENTS, `--window-position=${OFF_SCREEN.x},${OFF_SCREEN.y}`],
      env: { ...process.env, DISPLAY: display },
    }),
    (it) => it.close(),
  );
  const page = context.pages()[0] ?? (await context.newPage());
  await openHarnessPage(page, 'screen-recorder.ts');
  const devTools = await context.browser()?.newBrowserCDPSession();
  const { processInfo = [] } = (await devTools?.send('SystemInfo.getProcessInfo')) ?? {};
  const pid = processInfo.find(({ type }) => type === 'browser')?.id;
  if (pid === undefined) throw new Error('Chromium does not tell which process it is.');
  const owned = stack.move();
  return {
    page,
    pid,
    start: () =>
      page.evaluate((settings) => window.screenRecorder.start(settings), {
        capture: CAPTURE,
        recorder: RECORDER,
      }),
    stop: () => page.evaluate(() => window.screenRecorder.stop()),
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}
