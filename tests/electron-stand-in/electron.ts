/**
 * Test code: the stand-in for the `electron` module. The real main process of the desktop app runs on it in Node, its
 * real preload script and pages in Debian's Chromium, and what it captures is a real X screen. It has what the app
 * uses and nothing more.
 */
import { app } from './app.ts';

export { app };
export { BrowserWindow } from './browser-window.ts';
export { desktopCapturer } from './desktop-capturer.ts';
export { dialog } from './dialog.ts';
export { ipcMain } from './ipc-main.ts';
export { powerMonitor } from './power-monitor.ts';
export { protocol } from './protocol.ts';
export { safeStorage } from './safe-storage.ts';
export { session } from './session.ts';

/** Chromium's own menu is not shown in the window of an app. */
export const Menu = { setApplicationMenu: (_menu: null): void => undefined };
