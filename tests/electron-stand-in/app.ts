/** Test code: the life of the app, from the start of Chromium to the end of the process. */
import { EventEmitter } from 'node:events';
import { closeSync, openSync, readFileSync, rmSync, writeSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { closeChromium, startChromium } from './chromium.ts';
import { listenToLauncher } from './launcher-channel.ts';
import { powerMonitor } from './power-monitor.ts';
import { preventable } from './preventable.ts';
import { readSettings } from './settings.ts';
import { openWindows } from './windows.ts';

/** A signal that nobody else uses: another instance of the app asks the first one to show itself. */
const SECOND_INSTANCE_SIGNAL = 'SIGUSR2';

const settings = readSettings();

class StandInApp extends EventEmitter {
  readonly #ready: Promise<void>;
  #isQuitting = false;

  constructor() {
    super();
    this.#ready = startChromium(settings);
    process.on('SIGTERM', () => this.quit());
    process.on('SIGINT', () => this.quit());
    listenToLauncher({
      quit: () => this.quit(),
      closeWindow: () => openWindows.values().next().value?.close(),
      endCapture: () => openWindows.values().next().value?.webContents.endCapture(),
      power: (event) => powerMonitor.emit(event),
    });
  }

  whenReady(): Promise<void> {
    return this.#ready;
  }

  getAppPath(): string {
    return settings.appDir;
  }

  getPath(name: 'userData'): string {
    if (name !== 'userData') throw new Error(`The stand-in has no path ${String(name)}.`);
    return settings.userDataDir;
  }

  /** Chromium has its sandbox for every page; as root it has none at all. */
  enableSandbox(): void {}

  /** A file with the number of the process; the lock of a process that is gone is taken over. */
  requestSingleInstanceLock(): boolean {
    mkdirSync(settings.userDataDir, { recursive: true });
    const path = join(settings.userDataDir, 'single-instance.lock');
    const holder = readHolder(path);
    if (holder !== null && holder !== process.pid && signal(holder, SECOND_INSTANCE_SIGNAL)) return false;
    rmSync(path, { force: true });
    const file = openSync(path, 'wx');
    writeSync(file, String(process.pid));
    closeSync(file);
    process.on(SECOND_INSTANCE_SIGNAL, () => this.emit('second-instance', {}, [], settings.userDataDir));
    return true;
  }

  /** Closes all windows, each of which may object; then `will-quit`, to which somebody may object too. */
  quit(): void {
    if (this.#isQuitting) return;
    this.#isQuitting = true;
    for (const window of openWindows) window.close();
    if (openWindows.size > 0) this.#isQuitting = false;
    else this.#willQuit();
  }

  exit(code: number): void {
    process.exitCode = code;
    void closeChromium().finally(() => process.exit(code));
  }

  /** Called by the windows. */
  onAllWindowsClosed(): void {
    if (this.#isQuitting) return;
    if (this.listenerCount('window-all-closed') > 0) this.emit('window-all-closed');
    else this.quit();
  }

  #willQuit(): void {
    const event = preventable();
    this.emit('will-quit', event);
    if (!event.defaultPrevented) this.exit(0);
  }
}

export const app = new StandInApp();

function readHolder(path: string): number | null {
  try {
    // A process that was killed while it wrote leaves nothing; zero would be this whole group of processes.
    return Number(readFileSync(path, 'utf8')) || null;
  } catch {
    return null;
  }
}

/** Whether there is a process that took the signal. */
function signal(pid: number, name: NodeJS.Signals): boolean {
  try {
    return process.kill(pid, name);
  } catch {
    return false;
  }
}
