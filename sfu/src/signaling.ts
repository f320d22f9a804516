import { randomUUID } from 'node:crypto';
import { CodedError, toCloseReason } from '@proofcast/shared';
import type { Logger } from 'pino';
import type { WebSocket } from 'ws';
import type { SfuLimits } from './config.ts';
import { Connection } from './connection.ts';
import type { LiveStreams } from './live-streams.ts';
import type { Grant } from './tokens.ts';

export interface SignalingOptions {
  readonly verifyToken: (token: string) => Promise<Grant>;
  readonly streams: LiveStreams;
  readonly limits: SfuLimits;
  readonly log: Logger;
}

/** All connections of clients. */
export class Signaling {
  readonly #options: SignalingOptions;
  readonly #connections = new Set<Connection>();
  #isClosed = false;

  constructor(options: SignalingOptions) {
    this.#options = options;
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
