import {
  encodeMessage,
  INGEST_FROM_PUBLISHER,
  INGEST_FROM_RELAY,
  RELAY_PROTOCOL_VERSION,
  type MessageFromPublisher,
  type MessageOf,
} from '@proofcast/shared';
import type { WebSocket } from 'ws';
import type { ChunkMaker } from './chunk-maker.ts';
import { MessageSocket } from './message-socket.ts';

type FromRelay<K extends keyof typeof INGEST_FROM_RELAY> = (MessageOf<typeof INGEST_FROM_RELAY> & {
  type: K;
})['data'];

/** A publisher that does only what a test tells it. Several may upload the chunks of one maker, one after the other. */
export class TestPublisher extends MessageSocket<typeof INGEST_FROM_RELAY> {
  readonly maker: ChunkMaker;

  constructor(socket: WebSocket, maker: ChunkMaker) {
    super(socket, INGEST_FROM_RELAY);
    this.maker = maker;
  }

  say(message: MessageFromPublisher): void {
    this.socket.send(encodeMessage(INGEST_FROM_PUBLISHER, message));
  }

  /** Says hello and returns the welcome. */
  async hello(
    fields: Partial<(MessageFromPublisher & { type: 'hello' })['data']> = {},
  ): Promise<FromRelay<'welcome'>> {
    const { recordingId, startedAtUs } = this.maker.start;
    const data = { protocol: RELAY_PROTOCOL_VERSION, recordingId, startedAtUs, sentAtUs: Date.now() * 1000 };
    this.say({ type: 'hello', data: { ...data, ...fields } });
    return this.next('welcome');
  }

  /** Sends what the maker has made from chunk `from` on. */
  upload(from = 0): void {
    for (let n = from; n < this.maker.chunks.length; n++) this.sendFrame(this.maker.frame(n));
  }

  sendFrame(frame: Uint8Array): void {
    this.socket.send(frame);
  }

  /** Waits until so many chunks are on the relay's disk. */
  async untilDurable(count: number = this.maker.chunks.length): Promise<void> {
    let durable = -1;
    while (durable < count) ({ durable } = await this.next('ack'));
  }

  /** Waits until the relay has taken so many chunks, and returns what it said then. */
  async untilReceived(count: number = this.maker.chunks.length): Promise<FromRelay<'ack'>> {
    for (;;) {
      const ack = await this.next('ack');
      if (ack.received >= count) return ack;
    }
  }

  /** Uploads what is missing, stops and waits until the relay has it all. */
  async stop(): Promise<FromRelay<'stopped'>> {
    this.say({ type: 'stop', data: { chunkCount: this.maker.chunks.length } });
    return this.next('stopped');
  }
}
