import { parseMessage, type Catalogue, type MessageOf } from '@proofcast/shared';
import type { WebSocket } from 'ws';

type Received<C extends Catalogue> = MessageOf<C> | Uint8Array;

interface Waiting<C extends Catalogue> {
  readonly wants: (received: Received<C>) => boolean;
  readonly resolve: (received: Received<C>) => void;
  readonly reject: (error: Error) => void;
}

/** The client's end of a websocket whose messages a test takes one after the other. */
export class MessageSocket<C extends Catalogue> {
  readonly socket: WebSocket;
  /** What came and was not taken yet, in order. */
  readonly unread: Received<C>[] = [];
  /** Resolves when the connection is over. */
  readonly closed: Promise<{ code: number; reason: string }>;
  #waiting: Waiting<C>[] = [];
  #closedBy: Error | null = null;

  /** Call it before anything can arrive: in the same turn in which the socket is made. */
  constructor(socket: WebSocket, catalogue: C) {
    this.socket = socket;
    socket.on('message', (data: Buffer, isBinary) => {
      this.#onReceived(isBinary ? new Uint8Array(data) : parseMessage(catalogue, data.toString('utf8')));
    });
    socket.on('error', () => undefined);
    this.closed = new Promise((resolve) => {
      socket.on('close', (code, reason) => {
        this.#closedBy = new Error(`The socket was closed: ${code} ${reason.toString()}`);
        for (const { reject } of this.#waiting) reject(this.#closedBy);
        this.#waiting = [];
        resolve({ code, reason: reason.toString() });
      });
    });
  }

  /** The next message of this type; what comes before it stays unread. Rejects when the socket closes first. */
  async next<K extends keyof C & string>(type: K): Promise<(MessageOf<C> & { type: K })['data']> {
    const message = await this.take((received) => isMessage(received) && received.type === type);
    return (message as MessageOf<C> & { type: K }).data;
  }

  async nextBinary(): Promise<Uint8Array> {
    return (await this.take((received) => !isMessage(received))) as Uint8Array;
  }

  /** The first that `wants` says yes to, of what came and what will come. */
  take(wants: (received: Received<C>) => boolean): Promise<Received<C>> {
    const index = this.unread.findIndex(wants);
    if (index !== -1) return Promise.resolve(this.unread.splice(index, 1)[0] as Received<C>);
    if (this.#closedBy !== null) return Promise.reject(this.#closedBy);
    return new Promise((resolve, reject) => this.#waiting.push({ wants, resolve, reject }));
  }

  #onReceived(received: Received<C>): void {
    const index = this.#waiting.findIndex(({ wants }) => wants(received));
    const [waiting] = index === -1 ? [] : this.#waiting.splice(index, 1);
    if (waiting === undefined) this.unread.push(received);
    else waiting.resolve(received);
  }
}

function isMessage<C extends Catalogue>(received: Received<C>): received is MessageOf<C> {
  return !(received instanceof Uint8Array);
}
