/** Decides what `getDisplayMedia` captures: the source that the page has named before, once, and nothing else. */
import type { BrowserWindow, Session } from 'electron';
import { APP_ORIGIN } from '../ipc.ts';
import type { Sharing } from './sharing.ts';

export function handDisplayMedia(options: {
  session: Session;
  window: BrowserWindow;
  sharing: Sharing;
}): void {
  const { session, window, sharing } = options;
  session.setDisplayMediaRequestHandler(({ frame, videoRequested }, callback) => {
    const isOurs =
      frame !== null &&
      !window.isDestroyed() &&
      frame.origin === APP_ORIGIN &&
      frame.frameTreeNodeId === window.webContents.mainFrame.frameTreeNodeId;
    const id = isOurs && videoRequested ? sharing.takeSource() : null;
    callback(id === null ? null : { video: { id, name: '' } });
  });
}
