/** The one window: sandboxed, isolated, and unable to show anything but our own page. */
import { BrowserWindow } from 'electron';

export function createWindow(preloadPath: string): BrowserWindow {
  const window = new BrowserWindow({
    title: 'Proofcast',
    width: 1120,
    height: 760,
    minWidth: 360,
    minHeight: 480,
    show: false,
    backgroundColor: '#10151c',
    webPreferences: {
      preload: preloadPath,
      sandbox: true,
      contextIsolation: true,
      nodeIntegration: false,
      webviewTag: false,
      spellcheck: false,
      // Capture goes on while the window is covered or minimised.
      backgroundThrottling: false,
    },
  });
  const { webContents } = window;
  webContents.setWindowOpenHandler(() => ({ action: 'deny' }));
  webContents.on('will-navigate', (event) => event.preventDefault());
  webContents.on('will-frame-navigate', (event) => event.preventDefault());
  webContents.on('will-attach-webview', (event) => event.preventDefault());
  window.once('ready-to-show', () => window.show());
  return window;
}
