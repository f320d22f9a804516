/** Answers the requests of the contract: checks who asks, checks what is asked, and sends errors as values. */
import { CodedError, parseWith, toCodedError } from '@proofcast/shared';
import type { Logger } from 'pino';
import {
  channelOf,
  IPC_REQUESTS,
  type IpcAnswer,
  type IpcParams,
  type IpcRequestName,
  type IpcResult,
} from '../ipc.ts';
import { requireTrustedSender, type IpcSender } from './trusted-sender.ts';

export type IpcHandlers = {
  readonly [N in IpcRequestName]: (params: IpcParams<N>) => Promise<IpcResult<N>> | IpcResult<N>;
};

/** What is used of Electron's `ipcMain`. */
export interface IpcMainLike {
  handle(channel: string, listener: (event: IpcSender, params: unknown) => Promise<unknown>): void;
  removeHandler(channel: string): void;
}

/** Returns the function that ends the service. `webContents` tells whose page is ours at the moment. */
export function serveIpc(options: {
  ipcMain: IpcMainLike;
  webContents: () => unknown;
  handlers: IpcHandlers;
  log: Logger;
}): () => void {
  const { ipcMain, webContents, handlers, log } = options;
  const names = Object.keys(IPC_REQUESTS) as IpcRequestName[];
  for (const name of names) {
    ipcMain.handle(channelOf(name), async (event, params): Promise<IpcAnswer<unknown>> => {
      try {
        requireTrustedSender(event, webContents());
        const handle = handlers[name] as (params: unknown) => unknown;
        const parsed = parseWith(IPC_REQUESTS[name].params, params, `the request ${name}`);
        return { ok: true, result: await handle(parsed) };
      } catch (error) {
        if (error instanceof CodedError) log.info({ request: name, code: error.code }, 'request refused');
        else log.error({ request: name, err: error }, 'request failed');
        return { ok: false, error: toCodedError(error).toBody() };
      }
    });
  }
  return () => names.forEach((name) => ipcMain.removeHandler(channelOf(name)));
}
