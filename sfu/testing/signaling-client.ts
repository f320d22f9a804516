/** A client of the signalling without a browser, which can also break its rules. */
import {
  RpcClient,
  SFU_NOTIFICATIONS,
  SFU_PATH,
  SFU_REQUESTS,
  toCodedError,
  type CodedError,
  type ParamsOf,
  type ResultOf,
} from '@proofcast/shared';
import type { Static } from 'typebox';
import { WebSocket } from 'ws';

type Requests = typeof SFU_REQUESTS;
type Notifications = typeof SFU_NOTIFICATIONS;
type NotificationName = keyof Notifications;

interface Received {
  readonly name: NotificationName;
  readonly params: unknown;
}

export class SignalingClient {
  readonly socket: WebSocket;
  readonly closed: Promise<{ code: number; reason: string }>;
  readonly #rpc: RpcClient<Requests, Notifications>;
  readonly #received: Received[] = [];
  readonly #waiting = new Set<() => void>();

  private constructor(socket: WebSocket) {
    this.socket = socket;
    this.closed = new Promise((resolve) => {
      socket.once('close', (code, reason) => resolve({ code, reason: reason.toString() }));
    });
    const record = (name: NotificationName) => (params: unknown) => {
      this.#received.push({ name, params });
      for (const wake of this.#waiting) wake();
    };
    this.#rpc = new RpcClient({
      requests: SFU_REQUESTS,
      notifications: SFU_NOTIFICATIONS,
      send: (text) => socket.send(text),
      onNotification: {
        producerAdded: record('producerAdded'),
        consumerClosed: record('consumerClosed'),
        sendingDelay: record('sendingDelay'),
        streamOnline: record('streamOnline'),
        streamClosed: record('streamClosed'),
        transportClosed: record('transportClosed'),
        viewers: record('viewers'),
      },
      timeoutMs: 10_000,
    });
    socket.on('message', (data) => this.#rpc.receive((data as Buffer).toString('utf8')));
    socket.on('error', () => {}); // What matters is told by `closed`.
    void this.closed.then(({ reason }) => this.#rpc.close(toCodedError(new Error(reason))));
  }

  /** Connects, and authenticates if there is a token. */
  static async connect(url: string, token?: string): Promise<SignalingClient> {
    const client = new SignalingClient(new WebSocket(url.replace('http', 'ws') + SFU_PATH));
    await new Promise((resolve, reject) => {
      client.socket.once('open', resolve);
      client.socket.once('error', reject);
    });
    if (token) await client.request('authenticate', { token });
    return client;
  }

  request<M extends keyof Requests>(
    method: M,
    params: ParamsOf<Requests, M>,
  ): Promise<ResultOf<Requests, M>> {
    return this.#rpc.request(method, params);
  }

  /** The refusal that a request is answered with; rejects when it is granted. */
  async refusal<M extends keyof Requests>(method: M, params: ParamsOf<Requests, M>): Promise<CodedError> {
    let result: unknown;
    try {
      result = await this.request(method, params);
    } catch (error) {
      return toCodedError(error);
    }
    throw new Error(`${method} was granted: ${JSON.stringify(result)}`);
  }

  /** The next notification of this name, be it here already or still to come. Each is handed out once. */
  async next<N extends NotificationName>(name: N): Promise<Static<Notifications[N]>> {
    for (;;) {
      const index = this.#received.findIndex((received) => received.name === name);
      if (index >= 0) return this.#received.splice(index, 1)[0]?.params as Static<Notifications[N]>;
      await new Promise<void>((resolve) => {
        const wake = (): void => {
          this.#waiting.delete(wake);
          resolve();
        };
        this.#waiting.add(wake);
      });
    }
  }

  /** Names of the notifications that nobody asked for yet. */
  get unread(): readonly NotificationName[] {
    return this.#received.map(({ name }) => name);
  }

  /** Sends what is no proper request; resolves to the next frame that comes, or to the close reason. */
  async sendRaw(data: string | Uint8Array): Promise<string> {
    const answer = new Promise<string>((resolve) => {
      this.socket.once('message', (frame) => resolve((frame as Buffer).toString('utf8')));
      void this.closed.then(({ code, reason }) => resolve(`${code} ${reason}`));
    });
    this.socket.send(data);
    return answer;
  }

  async close(): Promise<void> {
    this.socket.close();
    await this.closed;
  }
}
