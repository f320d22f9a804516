/** Test code: the one Chromium behind the stand-in. It ends with this process, because it is driven through a pipe. */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import { chromium, type BrowserContext, type Page } from 'playwright-core';
import { hideCaptureBar } from './capture-bar.ts';
import { report } from './launcher-channel.ts';
import type { StandInSettings } from './settings.ts';

/** How every Chromium is started that captures as the app does. */
export const CAPTURING_ARGUMENTS: readonly string[] = [
  // A window of an app has neither tabs nor an address field.
  '--app=about:blank',
  // Captures the real X screen; with a fake picker in addition it would fail.
  '--auto-select-desktop-capture-source=Entire screen',
  // A microphone that beeps once a second, for machines that have none.
  '--use-fake-device-for-media-stream',
  '--autoplay-policy=no-user-gesture-required',
  '--disable-renderer-backgrounding',
  '--disable-background-timer-throttling',
  '--disable-backgrounding-occluded-windows',
  // Media from one process of this machine to another; a page may reach servers in the local network.
  '--allow-loopback-in-peer-connection',
  '--disable-features=WebRtcHideLocalIpsWithMdns,LocalNetworkAccessChecks,LocalNetworkAccessChecksWebSockets',
  // From app:// a plain websocket to another machine may be opened; what stands in for it is https, where it may not.
  '--allow-running-insecure-content',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
  '--disable-quic',
  '--disable-gpu',
  '--no-first-run',
  '--window-size=1120,760',
  // Chromium refuses its sandbox to root.
  ...(process.getuid?.() === 0 ? ['--no-sandbox'] : []),
];

let context: BrowserContext | undefined;

export async function startChromium(settings: StandInSettings): Promise<void> {
  const { x, y } = settings.windowPosition;
  await hideCaptureBar(settings.display);
  context = await chromium.launchPersistentContext(settings.profileDir, {
    executablePath: settings.chromiumPath,
    headless: false,
    viewport: null,
    // Whether the page gets it is for the app to say; see session.ts.
    permissions: ['microphone'],
    args: [
      ...CAPTURING_ARGUMENTS,
      `--window-position=${x},${y}`,
      // The launcher connects to the same browser to do what a person does.
      '--remote-debugging-port=0',
    ],
    env: { ...process.env, DISPLAY: settings.display },
  });
  report({ kind: 'started', cdpUrl: await readCdpUrl(settings.profileDir) });
}

/** The page of the first window, which Chromium opens by itself. */
export function firstPage(): Page {
  const page = context?.pages()[0];
  if (!page) throw new Error('The stand-in opens one window, after the app is ready.');
  return page;
}

/** A page in place of one whose renderer is gone: nothing can be done with that one any more. */
export async function openAnotherPage(): Promise<Page> {
  if (!context) throw new Error('Chromium is not running.');
  return context.newPage();
}

export async function closeChromium(): Promise<void> {
  await context?.close().catch(() => undefined);
}

/** Chromium writes the port that it has chosen into its profile. */
async function readCdpUrl(profileDir: string): Promise<string> {
  for (;;) {
    const text = await readFile(join(profileDir, 'DevToolsActivePort'), 'utf8').catch(() => '');
    const [port, path] = text.split('\n');
    if (port && path) return `http://127.0.0.1:${port}`;
    await wait(20);
  }
}
