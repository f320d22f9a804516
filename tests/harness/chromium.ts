/** Debian's Chromium, started so that it behaves the same on every machine and talks to nobody but this one. */
import { chromium, type Browser, type LaunchOptions } from 'playwright-core';

export const CHROMIUM_PATH = process.env['CHROMIUM_PATH'] ?? '/usr/bin/chromium';

const QUIET = [
  // One list, because the last one wins. The first belongs to WebRTC between processes of one machine.
  '--disable-features=WebRtcHideLocalIpsWithMdns,AutofillServerCommunication,OptimizationHints,MediaRouter',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
  '--no-first-run',
  '--disable-quic',
  '--disable-gpu',
];
/** Pages in the background must go on drawing and decoding at full rate. */
const UNTHROTTLED = [
  '--disable-renderer-backgrounding',
  '--disable-background-timer-throttling',
  '--disable-backgrounding-occluded-windows',
];
/** WebRTC between processes of one machine. */
const LOOPBACK_WEBRTC = ['--allow-loopback-in-peer-connection'];

/** Chromium refuses to run as root inside its sandbox. */
const sandboxArguments = () => (process.getuid?.() === 0 ? ['--no-sandbox'] : []);

export const chromiumArguments = (): string[] => [
  ...QUIET,
  ...UNTHROTTLED,
  ...LOOPBACK_WEBRTC,
  ...sandboxArguments(),
];

export interface ViewerOptions {
  readonly args?: readonly string[];
  readonly proxy?: NonNullable<LaunchOptions['proxy']>;
  /** What starts Chromium, when it is not started directly. */
  readonly executablePath?: string;
}

/** A headless browser for somebody who looks at the dashboard. */
export function launchViewer(options: ViewerOptions = {}): Promise<Browser> {
  return chromium.launch({
    executablePath: options.executablePath ?? CHROMIUM_PATH,
    headless: true,
    args: [...chromiumArguments(), ...(options.args ?? [])],
    ...(options.proxy ? { proxy: options.proxy } : {}),
  });
}
