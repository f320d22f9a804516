/**
 * The only way from a desktop app to its relay: passes on everything unaltered, can be cut and mended like a cable, and
 * remembers which chunks went through it and which of them the relay has confirmed. What it saw is what a test may demand.
 */
import { createHash } from 'node:crypto';
import { EventEmitter, once } from 'node:events';
import { createServer, request as httpRequest, type IncomingMessage, type Server } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import { WebSocket, WebSocketServer, type RawData } from 'ws';
import {
  decodeChunk,
  INGEST_FROM_PUBLISHER,
  INGEST_FROM_RELAY,
  isStillFrame,
  parseMessage,
  type Id,
} from '../../shared/src/index.ts';

export interface TappedRecording {
  /** SHA-256 of the payload of each chunk that was sent, by its number. */
  readonly hashes: Map<number, string>;
  /** Publisher's clock at each chunk, microseconds since 1970, by its number. */
  readonly captureTimesUs: Map<number, number>;
  /** Numbers that were sent with two different payloads: after a crash the publisher had forgotten what it had sent. */
  readonly conflicts: number[];
  /** How many chunks the relay has confirmed as durable. */
  durableCount: number;
  /** When each connection was welcome, by this machine's steady clock, and what the relay had then. */
  readonly welcomes: { atMs: number; nextSequence: number }[];
}

export class IngestTap extends EventEmitter<{ progress: [] }> {
  readonly recordings = new Map<Id, TappedRecording>();
  readonly #target: URL;
  readonly #sockets = new Set<Socket>();
  readonly #upgrades = new WebSocketServer({ noServer: true, maxPayload: 16 * 1024 * 1024 });
  #server: Server;
  #port = 0;

  constructor(target: string) {
    super();
    this.setMaxListeners(0);
    this.#target = new URL(target);
    this.#server = this.#createServer();
  }

  get url(): string {
    return `http://127.0.0.1:${this.#port}`;
  }

  /** Begins to listen, at the same port as before. */
  async mend(): Promise<void> {
    this.#server = this.#createServer();
    this.#server.listen(this.#port, '127.0.0.1');
    await once(this.#server, 'listening');
    this.#port = (this.#server.address() as AddressInfo).port;
  }

  async cut(): Promise<void> {
    const closed = once(this.#server, 'close');
    this.#server.close();
    for (const socket of this.#sockets) socket.destroy();
    await closed;
  }

  /** Resolves when the condition holds, looked at whenever something went through. */
  async until(condition: () => boolean): Promise<void> {
    while (!condition()) await once(this, 'progress');
  }

  #createServer(): Server {
    const server = createServer((incoming, response) => {
      const { method, headers } = incoming;
      const outgoing = httpRequest(this.#urlOf(incoming), { method, headers }, (answer) => {
        response.writeHead(answer.statusCode ?? 502, answer.headers);
        answer.pipe(response);
      });
      outgoing.on('error', () => response.destroy());
      incoming.pipe(outgoing);
    });
    server.on('connection', (socket) => {
      this.#sockets.add(socket);
      socket.on('close', () => this.#sockets.delete(socket));
    });
    server.on('upgrade', (incoming, socket: Socket, head) => {
      socket.on('error', () => socket.destroy());
      const far = new WebSocket(this.#urlOf(incoming, 'ws:'), {
        headers: { authorization: incoming.headers.authorization },
        perMessageDeflate: false,
      });
      far.on('error', () => socket.destroy());
      far.on('unexpected-response', (_request, answer) => {
        socket.write(`HTTP/1.1 ${answer.statusCode} Refused\r\nconnection: close\r\n\r\n`);
        answer.pipe(socket);
      });
      far.on('open', () => {
        this.#upgrades.handleUpgrade(incoming, socket, head, (near) => this.#join(near, far));
      });
      socket.on('close', () => far.terminate());
    });
    return server;
  }

  #urlOf({ url = '/' }: IncomingMessage, protocol = 'http:'): URL {
    const target = new URL(url, this.#target);
    target.protocol = protocol;
    return target;
  }

  #join(near: WebSocket, far: WebSocket): void {
    let recording: TappedRecording | undefined;
    near.on('message', (data, isBinary) => {
      recording = this.#onSent(toBuffer(data), isBinary, recording);
      if (far.readyState === far.OPEN) far.send(toBuffer(data), { binary: isBinary });
    });
    far.on('message', (data, isBinary) => {
      if (recording) this.#onAnswer(toBuffer(data), recording);
      if (near.readyState === near.OPEN) near.send(toBuffer(data), { binary: isBinary });
    });
    for (const [one, other] of [
      [near, far],
      [far, near],
    ] as const) {
      one.on('error', () => other.terminate());
      one.on('close', (code, reason) => {
        // 1005 and 1006 stand for a close without a code, and are not allowed in one.
        if (code === 1005 || code === 1006) other.terminate();
        else other.close(code, reason);
      });
    }
  }

  #onSent(
    data: Buffer,
    isBinary: boolean,
    recording: TappedRecording | undefined,
  ): TappedRecording | undefined {
    if (!isBinary) {
      const message = parseMessage(INGEST_FROM_PUBLISHER, data.toString());
      return message.type === 'hello' ? this.#recording(message.data.recordingId) : recording;
    }
    if (!recording || isStillFrame(data)) return recording;
    const { sequence, captureTimeUs, payload } = decodeChunk(data);
    const hash = createHash('sha256').update(payload).digest('hex');
    const known = recording.hashes.get(sequence);
    if (known !== undefined && known !== hash) recording.conflicts.push(sequence);
    recording.hashes.set(sequence, hash);
    recording.captureTimesUs.set(sequence, captureTimeUs);
    return recording;
  }

  #onAnswer(data: Buffer, recording: TappedRecording): void {
    const message = parseMessage(INGEST_FROM_RELAY, data.toString());
    if (message.type === 'welcome') {
      recording.welcomes.push({ atMs: performance.now(), nextSequence: message.data.nextSequence });
    } else if (message.type === 'ack') {
      recording.durableCount = Math.max(recording.durableCount, message.data.durable);
    }
    this.emit('progress');
  }

  #recording(recordingId: Id): TappedRecording {
    const known = this.recordings.get(recordingId);
    if (known) return known;
    const created: TappedRecording = {
      hashes: new Map(),
      captureTimesUs: new Map(),
      conflicts: [],
      durableCount: 0,
      welcomes: [],
    };
    this.recordings.set(recordingId, created);
    return created;
  }
}

/** The default binary type of ws gives a Buffer for every message. */
function toBuffer(data: RawData): Buffer {
  return data as Buffer;
}
