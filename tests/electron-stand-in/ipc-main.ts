/** Test code: requests from pages to the handlers of the main process. */
import type { Frame } from 'playwright-core';
import type { WebContents } from './web-contents.ts';
import { originOf, toAppUrl } from './origins.ts';

/** What the app may see of a frame. */
export interface StandInFrame {
  readonly url: string;
  readonly origin: string;
  readonly parent: StandInFrame | null;
  readonly frameTreeNodeId: number;
}

interface InvokeEvent {
  readonly sender: WebContents;
  readonly senderFrame: StandInFrame | null;
}

type Handler = (event: InvokeEvent, ...args: unknown[]) => unknown;

/** Errors cross as their text alone, as in Electron. */
export type InvokeAnswer = { ok: true; result: unknown } | { ok: false; error: string };

const handlers = new Map<string, Handler>();
const frameIds = new WeakMap<Frame, number>();
let nextFrameId = 1;

export const ipcMain = {
  handle(channel: string, handler: Handler): void {
    if (handlers.has(channel)) throw new Error(`Attempted to register a second handler for '${channel}'`);
    handlers.set(channel, handler);
  },
  removeHandler(channel: string): void {
    handlers.delete(channel);
  },
};

export async function answerInvoke(
  sender: WebContents,
  frame: Frame,
  channel: string,
  args: unknown[],
): Promise<InvokeAnswer> {
  try {
    const handler = handlers.get(channel);
    if (!handler) throw new Error(`No handler registered for '${channel}'`);
    return {
      ok: true,
      result: structuredClone(await handler({ sender, senderFrame: describeFrame(frame) }, ...args)),
    };
  } catch (error) {
    return { ok: false, error: String(error) };
  }
}

export function describeFrame(frame: Frame): StandInFrame {
  const url = toAppUrl(frame.url());
  const parent = frame.parentFrame();
  const frameTreeNodeId = frameIds.get(frame) ?? nextFrameId++;
  frameIds.set(frame, frameTreeNodeId);
  return { url, origin: originOf(url), parent: parent && describeFrame(parent), frameTreeNodeId };
}
