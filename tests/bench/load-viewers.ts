/** Viewers for loads: they watch one stream over raw sockets and know which chunk each of them has whole. */
import { encodeMessage, VIEW_FROM_VIEWER, type Id } from '@proofcast/shared';
import type { TestClient } from '../../relay/testing/test-client.ts';
import { RawWebSocket } from './raw-websocket.ts';

/** Where the sequence number stands in the head of a viewer frame (shared/src/chunk-frame.ts). */
const SEQUENCE_OFFSET = 8;
const CHANNEL = 1;
/** A viewer that has a slice later than this was cut off, and will not get it at all. */
const TIMEOUT_MS = 30_000;

interface Waiting {
  readonly sequence: number;
  left: number;
  readonly resolve: () => void;
  readonly reject: (error: Error) => void;
}

export class LoadViewers {
  readonly #sockets: RawWebSocket[] = [];
  #waiting: Waiting | null = null;
  #failure: Error | null = null;

  get count(): number {
    return this.#sockets.length;
  }

  /** Adds `count` viewers of a stream of the relay. */
  async watch(relay: TestClient, streamId: Id, count: number): Promise<void> {
    for (let index = 0; index < count; index++) this.#add(await openViewer(relay, streamId, this.#events));
  }

  /** Adds `count` sockets of a server that sends to whoever connects. */
  async connect(url: string, count: number): Promise<void> {
    for (let index = 0; index < count; index++) {
      this.#add(await RawWebSocket.open(url, { events: this.#events }));
    }
  }

  /**
   * Resolves when every viewer has had the whole of chunk `sequence`; call it in the turn in which that is sent. Rejects
   * when one was cut off or left it out.
   */
  async untilAllHave(sequence: number): Promise<void> {
    if (this.#failure !== null) throw this.#failure;
    if (this.#sockets.length === 0) return;
    let timeout: NodeJS.Timeout | undefined;
    await new Promise<void>((resolve, reject) => {
      this.#waiting = { sequence, left: this.#sockets.length, resolve, reject };
      timeout = setTimeout(() => this.#fail(`it did not get slice ${sequence} in time`), TIMEOUT_MS);
    }).finally(() => clearTimeout(timeout));
  }

  #add(socket: RawWebSocket): void {
    this.#sockets.push(socket);
  }

  readonly #events = {
    onMedia: (head: Buffer) => {
      const waiting = this.#waiting;
      if (waiting === null || Number(head.readBigUInt64BE(SEQUENCE_OFFSET)) !== waiting.sequence) return;
      waiting.left -= 1;
      if (waiting.left > 0) return;
      this.#waiting = null;
      waiting.resolve();
    },
    onText: (text: string) => {
      if (text.includes('"type":"ended"') || text.includes('"type":"refused"')) this.#fail(text);
    },
    onClosed: (reason: string) => this.#fail(reason),
  };

  #fail(reason: string): void {
    this.#failure ??= new Error(`A viewer was cut off: ${reason}`);
    this.#waiting?.reject(this.#failure);
  }
}

/** A viewer that watches `streamId`, with a ticket of its own as every browser has one. */
export async function openViewer(
  relay: TestClient,
  streamId: Id,
  events: RawWebSocket['events'] = {},
): Promise<RawWebSocket> {
  const { ticket } = await relay.call('createViewTicket');
  const socket = await RawWebSocket.open(`${relay.relayUrl}/api/view?ticket=${ticket}`, { events });
  socket.sendText(encodeMessage(VIEW_FROM_VIEWER, { type: 'watch', data: { channel: CHANNEL, streamId } }));
  return socket;
}
