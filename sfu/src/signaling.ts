import { randomUUID } from 'node:crypto';
import { CodedError, toCloseReason } from '@proofcast/shared';
import type { WebSocket } from 'ws';
import { Connection, type ConnectionOptions } from './connection.ts';

export type SignalingOptions = Omit<ConnectionOptions, 'socket'>;

/** All connections of clients. */
export class Signaling {
  readonly #options: SignalingOptions;
  readonly #connections = new Set<Connection>();
  #isClosed = false;

  constructor(options: SignalingOptions) {
    this.#options = options;
  }

  get connectionCount(): number {
    return this.#connections.size;
  }

  /** Takes over a websocket that was opened just now. */
  accept(socket: WebSocket, remoteAddress: string): void {
    const { limits, log } = this.#options;
    if (this.#isClosed) return refuse(socket, new CodedError('SHUTTING_DOWN', 'The SFU is shutting down.'));
    if (this.#connections.size >= limits.maxConnections) {
      log.warn({ remoteAddress, connections: this.#connections.size }, 'connection refused');
      return refuse(socket, new CodedError('LIMIT_REACHED', 'The SFU has as many connections as it takes.'));
    }
    const connectionLog = log.child({ connectionId: randomUUID() });
    connectionLog.info({ remoteAddress }, 'connection opened');
    const connection = new Connection({ ...this.#options, socket, log: connectionLog });
    this.#connections.add(connection);
    void connection.closed.then(() => this.#connections.delete(connection));
  }

  /** Closes all connections; resolves when their sockets are closed. Idempotent. */
  async close(): Promise<void> {
    this.#isClosed = true;
    const open = [...this.#connections];
    for (const connection of open)
      connection.close(new CodedError('SHUTTING_DOWN', 'The SFU is shutting down.'));
    await Promise.all(open.map(({ closed }) => closed));
  }
}

function refuse(socket: WebSocket, error: CodedError): void {
  socket.close(error.closeCode, toCloseReason(error));
}
