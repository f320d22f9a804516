/** A page that crashed ends its share and is loaded again: the window must not stay blank. */
import type { BrowserWindow } from 'electron';
import type { Logger } from 'pino';

/** A page that crashes twice within this time would only crash again: the window is closed. */
const MIN_INTERVAL_MS = 30_000;

export function reviveRenderer(options: { window: BrowserWindow; log: Logger; onGone: () => void }): void {
  const { window, log, onGone } = options;
  let lastCrashMs = Number.NEGATIVE_INFINITY;
  window.webContents.on('render-process-gone', (_event, { reason, exitCode }) => {
    if (reason === 'clean-exit') return;
    log.error({ reason, exitCode }, 'the page crashed; its share has ended');
    onGone();
    const sinceLastMs = performance.now() - lastCrashMs;
    lastCrashMs = performance.now();
    if (window.isDestroyed()) return;
    if (sinceLastMs > MIN_INTERVAL_MS) window.webContents.reload();
    else window.destroy();
  });
}
