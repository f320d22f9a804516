/**
 * Test code: starts the desktop app on the stand-in for `electron`, in a process of its own, and hands out the page of
 * its window to click like a person. Used by the journeys and by the demonstration of `npm start`.
 */
import { spawn, type ChildProcess } from 'node:child_process';
import { EventEmitter, once } from 'node:events';
import { existsSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as wait } from 'node:timers/promises';
import { isProcessAlive, killProcess } from '@proofcast/shared/testing/processes';
import { chromium, type Browser, type CDPSession, type Page } from 'playwright-core';
import { toPageUrl } from './origins.ts';
import type { PowerEvent } from './power-monitor.ts';
import {
  SETTINGS_VARIABLE,
  type StandInCommand,
  type StandInReport,
  type StandInSettings,
} from './settings.ts';

const APP_DIR = join(import.meta.dirname, '../../desktop');

/** A window there covers nothing that is captured, and is drawn all the same. */
export const OFF_SCREEN = { x: 4000, y: 0 };

const APP_URL = toPageUrl('app://proofcast/index.html');

const START_TIMEOUT_MS = 60_000;
const CLOSE_TIMEOUT_MS = 40_000;
const CHROMIUM_END_TIMEOUT_MS = 10_000;
const MAX_LOG_LINES = 2_000;

export interface DesktopApp {
  /** The page of the app's window. */
  readonly page: Page;
  /** Process id of the app's main process. */
  readonly mainPid: number;
  /** What the main process wrote, newest last. */
  readonly log: readonly string[];
  /** Resolves with the exit code when the main process has ended, with null when a signal ended it. */
  readonly exited: Promise<number | null>;
  /** Process ids of the renderers of the app's Chromium. */
  rendererPids(): Promise<number[]>;
  /**
   * kill −9 of the renderers, and of those that follow them in the next `forMs` milliseconds. Resolves when the app shows
   * its page again, which is another `page` then.
   */
  killRenderer(forMs?: number): Promise<void>;
  /** The button that is pressed in each dialog from now on; 0 at the start. */
  answerDialogs(button: number): void;
  /** Texts of the dialogs that were shown so far. */
  readonly dialogs: readonly string[];
  /** Closes the window with the mouse; the app may ask, see `answerDialogs`. */
  closeWindow(): void;
  /** What is captured goes away, as a window that is closed. */
  endCapture(): void;
  /** The system says that the device sleeps, is awake, is locked or unlocked. */
  power(event: PowerEvent): void;
  /** kill −9 of the main process. Resolves when nothing of the app is left. */
  kill(): Promise<void>;
  /** Stops sharing, quits, and resolves when nothing of the app is left. Idempotent. */
  close(): Promise<void>;
}

/** The network that the app runs in, when it is not that of this process. */
export interface AppNetwork {
  /** A program and its arguments by which the app is run there; it has to become the app's process. */
  readonly prefix: readonly string[];
  /** The address under which this process reaches a port of the loopback device there. */
  reach(port: number): Promise<string>;
}

export async function launchDesktop(options: {
  /** X display to capture from, such as `:99`. */
  display: string;
  userDataDir: string;
  chromiumPath?: string;
  windowPosition?: { x: number; y: number };
  env?: Record<string, string>;
  network?: AppNetwork;
}): Promise<DesktopApp> {
  if (!existsSync(join(APP_DIR, 'dist', 'preload.cjs'))) {
    throw new Error('The desktop app is not built: run `npm run --workspace desktop build` first.');
  }
  const profileDir = await mkdtemp(join(tmpdir(), 'proofcast-stand-in-'));
  const settings: StandInSettings = {
    display: options.display,
    chromiumPath: options.chromiumPath ?? process.env['CHROMIUM_PATH'] ?? '/usr/bin/chromium',
    profileDir,
    userDataDir: options.userDataDir,
    appDir: APP_DIR,
    windowPosition: options.windowPosition ?? OFF_SCREEN,
  };
  const register = join(import.meta.dirname, 'register.ts');
  const program = [process.execPath, '--import', register, join(APP_DIR, 'src', 'main', 'main.ts')];
  const command = [...(options.network?.prefix ?? []), ...program];
  const main = spawn(command[0]!, command.slice(1), {
    env: { ...process.env, ...options.env, [SETTINGS_VARIABLE]: JSON.stringify(settings) },
    stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
  });
  const running = new RunningApp(main, profileDir, options.network);
  try {
    await running.connect();
    return running;
  } catch (error) {
    await running.kill();
    throw new Error(`The desktop app did not start:\n${running.log.slice(-30).join('\n')}`, { cause: error });
  }
}

class RunningApp implements DesktopApp {
  readonly log: string[] = [];
  readonly dialogs: string[] = [];
  readonly exited: Promise<number | null>;
  readonly #main: ChildProcess;
  readonly #profileDir: string;
  readonly #network: AppNetwork | undefined;
  readonly #reports = new EventEmitter<{ started: [cdpUrl: string] }>();
  #browser: Browser | undefined;
  #devTools: CDPSession | undefined;
  #page: Page | undefined;
  #chromiumPid: number | undefined;
  #cleaning: Promise<void> | undefined;

  constructor(main: ChildProcess, profileDir: string, network: AppNetwork | undefined) {
    this.#main = main;
    this.#profileDir = profileDir;
    this.#network = network;
    this.exited = once(main, 'exit').then(([code]) => code as number | null);
    for (const stream of [main.stdout, main.stderr]) {
      if (stream) createInterface({ input: stream }).on('line', (line) => this.#onLine(line));
    }
    main.on('message', (report: StandInReport) => {
      if (report.kind === 'started') this.#reports.emit('started', report.cdpUrl);
      else this.dialogs.push(report.message);
    });
  }

  get page(): Page {
    if (!this.#page) throw new Error('The window of the app is not open yet.');
    return this.#page;
  }

  get mainPid(): number {
    return this.#main.pid ?? 0;
  }

  /** Connects to the app's Chromium and waits for its window. */
  async connect(): Promise<void> {
    const signal = AbortSignal.timeout(START_TIMEOUT_MS);
    const [cdpUrl] = (await Promise.race([
      once(this.#reports, 'started', { signal }),
      this.exited.then((code) => Promise.reject(new Error(`The main process ended with ${code}.`))),
    ])) as [string];
    const reached = await this.#network?.reach(Number(new URL(cdpUrl).port));
    this.#browser = await chromium.connectOverCDP(reached ?? cdpUrl);
    this.#devTools = await this.#browser.newBrowserCDPSession();
    this.#chromiumPid = (await this.#processes()).find(({ type }) => type === 'browser')?.id;
    const page = this.#browser.contexts()[0]?.pages()[0];
    if (!page) throw new Error('Chromium has no window.');
    await page.waitForURL(APP_URL, { timeout: START_TIMEOUT_MS });
    this.#page = page;
  }

  async rendererPids(): Promise<number[]> {
    return (await this.#processes()).filter(({ type }) => type === 'renderer').map(({ id }) => id);
  }

  async killRenderer(forMs = 0): Promise<void> {
    const context = this.page.context();
    const opened: Page[] = [];
    const onPage = (page: Page) => opened.push(page);
    context.on('page', onPage);
    try {
      const endMs = Date.now() + forMs;
      do {
        for (const pid of await this.rendererPids()) if (isProcessAlive(pid)) killProcess(pid);
      } while (Date.now() < endMs);
      for (;;) {
        if (opened.length === 0) await context.waitForEvent('page', { timeout: START_TIMEOUT_MS });
        const page = opened.shift()!;
        // A page may be given a renderer that Chromium kept in reserve, and that was killed with the others.
        if (!(await showsApp(page))) continue;
        this.#page = page;
        return;
      }
    } finally {
      context.off('page', onPage);
    }
  }

  answerDialogs(button: number): void {
    this.#command({ kind: 'answer-dialogs', button });
  }

  closeWindow(): void {
    this.#command({ kind: 'close-window' });
  }

  endCapture(): void {
    this.#command({ kind: 'end-capture' });
  }

  power(event: PowerEvent): void {
    this.#command({ kind: 'power', event });
  }

  async kill(): Promise<void> {
    this.#main.kill('SIGKILL');
    await this.#cleanUp();
  }

  async close(): Promise<void> {
    if (this.#main.connected) {
      this.answerDialogs(0);
      this.#command({ kind: 'quit' });
      const isLate = await Promise.race([
        this.exited.then(() => false),
        wait(CLOSE_TIMEOUT_MS, true, { ref: false }),
      ]);
      if (isLate) this.#main.kill('SIGKILL');
    }
    await this.#cleanUp();
  }

  #onLine(line: string): void {
    this.log.push(line);
    if (this.log.length > MAX_LOG_LINES) this.log.shift();
  }

  #command(command: StandInCommand): void {
    if (this.#main.connected) this.#main.send(command);
  }

  async #processes(): Promise<{ type: string; id: number }[]> {
    const answer = await this.#devTools?.send('SystemInfo.getProcessInfo');
    return answer?.processInfo ?? [];
  }

  #cleanUp(): Promise<void> {
    this.#cleaning ??= (async () => {
      await this.exited;
      await this.#browser?.close().catch(() => undefined);
      if (this.#chromiumPid !== undefined) await waitForEnd(this.#chromiumPid);
      await rm(this.#profileDir, { recursive: true, force: true, maxRetries: 5 });
    })();
    return this.#cleaning;
  }
}

/** False when it has crashed, or does so meanwhile. */
async function showsApp(page: Page): Promise<boolean> {
  try {
    await page.waitForURL(APP_URL, { timeout: START_TIMEOUT_MS });
    // A page that is gone still has its address.
    await page.evaluate(() => undefined);
    return true;
  } catch {
    return false;
  }
}

/** Chromium ends by itself when the pipe to its main process breaks; one that does not is killed. */
async function waitForEnd(pid: number): Promise<void> {
  const deadlineMs = Date.now() + CHROMIUM_END_TIMEOUT_MS;
  while (isProcessAlive(pid)) {
    if (Date.now() > deadlineMs) killProcess(pid);
    await wait(50);
  }
}
