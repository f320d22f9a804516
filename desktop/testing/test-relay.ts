/**
 * The relay's end of the ingest protocol, on a real websocket server, as far as the uploader can see it: it keeps the
 * chunks of each recording across connections, checks each as a relay does, and misbehaves as a test wishes. The real
 * relay is met in the journeys.
 */
import {
  CodedError,
  decodeStill,
  encodeMessage,
  INGEST_FROM_PUBLISHER,
  INGEST_FROM_RELAY,
  INGEST_PATH,
  isStillFrame,
  parseMessage,
  toCloseReason,
  type ErrorCode,
  type MessageFromPublisher,
  type MessageToPublisher,
  type Still,
} from '@proofcast/shared';
import { EventEmitter, once } from 'node:events';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { WebSocketServer, type WebSocket } from 'ws';
import type { SpooledStart } from '../src/main/recording-file.ts';
import { ChunkReader } from './chunk-reader.ts';

interface Kept {
  readonly reader: ChunkReader;
  isSealed: boolean;
}

export const TOKEN = 'the-right-token';

export class TestRelay extends EventEmitter<{
  hello: [];
  chunk: [sequence: number];
  stopped: [];
  closed: [];
  status: [];
  still: [];
}> {
  /** Frames as they came, refused ones included. */
  readonly receivedSequences: number[] = [];
  helloCount = 0;
  /** What each `hello` said, newest last. */
  readonly hellos: Extract<MessageFromPublisher, { type: 'hello' }>['data'][] = [];
  readonly statuses: Extract<MessageFromPublisher, { type: 'status' }>['data'][] = [];
  readonly stills: Still[] = [];
  upgradeCount = 0;
  windowBytes = 1024 * 1024;
  /** Told in `welcome`, and not enforced. */
  recordingLimits = { maxChunks: 10_000, maxEpochs: 1_000, maxEvents: 5_000 };
  /** Chunks are taken, and not acknowledged. */
  isSilent = false;
  /** The answer to `stop` is lost with the connection. */
  losesStopped = false;
  /** Upgrades are answered with this. */
  upgradeRefusal: CodedError | undefined;
  /** The first message is answered with this. */
  helloRefusal: CodedError | undefined;
  /** Called for each frame; a code refuses it. */
  judge: (sequence: number) => ErrorCode | null = () => null;
  readonly #server: Server;
  readonly #port: number;
  readonly #sockets = new WebSocketServer({ noServer: true });
  readonly #recordings = new Map<string, Kept>();
  readonly #helloRefusals = new Map<string, CodedError>();
  readonly #acknowledges = new Set<() => void>();

  private constructor(server: Server) {
    super();
    this.#server = server;
    this.#port = (server.address() as AddressInfo).port;
    server.on('upgrade', (request, socket, head) => {
      this.upgradeCount += 1;
      const isRight = request.headers.authorization === `Bearer ${TOKEN}` && request.url === INGEST_PATH;
      const refusal =
        this.upgradeRefusal ?? (isRight ? undefined : new CodedError('TOKEN_INVALID', 'Wrong token.'));
      if (refusal) {
        const body = JSON.stringify(refusal.toBody());
        socket.end(`HTTP/1.1 ${refusal.status} No\r\ncontent-length: ${body.length}\r\n\r\n${body}`);
        return;
      }
      this.#sockets.handleUpgrade(request, socket, head, (webSocket) => this.#accept(webSocket));
    });
  }

  static async open(): Promise<TestRelay> {
    const server = createServer((_request, response) => void response.writeHead(404).end());
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    return new TestRelay(server);
  }

  get ingestUrl(): string {
    return `ws://127.0.0.1:${this.#port}${INGEST_PATH}`;
  }

  get connectionCount(): number {
    return this.#sockets.clients.size;
  }

  /** What the relay knows of a recording; it must know it beforehand, because the chain begins with all of it. */
  expect(start: SpooledStart): ChunkReader {
    const reader = new ChunkReader(start);
    this.#recordings.set(start.recordingId, { reader, isSealed: false });
    return reader;
  }

  /** The next first messages for this recording are answered with `refusal`; null takes that back. */
  refuseHello({ recordingId }: SpooledStart, refusal: CodedError | null): void {
    if (refusal) this.#helloRefusals.set(recordingId, refusal);
    else this.#helloRefusals.delete(recordingId);
  }

  /** Counts for every connection what it has got. */
  acknowledgeAll(): void {
    for (const acknowledge of this.#acknowledges) acknowledge();
  }

  seal(start: SpooledStart): void {
    const kept = this.#recordings.get(start.recordingId);
    if (kept) kept.isSealed = true;
  }

  send(message: MessageToPublisher): void {
    for (const client of this.#sockets.clients) client.send(encodeMessage(INGEST_FROM_RELAY, message));
  }

  sendRaw(data: string | Buffer): void {
    for (const client of this.#sockets.clients) client.send(data);
  }

  /** The network fails. */
  cut(): void {
    for (const client of this.#sockets.clients) client.terminate();
  }

  /** The network fails without anybody being told: nothing is read, nothing is answered. */
  freeze(): void {
    for (const client of this.#sockets.clients) client.pause();
  }

  closeAll(error: CodedError): void {
    for (const client of this.#sockets.clients) client.close(error.closeCode, toCloseReason(error));
  }

  async close(): Promise<void> {
    this.cut();
    this.#server.close();
    this.#server.closeAllConnections();
    await once(this.#server, 'close');
  }

  #accept(socket: WebSocket): void {
    let kept: Kept | undefined;
    const send = (message: MessageToPublisher) => socket.send(encodeMessage(INGEST_FROM_RELAY, message));
    const refuse = (error: CodedError) => {
      send({
        type: 'refused',
        data: { ...error.toBody(), expectedSequence: kept?.reader.chunks.length ?? 0 },
      });
    };
    const acknowledge = () => {
      const count = kept?.reader.chunks.length ?? 0;
      if (!this.isSilent) send({ type: 'ack', data: { received: count, durable: count } });
    };
    this.#acknowledges.add(acknowledge);
    socket.on('error', () => undefined);
    socket.on('close', () => {
      this.#acknowledges.delete(acknowledge);
      this.emit('closed');
    });
    socket.on('message', (data: Buffer, isBinary) => {
      if (!isBinary) {
        const message = parseMessage(INGEST_FROM_PUBLISHER, data.toString());
        if (message.type === 'hello') {
          kept = this.#onHello(message.data, { socket, send, refuse });
          if (kept) acknowledge();
          return;
        }
        if (message.type === 'status') {
          this.statuses.push(message.data);
          this.emit('status');
          return;
        }
        return this.#onStop(message.data.chunkCount, kept, { socket, send, refuse });
      }
      if (isStillFrame(data)) {
        this.stills.push(decodeStill(data));
        this.emit('still');
        return;
      }
      if (!kept) return refuse(new CodedError('MESSAGE_UNEXPECTED', 'Hello comes first.'));
      const sequence = Number(data.readBigUInt64BE(8));
      this.receivedSequences.push(sequence);
      const expected = kept.reader.chunks.length;
      const code = this.judge(sequence) ?? (sequence > expected ? 'CHUNK_SEQUENCE_GAP' : null);
      if (code) return refuse(new CodedError(code, `Cannot take chunk ${sequence}: expected ${expected}.`));
      if (sequence === expected) kept.reader.read(data);
      acknowledge();
      this.emit('chunk', sequence);
    });
  }

  #onHello(
    hello: Extract<MessageFromPublisher, { type: 'hello' }>['data'],
    peer: {
      socket: WebSocket;
      send: (message: MessageToPublisher) => void;
      refuse: (error: CodedError) => void;
    },
  ): Kept | undefined {
    this.helloCount += 1;
    this.hellos.push(hello);
    const kept = this.#recordings.get(hello.recordingId);
    const sealed = new CodedError('RECORDING_SEALED', 'It has ended.', {
      details: { chunkCount: kept?.reader.chunks.length ?? null },
    });
    const refusal =
      this.helloRefusal ??
      this.#helloRefusals.get(hello.recordingId) ??
      (kept?.isSealed ? sealed : undefined);
    if (!kept || refusal) {
      const error = refusal ?? new CodedError('RECORDING_NOT_FOUND', 'It is somebody else’s.');
      peer.refuse(error);
      peer.socket.close(error.closeCode, toCloseReason(error));
      return undefined;
    }
    peer.send({
      type: 'welcome',
      data: {
        recordingId: hello.recordingId,
        nextSequence: kept.reader.chunks.length,
        epoch: kept.reader.chunks.at(-1)?.epoch ?? null,
        maxPayloadBytes: 1024 * 1024,
        windowBytes: this.windowBytes,
        ...this.recordingLimits,
        viewerCount: 0,
        sentAtUs: Date.now() * 1000,
      },
    });
    this.emit('hello');
    return kept;
  }

  #onStop(
    chunkCount: number,
    kept: Kept | undefined,
    peer: {
      socket: WebSocket;
      send: (message: MessageToPublisher) => void;
      refuse: (error: CodedError) => void;
    },
  ): void {
    const [count, recordingId] = [
      kept?.reader.chunks.length,
      [...this.#recordings].find(([, k]) => k === kept)?.[0],
    ];
    if (!kept || !recordingId || count !== chunkCount) {
      return peer.refuse(
        new CodedError('CHUNK_SEQUENCE_GAP', `Cannot stop after ${chunkCount}: expected ${count}.`),
      );
    }
    kept.isSealed = true;
    if (this.losesStopped) return peer.socket.terminate();
    peer.send({ type: 'ack', data: { received: chunkCount, durable: chunkCount } });
    peer.send({ type: 'stopped', data: { recordingId, chunkCount } });
    this.emit('stopped');
  }
}
