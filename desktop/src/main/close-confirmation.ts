/** Closing the window while something is shared: asks, then stops in an orderly way, then closes. */
import { dialog, type BrowserWindow } from 'electron';
import type { Sharing } from './sharing.ts';

const STOP = 0;
const KEEP = 1;

export function confirmClosing(options: {
  window: BrowserWindow;
  sharing: Sharing;
  /** Asks the page to stop; `sharing` tells when it has. */
  requestStop: () => void;
  /** Resolves when the recording has left this disk, or after the time given. */
  whenUploaded: (timeoutMs: number) => Promise<void>;
  timeoutMs: number;
}): void {
  const { window, sharing, requestStop, whenUploaded, timeoutMs } = options;
  let isAsking = false;
  const ask = async (): Promise<void> => {
    const { response } = await dialog.showMessageBox(window, {
      type: 'question',
      title: 'Proofcast',
      message: 'Your screen is being shared.',
      detail: 'Sharing stops when Proofcast closes. What is recorded so far is kept.',
      buttons: ['Stop sharing and close', 'Keep sharing'],
      defaultId: KEEP,
      cancelId: KEEP,
    });
    if (response !== STOP) return;
    // Also for a page that has crashed and is just being loaded again.
    sharing.announceStop();
    requestStop();
    await sharing.whenEnded(timeoutMs);
    // What is not confirmed by then stays in the spool and is uploaded after the next start.
    await whenUploaded(timeoutMs);
    if (!window.isDestroyed()) window.destroy();
  };
  window.on('close', (event) => {
    if (!sharing.isActive) return;
    event.preventDefault();
    if (isAsking) return;
    isAsking = true;
    void ask().finally(() => {
      isAsking = false;
    });
  });
}
