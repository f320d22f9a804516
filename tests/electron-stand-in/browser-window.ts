/** Test code: the window of the app, which is the window that Chromium has opened. */
import { EventEmitter } from 'node:events';
import { app } from './app.ts';
import { firstPage } from './chromium.ts';
import { preventable } from './preventable.ts';
import { WebContents } from './web-contents.ts';
import { openWindows } from './windows.ts';

interface WindowOptions {
  webPreferences: { preload: string; sandbox: true; contextIsolation: true; nodeIntegration: false };
}

export class BrowserWindow extends EventEmitter {
  readonly webContents: WebContents;
  #isDestroyed = false;

  constructor({ webPreferences }: WindowOptions) {
    super();
    this.webContents = new WebContents(firstPage(), webPreferences.preload, () => this.#onClosed());
    openWindows.add(this);
  }

  async loadURL(url: string): Promise<void> {
    await this.webContents.load(url);
    this.emit('ready-to-show');
  }

  getMediaSourceId(): string {
    return 'window:1:0';
  }

  /** What a person does: the app may object. */
  close(): void {
    const event = preventable();
    this.emit('close', event);
    if (!event.defaultPrevented) this.destroy();
  }

  destroy(): void {
    this.#onClosed();
  }

  isDestroyed(): boolean {
    return this.#isDestroyed;
  }

  isMinimized(): boolean {
    return false;
  }

  show(): void {}
  restore(): void {}

  focus(): void {
    this.webContents.bringToFront();
  }

  #onClosed(): void {
    if (this.#isDestroyed) return;
    this.#isDestroyed = true;
    openWindows.delete(this);
    this.emit('closed');
    // Chromium ends with its last window, and this process ends Chromium; so the page is closed with it.
    if (openWindows.size === 0) app.onAllWindowsClosed();
  }
}
