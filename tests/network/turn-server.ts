/** A TURN server on the server of a test network, for clients that reach neither UDP nor the SFU's own port. */
import { accessSync, constants } from 'node:fs';
import { delimiter, join } from 'node:path';
import { startInNamespace, type NamespaceProcess } from './namespace-process.ts';
import type { NetNamespace } from './net-namespace.ts';

export interface TurnOptions {
  readonly address: string;
  readonly port: number;
  /** The `static-auth-secret`. */
  readonly secret: string;
}

/** Whether coturn is on this machine: its package would run a server there for good, so nobody installs it for tests. */
export const hasTurnServer = (): boolean => (process.env['PATH'] ?? '').split(delimiter).some(isIn);

function isIn(folder: string): boolean {
  try {
    accessSync(join(folder, 'turnserver'), constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

export function startTurnServer(namespace: NetNamespace, options: TurnOptions): Promise<NamespaceProcess> {
  return startInNamespace(namespace, { file: 'turn-process.ts', options });
}
