/** Whose requests the main process answers: the main frame of our own window, while it shows our own page. */
import { CodedError } from '@proofcast/shared';
import { APP_ORIGIN } from '../ipc.ts';

/** What is used of Electron's `IpcMainInvokeEvent`. */
export interface IpcSender {
  readonly sender: unknown;
  readonly senderFrame: { readonly origin: string; readonly parent: unknown } | null;
}

/** Throws `ORIGIN_REFUSED` unless the request comes from the main frame of `webContents` and from our own origin. */
export function requireTrustedSender({ sender, senderFrame }: IpcSender, webContents: unknown): void {
  // The frame is null when it has gone or has navigated since it asked.
  const isOurFrame = sender === webContents && senderFrame !== null && senderFrame.parent === null;
  if (isOurFrame && senderFrame.origin === APP_ORIGIN) return;
  const from = senderFrame === null ? 'a frame that is gone' : `a frame of ${senderFrame.origin}`;
  throw new CodedError('ORIGIN_REFUSED', `Cannot answer ${from}: only the page of this app may ask.`);
}
