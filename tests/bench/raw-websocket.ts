/**
 * The client's end of a websocket (RFC 6455) with as little as it takes, for loads of thousands of them in one
 * process: media that comes in is counted and dropped, media that goes out was masked before and is shared.
 */
import { randomBytes } from 'node:crypto';
import { connect, type Socket } from 'node:net';

const OPCODE_TEXT = 1;
const OPCODE_BINARY = 2;
const OPCODE_CLOSE = 8;
const OPCODE_PING = 9;
const OPCODE_PONG = 10;
/** The payload's head that `onMedia` is given: enough to tell which chunk it is. */
const KEPT_HEAD_BYTES = 32;
const MAX_TEXT_BYTES = 1024 * 1024;
const RECEIVE_BUFFER_BYTES = 256 * 1024;

/**
 * A server has to unmask whatever the key is, and only proxies must not be able to guess it. One key for all frames
 * lets thousands of publishers share one masked payload.
 */
const MASK = Uint8Array.of(0x37, 0xfa, 0x21, 0x3d);

/** All sockets of a process read into the same memory: it is looked through before the next one reads. */
const receiveBuffer = Buffer.allocUnsafe(RECEIVE_BUFFER_BYTES);

export interface RawWebSocketEvents {
  onText?(text: string): void;
  /** A whole binary message has come: its first bytes, which stay valid only during the call, and its length. */
  onMedia?(head: Buffer, byteLength: number): void;
  onClosed?(reason: string): void;
}

export class RawWebSocket {
  readonly events: RawWebSocketEvents;
  readonly #socket: Socket;
  /** Bytes of a frame header that is not complete. */
  #partial: Buffer = Buffer.alloc(0);
  #opcode = 0;
  #messageOpcode = 0;
  #isFinal = false;
  #left = 0;
  #text: Buffer[] = [];
  readonly #head = Buffer.alloc(KEPT_HEAD_BYTES);
  #messageBytes = 0;
  #closeReason = 'the connection was lost';

  private constructor(socket: Socket, events: RawWebSocketEvents) {
    this.#socket = socket;
    this.events = events;
  }

  /** Connects and resolves when the server has accepted. Throws the status with which it refuses. */
  static open(
    url: string,
    options: { headers?: Readonly<Record<string, string>>; events?: RawWebSocketEvents } = {},
  ): Promise<RawWebSocket> {
    const { hostname, port, pathname, search } = new URL(url);
    return new Promise((resolve, reject) => {
      let raw: RawWebSocket | null = null;
      let answer = '';
      const onread = {
        buffer: receiveBuffer,
        callback: (byteLength: number): boolean => {
          const bytes = receiveBuffer.subarray(0, byteLength);
          if (raw !== null) {
            raw.#receive(bytes);
            return true;
          }
          answer += bytes.toString('latin1');
          const end = answer.indexOf('\r\n\r\n');
          if (end === -1) return true;
          const status = answer.slice(0, answer.indexOf('\r\n'));
          if (!status.includes(' 101 ')) {
            reject(new Error(`The websocket was refused: ${status} ${answer.slice(end + 4)}`));
            socket.destroy();
            return true;
          }
          const opened = new RawWebSocket(socket, options.events ?? {});
          raw = opened;
          resolve(opened);
          const rest = Buffer.from(answer.slice(end + 4), 'latin1');
          if (rest.length > 0) queueMicrotask(() => opened.#receive(rest));
          return true;
        },
      };
      const socket = connect({ host: hostname, port: Number(port), noDelay: true, onread });
      const lines = [
        `GET ${pathname}${search} HTTP/1.1`,
        `Host: ${hostname}:${port}`,
        'Connection: Upgrade',
        'Upgrade: websocket',
        'Sec-WebSocket-Version: 13',
        `Sec-WebSocket-Key: ${randomBytes(16).toString('base64')}`,
        ...Object.entries(options.headers ?? {}).map(([name, value]) => `${name}: ${value}`),
      ];
      socket.write(`${lines.join('\r\n')}\r\n\r\n`);
      socket.on('error', reject);
      socket.on('close', () => raw?.events.onClosed?.(raw.#closeReason));
    });
  }

  /** Reads nothing more, until the other end notices. */
  stopReading(): void {
    this.#socket.pause();
  }

  sendText(text: string): void {
    const bytes = new TextEncoder().encode(text);
    this.#socket.write(Buffer.concat([frameHeader(OPCODE_TEXT, bytes.length), masked(bytes)]));
  }

  /** Sends a message whose `tail` was masked before; `head` has a multiple of four bytes and is not masked yet. */
  sendBinary(head: Uint8Array, maskedTail: Uint8Array): void {
    const header = frameHeader(OPCODE_BINARY, head.length + maskedTail.length);
    this.#socket.cork();
    this.#socket.write(Buffer.concat([header, masked(head)]));
    this.#socket.write(maskedTail);
    this.#socket.uncork();
  }

  destroy(): void {
    this.#socket.destroy();
  }

  #receive(bytes: Buffer): void {
    let rest = bytes;
    while (rest.length > 0) {
      if (this.#left === 0) {
        const read = this.#readFrameHeader(rest);
        if (read === null) return;
        rest = read;
        if (this.#left === 0) this.#onFrameEnd();
        continue;
      }
      const taken = Math.min(this.#left, rest.length);
      this.#takePayload(rest.subarray(0, taken));
      this.#left -= taken;
      rest = rest.subarray(taken);
      if (this.#left === 0) this.#onFrameEnd();
    }
  }

  /** What follows the header, null when it is not complete. */
  #readFrameHeader(bytes: Buffer): Buffer | null {
    const input = this.#partial.length > 0 ? Buffer.concat([this.#partial, bytes]) : bytes;
    const short = input.length < 2 ? 0 : input[1]! & 0x7f;
    const headerBytes = short === 127 ? 10 : short === 126 ? 4 : 2;
    if (input.length < headerBytes) {
      this.#partial = Buffer.from(input);
      return null;
    }
    this.#partial = Buffer.alloc(0);
    this.#isFinal = (input[0]! & 0x80) !== 0;
    this.#opcode = input[0]! & 0x0f;
    if (this.#opcode === OPCODE_TEXT || this.#opcode === OPCODE_BINARY) {
      this.#messageOpcode = this.#opcode;
      this.#messageBytes = 0;
    }
    this.#left =
      short === 127 ? Number(input.readBigUInt64BE(2)) : short === 126 ? input.readUInt16BE(2) : short;
    return input.subarray(headerBytes);
  }

  #takePayload(bytes: Buffer): void {
    if (this.#isMedia) {
      if (this.#messageBytes < KEPT_HEAD_BYTES) bytes.copy(this.#head, this.#messageBytes);
      this.#messageBytes += bytes.length;
      return;
    }
    if (this.#left > MAX_TEXT_BYTES) throw new Error(`The server sent a text of ${this.#left} bytes.`);
    this.#text.push(Buffer.from(bytes));
  }

  #onFrameEnd(): void {
    if (this.#isMedia) {
      if (this.#isFinal) this.events.onMedia?.(this.#head, this.#messageBytes);
      return;
    }
    const payload = Buffer.concat(this.#text);
    this.#text = [];
    if (this.#opcode === OPCODE_TEXT) this.events.onText?.(payload.toString('utf8'));
    if (this.#opcode === OPCODE_PING) {
      this.#socket.write(Buffer.concat([frameHeader(OPCODE_PONG, payload.length), masked(payload)]));
    }
    if (this.#opcode === OPCODE_CLOSE) this.#closeReason = payload.subarray(2).toString('utf8');
  }

  get #isMedia(): boolean {
    const isData = this.#opcode === 0 || this.#opcode === OPCODE_BINARY;
    return isData && this.#messageOpcode === OPCODE_BINARY;
  }
}

/** A copy of `bytes` as a client must send it. The mask begins anew with every four bytes. */
export function masked(bytes: Uint8Array): Uint8Array {
  const result = new Uint8Array(bytes.length);
  for (let index = 0; index < bytes.length; index++) result[index] = bytes[index]! ^ MASK[index & 3]!;
  return result;
}

function frameHeader(opcode: number, byteLength: number): Buffer {
  const header = Buffer.alloc(14);
  header[0] = 0x80 | opcode;
  let length = 2;
  if (byteLength < 126) header[1] = 0x80 | byteLength;
  else if (byteLength < 65_536) {
    header[1] = 0x80 | 126;
    header.writeUInt16BE(byteLength, 2);
    length = 4;
  } else {
    header[1] = 0x80 | 127;
    header.writeBigUInt64BE(BigInt(byteLength), 2);
    length = 10;
  }
  header.set(MASK, length);
  return header.subarray(0, length + 4);
}
