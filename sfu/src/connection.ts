/**
 * One websocket of one client: what frames it may send and how many, who it is, and how long. What an authenticated
 * client then does is for its `Peer`.
 */
import {
  CodedError,
  RpcServer,
  SFU_NOTIFICATIONS,
  SFU_REQUESTS,
  toCloseReason,
  type RequestHandlers,
} from '@proofcast/shared';
import type { Logger } from 'pino';
import type { WebSocket } from 'ws';
import type { SfuLimits } from './config.ts';
import type { LiveStreams } from './live-streams.ts';
import { Peer } from './peer.ts';
import { RequestBudget } from './request-budget.ts';
import { requireSameBearer, type Grant } from './tokens.ts';

export interface ConnectionOptions {
  readonly socket: WebSocket;
  readonly verifyToken: (token: string) => Promise<Grant>;
  readonly streams: LiveStreams;
  readonly limits: SfuLimits;
  readonly log: Logger;
}

type State =
  | { readonly kind: 'unauthenticated'; readonly timer: NodeJS.Timeout }
  | { readonly kind: 'authenticated'; readonly grant: Grant; readonly peer: Peer; readonly timer: NodeJS.Timeout }
  | { readonly kind: 'closed' };

/** `setTimeout` takes 31 bits of milliseconds, which is 24 days. */
const MAX_TIMER_MS = 2 ** 31 - 1;

export class Connection {
  readonly #options: ConnectionOptions;
  readonly #rpc: RpcServer<typeof SFU_REQUESTS, typeof SFU_NOTIFICATIONS>;
  readonly #budget: RequestBudget;
  readonly #heartbeat: NodeJS.Timeout;
  #state: State;
  #log: Logger;
  #pendingRequests = 0;
  #isAlive = true;

  /** Listens at once: messages that come before a listener are lost. */
  constructor(options: ConnectionOptions) {
    const { socket, limits, log } = options;
    this.#options = options;
    this.#log = log;
    this.#rpc = new RpcServer({
      requests: SFU_REQUESTS,
      notifications: SFU_NOTIFICATIONS,
      send: (text) => this.#send(text),
      handlers: this.#handlers(),
      onFailure: (method, err) => this.#log.error({ err, method }, 'request failed unexpectedly'),
    });
    this.#budget = new RequestBudget({ burst: limits.requestBurst, perSecond: limits.requestsPerSecond }, performance.now());
    this.#heartbeat = setInterval(() => this.#beat(), limits.heartbeatIntervalMs);
    const timer = setTimeout(() => this.#refuseSilence(), limits.authenticationTimeoutMs);
    this.#state = { kind: 'unauthenticated', timer };
    socket.on('message', (data, isBinary) => void this.#receive(data, isBinary));
    socket.on('pong', () => (this.#isAlive = true));
    socket.on('close', (closeCode) => this.#closed(closeCode));
  }

  /** Leaves all streams and says goodbye with the code of `error`. Idempotent. */
  close(error: CodedError): void {
    if (this.#state.kind === 'closed') return;
    this.#log.info({ code: error.code, reason: error.message }, 'closing connection');
    this.#end();
    const { socket, limits } = this.#options;
    socket.close(error.closeCode, toCloseReason(error));
    // A client that does not answer the close frame is not waited for.
    const timer = setTimeout(() => socket.terminate(), limits.closeTimeoutMs);
    socket.once('close', () => clearTimeout(timer));
  }
}
