/** A page that crashed is loaded again, so that a share goes on and the window does not stay blank. */
import { createReconnectPolicy, type ReconnectLimits } from '@proofcast/shared';
import type { BrowserWindow } from 'electron';
import type { Logger } from 'pino';

export interface RendererRevival {
  /** The page works: it delivers what it captures, or a person uses it. The next crash is mended at once again. */
  onProof(): void;
  /** Idempotent. */
  close(): void;
}

/** A page that crashes again and again is loaded again with growing delays, and for ever. `onGone` does not reject. */
export function reviveRenderer(options: {
  window: BrowserWindow;
  limits: ReconnectLimits;
  log: Logger;
  onGone: () => Promise<void>;
}): RendererRevival {
  const { window, limits, log, onGone } = options;
  const policy = createReconnectPolicy(limits);
  let isProven = true;
  let timer: NodeJS.Timeout | undefined;
  window.webContents.on('render-process-gone', (_event, { reason, exitCode }) => {
    if (reason === 'clean-exit') return;
    const delayMs = isProven ? 0 : policy.nextDelayMs();
    isProven = false;
    log.error({ reason, exitCode, delayMs }, 'the page crashed; it is loaded again');
    // Its share is written down as interrupted before another page asks for it.
    void onGone().then(() => {
      clearTimeout(timer);
      timer = setTimeout(() => {
        if (!window.isDestroyed()) window.webContents.reload();
      }, delayMs);
    });
  });
  return {
    onProof() {
      isProven = true;
      policy.reset();
    },
    close: () => clearTimeout(timer),
  };
}
