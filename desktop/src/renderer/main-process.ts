/** The main process as the page sees it: typed requests that throw coded errors, and events. */
import { fromErrorBody } from '@proofcast/shared';
import type {
  IpcEventData,
  IpcEventName,
  IpcParams,
  IpcRequestName,
  IpcResult,
  ProofcastBridge,
} from '../ipc.ts';

declare global {
  interface Window {
    /** Put there by the preload script. */
    readonly proofcast: ProofcastBridge;
  }
}

/** Throws the coded error with which the main process refuses. */
export async function ask<N extends IpcRequestName>(name: N, params: IpcParams<N>): Promise<IpcResult<N>> {
  const answer = await window.proofcast.request(name, params);
  if (answer.ok) return answer.result;
  throw fromErrorBody(answer.error);
}

/** Returns the function that ends the subscription. */
export function onEvent<N extends IpcEventName>(
  name: N,
  listener: (data: IpcEventData<N>) => void,
): () => void {
  return window.proofcast.on(name, listener);
}
