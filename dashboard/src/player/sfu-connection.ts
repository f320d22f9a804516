/**
 * The page's one signalling websocket to the SFU, shared by all players. It connects when somebody first asks, renews
 * its token before that expires, and connects again by itself after a loss, for ever, with growing, capped delays.
 */
import {
  CodedError,
  createReconnectPolicy,
  fromErrorBody,
  parseJson,
  parseTokenClaims,
  RpcClient,
  SFU_NOTIFICATIONS,
  SFU_REQUESTS,
  toCloseReason,
  toCodedError,
  type IceServer,
  type Id,
  type ParamsOf,
  type ResultOf,
  type Schedule,
} from '@proofcast/shared';
import {
  MIN_TOKEN_LIFE_MS,
  SFU_CONNECTION_STABLE_MS,
  SFU_CONNECT_MS,
  SFU_RECONNECT,
  SFU_REQUEST_MS,
  SFU_TOKEN_RENEWAL_SHARE,
} from '../config.ts';

export interface SfuToken {
  /** Of the signalling websocket. */
  readonly url: string;
  readonly token: string;
}

/** What a player of one stream hears from the SFU. */
export interface StreamListener {
  readonly onProducerAdded: () => void;
  readonly onConsumerClosed: (consumerId: string) => void;
  /** What pictures take from the capture to the SFU; null: not known. */
  readonly onSendingDelay: (delayMs: number | null) => void;
  /** The stream on this connection is over: the SFU said so, or the connection is gone. */
  readonly onClosed: (error: CodedError) => void;
}

export interface SfuConnectionOptions {
  readonly createToken: () => Promise<SfuToken>;
  readonly openSocket: (url: string) => WebSocket;
  readonly schedule: Schedule;
  /** There is a session, the first one or another one: what could not be viewed for want of it can be now. */
  readonly onSessionOpened: () => void;
  /** A stream that could not be viewed, or was over, is published again. */
  readonly onStreamOnline: (streamId: Id) => void;
  /** The SFU has closed a transport for watching. */
  readonly onTransportClosed: (transportId: string) => void;
  /** The session is over, and all its transports with it. */
  readonly onSessionEnded: (error: CodedError) => void;
}

type Requests = typeof SFU_REQUESTS;
type Client = RpcClient<Requests, typeof SFU_NOTIFICATIONS>;

/** One websocket that is open and authenticated; what is opened over it ends with it. */
export interface SfuSession {
  readonly client: Pick<Client, 'request'>;
  readonly routerRtpCapabilities: ResultOf<Requests, 'authenticate'>['routerRtpCapabilities'];
  readonly iceServers: readonly IceServer[];
  /** How many messages have come over it so far. */
  readonly heardCount: () => number;
}

interface Link {
  readonly socket: WebSocket;
  readonly client: Client;
}

interface OpenLink extends Link, SfuSession {
  readonly client: Client;
}

const nothing = (): void => undefined;

export class SfuConnection {
  readonly #options: SfuConnectionOptions;
  readonly #policy = createReconnectPolicy(SFU_RECONNECT);
  readonly #streams = new Map<Id, StreamListener>();
  /** Answers to `leave` that a later `view` of the same stream has to wait for. */
  readonly #leaving = new Map<Id, Promise<void>>();
  #link: Promise<OpenLink> | undefined;
  #current: OpenLink | undefined;
  /** Connected or authenticated at the moment. */
  #opening: Link | undefined;
  /** No attempt is made until the next one is due; why the last one failed. */
  #waiting: { readonly cancel: () => void; readonly error: CodedError } | undefined;
  #cancelRenewal = nothing;
  #cancelProof = nothing;
  #isClosed = false;

  constructor(options: SfuConnectionOptions) {
    this.#options = options;
  }

  /** Connects in advance, so that the first picture does not have to wait for it. */
  warmUp(): void {
    void this.#connect().catch(nothing); // Whoever asks next hears the reason.
  }

  /** The session at hand, or a new one. Throws the coded error of the SFU or of the connection. */
  session(): Promise<SfuSession> {
    return this.#connect();
  }

  /** Opens a stream for viewing; `listener` hears of it until `leave`. Fails when `session` is over. */
  async view({
    session,
    listener,
    ...params
  }: { session: SfuSession; listener: StreamListener } & ParamsOf<Requests, 'view'>): Promise<
    ResultOf<Requests, 'view'>
  > {
    const { streamId } = params;
    this.#streams.set(streamId, listener);
    await this.#leaving.get(streamId);
    if (this.#streams.get(streamId) !== listener) {
      throw new CodedError('MESSAGE_UNEXPECTED', 'The stream was left before it could be viewed.');
    }
    return session.client.request('view', params);
  }

  /** Ends viewing. The SFU is told if it can be; a lost connection has ended it anyway. */
  leave(streamId: Id, listener: StreamListener): void {
    if (this.#streams.get(streamId) !== listener) return;
    this.#streams.delete(streamId);
    const client = this.#current?.client;
    // Who still waits for an earlier leave has not asked for anything yet.
    if (!client || this.#leaving.has(streamId)) return;
    this.#leaving.set(streamId, this.#tellLeaving(client, streamId));
  }

  /** The session does not answer any more, and nothing else would tell. Nothing happens when it is over already. */
  drop(session: SfuSession, error: CodedError): void {
    if (this.#current === session) this.#loseLink(error);
  }

  /** A network that is back deserves an attempt at once. */
  retryNow(): void {
    this.#policy.reset();
    if (!this.#waiting) return;
    this.#waiting.cancel();
    this.#waiting = undefined;
    this.warmUp();
  }

  /** Idempotent. */
  close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#streams.clear();
    this.#waiting?.cancel();
    this.#opening?.socket.close(1000);
    this.#loseLink(new CodedError('UNAVAILABLE', 'The page has closed its connection to the SFU.'));
  }

  async #tellLeaving(client: Client, streamId: Id): Promise<void> {
    try {
      await client.request('leave', { streamId });
    } catch {
      // Then the SFU has forgotten this viewer already.
    }
    this.#leaving.delete(streamId);
  }

  #connect(): Promise<OpenLink> {
    if (this.#isClosed) return Promise.reject(new CodedError('UNAVAILABLE', 'The connection is closed.'));
    if (this.#link) return this.#link;
    if (this.#waiting) return Promise.reject(this.#waiting.error);
    const link = this.#open();
    this.#link = link;
    link.then(
      () => this.#options.onSessionOpened(),
      (cause: unknown) => {
        this.#link = undefined;
        this.#connectLater(toCodedError(cause));
      },
    );
    return link;
  }

  #connectLater(error: CodedError): void {
    if (this.#isClosed) return;
    const cancel = this.#options.schedule(() => {
      this.#waiting = undefined;
      this.warmUp();
    }, this.#policy.nextDelayMs());
    this.#waiting = { cancel, error };
  }

  async #open(): Promise<OpenLink> {
    const token = await this.#options.createToken();
    const socket = this.#options.openSocket(token.url);
    const client: Client = new RpcClient({
      requests: SFU_REQUESTS,
      notifications: SFU_NOTIFICATIONS,
      send: (text) => socket.send(text),
      timeoutMs: SFU_REQUEST_MS,
      schedule: this.#options.schedule,
      onNotification: {
        producerAdded: ({ streamId }) => this.#listenerOf(streamId)?.onProducerAdded(),
        consumerClosed: ({ streamId, consumerId }) =>
          this.#listenerOf(streamId)?.onConsumerClosed(consumerId),
        streamClosed: ({ streamId, code }) => {
          const error = new CodedError(code, `The SFU has ended the stream: ${code}.`);
          if (this.#listenerOf(streamId)) this.#endStream(streamId, error);
        },
        sendingDelay: ({ streamId, delayMs }) => this.#listenerOf(streamId)?.onSendingDelay(delayMs),
        streamOnline: ({ streamId }) => this.#options.onStreamOnline(streamId),
        transportClosed: ({ transportId }) => this.#options.onTransportClosed(transportId),
        viewers: nothing,
      },
    });
    const link: Link = { socket, client };
    this.#opening = link;
    let heardCount = 0;
    socket.addEventListener('message', (event: MessageEvent<unknown>) => {
      heardCount += 1;
      this.#receive(link, event.data);
    });
    socket.addEventListener('close', (event) => {
      if (this.#current?.socket === socket) this.#loseLink(errorOfClose(event));
      else client.close(errorOfClose(event));
    });
    let answer: ResultOf<Requests, 'authenticate'>;
    try {
      await untilOpen(socket, this.#options.schedule);
      answer = await this.#authenticate(client, token);
      if (this.#isClosed) throw new CodedError('UNAVAILABLE', 'The connection is closed.');
    } catch (error) {
      this.#cancelRenewal();
      client.close(toCodedError(error));
      if (socket.readyState <= WebSocket.OPEN) socket.close();
      throw error;
    } finally {
      this.#opening = undefined;
    }
    const { routerRtpCapabilities, iceServers } = answer;
    const open: OpenLink = { ...link, routerRtpCapabilities, iceServers, heardCount: () => heardCount };
    this.#current = open;
    this.#cancelProof = this.#options.schedule(() => this.#policy.reset(), SFU_CONNECTION_STABLE_MS);
    return open;
  }

  #receive(link: Link, data: unknown): void {
    try {
      link.client.receive(String(data));
    } catch (error) {
      const coded = toCodedError(error);
      link.socket.close(4400, toCloseReason(coded));
      if (this.#current?.socket === link.socket) this.#loseLink(coded);
    }
  }

  async #authenticate(client: Client, token: SfuToken): Promise<ResultOf<Requests, 'authenticate'>> {
    const answer = await client.request('authenticate', { token: token.token });
    const lifeMs = readTokenLifeMs(token.token);
    this.#scheduleRenewal(client, lifeMs * SFU_TOKEN_RENEWAL_SHARE, lifeMs);
    return answer;
  }

  #scheduleRenewal(client: Client, delayMs: number, lifeMs: number): void {
    this.#cancelRenewal = this.#options.schedule(() => {
      void this.#renew(client).catch(() => {
        // The relay or the SFU does not answer. The token in hand is still good: ask again while it is.
        if (this.#current?.client === client)
          this.#scheduleRenewal(client, Math.max(1_000, lifeMs / 20), lifeMs);
      });
    }, delayMs);
  }

  async #renew(client: Client): Promise<void> {
    const token = await this.#options.createToken();
    if (this.#current?.client === client) await this.#authenticate(client, token);
  }

  #loseLink(error: CodedError): void {
    const link = this.#current;
    this.#current = undefined;
    this.#link = undefined;
    this.#cancelRenewal();
    this.#cancelProof();
    link?.client.close(error);
    if (link && link.socket.readyState <= WebSocket.OPEN) link.socket.close(1000);
    if (link) {
      this.#connectLater(error);
      this.#options.onSessionEnded(error);
    }
    const streamIds = Array.from(this.#streams.keys());
    for (const streamId of streamIds) this.#endStream(streamId, error);
  }

  /** What comes while a stream is being left is about the one that is left, not about the one that waits for that. */
  #listenerOf(streamId: Id): StreamListener | undefined {
    return this.#leaving.has(streamId) ? undefined : this.#streams.get(streamId);
  }

  #endStream(streamId: Id, error: CodedError): void {
    const listener = this.#streams.get(streamId);
    this.#streams.delete(streamId);
    listener?.onClosed(error);
  }
}

/**
 * How long a token lives, by its own claims (RFC 7519): when it expires by the clock of another machine says nothing to
 * a browser whose clock is wrong. The payload is only read here, the SFU is who verifies it.
 */
function readTokenLifeMs(token: string): number {
  const payload = (token.split('.')[1] ?? '').replaceAll('-', '+').replaceAll('_', '/');
  const claims = parseTokenClaims(parseJson(atob(payload), 'the token', 'TOKEN_INVALID'));
  return Math.max(MIN_TOKEN_LIFE_MS, (claims.exp - claims.iat) * 1000);
}

function untilOpen(socket: WebSocket, schedule: Schedule): Promise<void> {
  return new Promise((resolve, reject) => {
    const cancel = schedule(() => {
      reject(new CodedError('TIMEOUT', 'The media server did not answer in time.'));
    }, SFU_CONNECT_MS);
    socket.addEventListener('open', () => {
      cancel();
      resolve();
    });
    socket.addEventListener('close', (event) => {
      cancel();
      reject(errorOfClose(event));
    });
  });
}

function errorOfClose(event: CloseEvent): CodedError {
  const match = /^([A-Z_]+): (.*)$/.exec(event.reason);
  if (match?.[1] !== undefined && match[2] !== undefined) {
    return fromErrorBody({ code: match[1], message: match[2] });
  }
  return new CodedError('UNAVAILABLE', 'The media server cannot be reached.');
}
