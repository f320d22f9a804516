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
  toCodedError,
  type RequestHandlers,
  type ResultOf,
} from '@proofcast/shared';
import type { Logger } from 'pino';
import type { RawData, WebSocket } from 'ws';
import type { SfuLimits } from './config.ts';
import type { LiveStreams } from './live-streams.ts';
import { Peer } from './peer.ts';
import { RequestBudget } from './request-budget.ts';
import { requireSameBearer, type Grant } from './tokens.ts';
import type { TurnCredentials } from './turn-credentials.ts';

export interface ConnectionOptions {
  readonly socket: WebSocket;
  readonly verifyToken: (token: string) => Promise<Grant>;
  readonly streams: LiveStreams;
  readonly turn: TurnCredentials;
  readonly limits: SfuLimits;
  readonly log: Logger;
}

type AuthenticateAnswer = ResultOf<typeof SFU_REQUESTS, 'authenticate'>;

type State =
  | { readonly kind: 'unauthenticated'; readonly timer: NodeJS.Timeout }
  | {
      readonly kind: 'authenticated';
      readonly grant: Grant;
      readonly peer: Peer;
      readonly timer: NodeJS.Timeout;
    }
  | { readonly kind: 'closed' };

/** `setTimeout` takes 31 bits of milliseconds, which is 24 days. */
const MAX_TIMER_MS = 2 ** 31 - 1;

export class Connection {
  /** Resolves when the websocket is closed, by whichever side. */
  readonly closed: Promise<void>;
  readonly #options: ConnectionOptions;
  readonly #rpc: RpcServer<typeof SFU_REQUESTS, typeof SFU_NOTIFICATIONS>;
  readonly #budget: RequestBudget;
  readonly #heartbeat: NodeJS.Timeout;
  #state: State;
  #log: Logger;
  #pendingRequests = 0;
  #isAlive = true;

  /** Listens at once: messages that come before there is a listener are lost. */
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
    const { requestBurst: burst, requestsPerSecond: perSecond } = limits;
    this.#budget = new RequestBudget({ burst, perSecond }, performance.now());
    this.#heartbeat = setInterval(() => this.#beat(), limits.heartbeatIntervalMs);
    const timer = setTimeout(() => this.#endSilence(), limits.authenticationTimeoutMs);
    this.#state = { kind: 'unauthenticated', timer };
    this.closed = new Promise((resolve) => socket.once('close', () => resolve()));
    socket.on('message', (data, isBinary) => void this.#receive(data, isBinary));
    socket.on('pong', () => (this.#isAlive = true));
    socket.on('error', (error) => this.#fail(error));
    socket.on('close', (closeCode) => this.#end({ closeCode }));
  }

  /** Leaves all streams and says goodbye with the code of `error`. Idempotent. */
  close(error: CodedError): void {
    if (!this.#end({ code: error.code, reason: error.message })) return;
    this.#options.socket.close(error.closeCode, toCloseReason(error));
    this.#terminateSoon();
  }

  /** Whether this call was the one that ended it. */
  #end(why: Readonly<Record<string, unknown>>): boolean {
    const state = this.#state;
    if (state.kind === 'closed') return false;
    this.#state = { kind: 'closed' };
    clearInterval(this.#heartbeat);
    clearTimeout(state.timer);
    if (state.kind === 'authenticated') state.peer.close();
    this.#log.info(why, 'connection closed');
    return true;
  }

  /** ws has sent a close frame that says what was wrong, such as 1009 for a frame that is too large. */
  #fail(error: Error): void {
    if (this.#end({ reason: error.message })) this.#terminateSoon();
  }

  /** A client that does not answer the close frame is not waited for. */
  #terminateSoon(): void {
    const { socket, limits } = this.#options;
    const timer = setTimeout(() => socket.terminate(), limits.closeTimeoutMs);
    socket.once('close', () => clearTimeout(timer));
  }

  #endSilence(): void {
    const { authenticationTimeoutMs } = this.#options.limits;
    this.close(
      new CodedError('UNAUTHENTICATED', `No valid token came within ${authenticationTimeoutMs} ms.`),
    );
  }

  #beat(): void {
    const { socket } = this.#options;
    if (!this.#isAlive) return socket.terminate();
    this.#isAlive = false;
    socket.ping();
  }

  async #receive(data: RawData, isBinary: boolean): Promise<void> {
    if (this.#state.kind === 'closed') return;
    const { maxPendingRequests } = this.#options.limits;
    if (!this.#budget.take(performance.now()) || this.#pendingRequests >= maxPendingRequests) {
      return this.close(new CodedError('LIMIT_REACHED', 'The client sends more requests than are allowed.'));
    }
    if (isBinary || !Buffer.isBuffer(data)) {
      return this.close(new CodedError('MESSAGE_INVALID', 'Cannot accept the frame: it is not text.'));
    }
    const text = data.toString('utf8');
    this.#pendingRequests += 1;
    try {
      await this.#rpc.receive(text);
    } catch (error) {
      this.#refuse(text, toCodedError(error));
    } finally {
      this.#pendingRequests -= 1;
    }
  }

  /** Answers a frame that is no request, when it says to which number an answer belongs. */
  #refuse(text: string, error: CodedError): void {
    const id = readRequestId(text);
    if (id === undefined) this.close(error);
    else this.#send(JSON.stringify({ id, error: error.toBody() }));
  }

  #send(text: string): void {
    const { socket, limits } = this.#options;
    if (this.#state.kind === 'closed') return;
    if (socket.bufferedAmount > limits.maxUnsentBytes) {
      return this.close(new CodedError('LIMIT_REACHED', 'The client does not take what is sent to it.'));
    }
    socket.send(text);
  }

  #handlers(): RequestHandlers<typeof SFU_REQUESTS> {
    return {
      authenticate: ({ token }) => this.#authenticate(token),
      publish: ({ streamId }) => this.#peer().publish(streamId),
      produce: async ({ streamId, kind, rtpParameters }) => ({
        producerId: await this.#peer().produce(streamId, kind, rtpParameters),
      }),
      view: ({ streamId, ...wish }) => this.#peer().view(streamId, wish),
      consume: async ({ streamId, rtpCapabilities }) => ({
        consumers: await this.#peer().consume(streamId, rtpCapabilities),
      }),
      resumeConsumer: async ({ streamId, consumerId }) => {
        await this.#peer().resumeConsumer(streamId, consumerId);
        return {};
      },
      prefer: async ({ streamId, preference }) => {
        await this.#peer().prefer(streamId, preference);
        return {};
      },
      report: ({ readings }) => {
        this.#peer().report(readings);
        return {};
      },
      reportSending: async ({ streamId, delayMs }) => {
        await this.#peer().reportSending(streamId, delayMs);
        return {};
      },
      connectTransport: async ({ transportId, dtlsParameters }) => {
        await this.#peer().connectTransport(transportId, dtlsParameters);
        return {};
      },
      restartIce: async ({ transportId }) => ({
        iceParameters: await this.#peer().restartIce(transportId),
      }),
      closeTransport: ({ transportId }) => {
        this.#peer().closeTransport(transportId);
        return {};
      },
      leave: async ({ streamId }) => {
        await this.#peer().leave(streamId);
        return {};
      },
    };
  }

  #peer(): Peer {
    if (this.#state.kind === 'authenticated') return this.#state.peer;
    throw new CodedError('UNAUTHENTICATED', 'Cannot answer the request: authenticate first.');
  }

  /** The first token must be good; a later one that is not leaves the connection with the one it has. */
  async #authenticate(token: string): Promise<AuthenticateAnswer> {
    // The client has done its part; how long the keys take is not its fault, and has a limit of its own.
    if (this.#state.kind === 'unauthenticated') clearTimeout(this.#state.timer);
    try {
      const grant = await this.#options.verifyToken(token);
      this.#accept(grant);
      const { streams, turn } = this.#options;
      return {
        expiresAtMs: grant.expiresAtMs,
        // mediasoup and mediasoup-client list the same URIs of header extensions in different types.
        routerRtpCapabilities: streams.rtpCapabilities as AuthenticateAnswer['routerRtpCapabilities'],
        iceServers: turn.iceServersFor(grant.principal),
      };
    } catch (error) {
      // After the answer, which tells the same.
      if (this.#state.kind === 'unauthenticated') setImmediate(() => this.close(toCodedError(error)));
      throw error;
    }
  }

  #accept(grant: Grant): void {
    const state = this.#state;
    switch (state.kind) {
      case 'closed':
        throw new CodedError('UNAUTHENTICATED', 'Cannot authenticate: the connection is closed.');
      case 'unauthenticated': {
        const { streams, limits } = this.#options;
        const peer = new Peer({
          principal: grant.principal,
          streams,
          maxStreams: limits.maxStreamsPerConnection,
          notify: (name, params) => this.#rpc.notify(name, params),
        });
        this.#log = this.#log.child({ principal: grant.principal });
        this.#log.info('connection authenticated');
        this.#hold(grant, peer);
        break;
      }
      case 'authenticated':
        requireSameBearer(state.grant.principal, grant.principal);
        this.#hold(grant, state.peer);
        break;
    }
  }

  #hold(grant: Grant, peer: Peer): void {
    if (this.#state.kind !== 'closed') clearTimeout(this.#state.timer);
    const leftMs = Math.max(0, grant.expiresAtMs - Date.now());
    const timer = setTimeout(() => this.#expire(grant, peer), Math.min(leftMs, MAX_TIMER_MS));
    this.#state = { kind: 'authenticated', grant, peer, timer };
  }

  #expire(grant: Grant, peer: Peer): void {
    if (Date.now() < grant.expiresAtMs) return this.#hold(grant, peer);
    this.close(new CodedError('TOKEN_EXPIRED', 'The token has expired, and no newer one came in time.'));
  }
}

function readRequestId(text: string): number | undefined {
  try {
    const frame: unknown = JSON.parse(text);
    if (typeof frame !== 'object' || frame === null || !('id' in frame)) return undefined;
    return Number.isInteger(frame.id) && Number(frame.id) >= 1 ? Number(frame.id) : undefined;
  } catch {
    return undefined; // Not JSON: nobody to answer.
  }
}
