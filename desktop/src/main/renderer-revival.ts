/** A page that crashed ends its share and is loaded again: the window must not stay blank. */
import type { BrowserWindow } from 'electron';
import type { Logger } from 'pino';

/** A page that lives shorter than this would only crash again. */
const MIN_LIFE_MS = 10_000;

export function reviveRenderer(options: { window: BrowserWindow; log: Logger; onGone: () => void }): void {
  const { window, log, onGone } = options;
  let loadedAtMs = performance.now();
  window.webContents.on('did-finish-load', () => {
    loadedAtMs = performance.now();
  });
  window.webContents.on('render-process-gone', (_event, { reason, exitCode }) => {
    if (reason === 'clean-exit') return;
    log.error({ reason, exitCode }, 'the page crashed; its share has ended');
    onGone();
    if (window.isDestroyed()) return;
    if (performance.now() - loadedAtMs > MIN_LIFE_MS) window.webContents.reload();
    else window.destroy();
  });
}
