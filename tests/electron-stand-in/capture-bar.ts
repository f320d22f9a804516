/**
 * Test code: Chromium shows a bar over a screen that is shared, which Electron does not. It covers what is captured,
 * so it is hidden as soon as it appears. Speaks just enough of the X Window System Protocol (version 11, X.Org).
 */
import { createConnection, type Socket } from 'node:net';

const BAR_TITLE = /is sharing your screen\.$/;

const CHANGE_WINDOW_ATTRIBUTES = 2;
const UNMAP_WINDOW = 10;
const GET_PROPERTY = 20;
const MAP_NOTIFY = 19;
const REPLY = 1;
const WM_NAME = 39;
const EVENT_MASK_ATTRIBUTE = 0x800;
const SUBSTRUCTURE_NOTIFY_MASK = 0x80000;
/** Events and errors have this size, replies at least. */
const PACKET_BYTES = 32;

/** Resolves when the watch has begun; it ends with this process, or with the X server. */
export function hideCaptureBar(display: string): Promise<void> {
  const socket = createConnection(`/tmp/.X11-unix/X${display.replace(/^:(\d+).*$/, '$1')}`);
  socket.unref();
  // Little-endian, protocol 11.0, without authorisation.
  socket.write(Buffer.from([0x6c, 0, 11, 0, 0, 0, 0, 0, 0, 0, 0, 0]));
  return new Promise((resolve, reject) => {
    socket.on('error', reject);
    let received: Buffer = Buffer.alloc(0);
    let isSetUp = false;
    /** Windows whose titles were asked for, in the order of the answers. */
    const asked: number[] = [];
    socket.on('data', (data) => {
      received = Buffer.concat([received, data]);
      for (let packet = take(); packet; packet = take()) {
        if (!isSetUp) {
          isSetUp = true;
          request(socket, CHANGE_WINDOW_ATTRIBUTES, [
            rootWindowIn(packet),
            EVENT_MASK_ATTRIBUTE,
            SUBSTRUCTURE_NOTIFY_MASK,
          ]);
          resolve();
        } else if (packet[0] === REPLY) {
          const window = asked.shift() ?? 0;
          const title = packet.toString('utf8', PACKET_BYTES, PACKET_BYTES + packet.readUInt32LE(16));
          if (BAR_TITLE.test(title)) request(socket, UNMAP_WINDOW, [window]);
        } else if (((packet[0] ?? 0) & 0x7f) === MAP_NOTIFY) {
          const window = packet.readUInt32LE(8);
          asked.push(window);
          request(socket, GET_PROPERTY, [window, WM_NAME, 0, 0, 64]);
        }
      }
    });

    function take(): Buffer | null {
      if (received.length < (isSetUp ? PACKET_BYTES : 8)) return null;
      const isLonger = !isSetUp || received[0] === REPLY;
      const units = isSetUp ? received.readUInt32LE(4) : received.readUInt16LE(6);
      const length = (isSetUp ? PACKET_BYTES : 8) + (isLonger ? units * 4 : 0);
      if (received.length < length) return null;
      const packet = received.subarray(0, length);
      received = received.subarray(length);
      return packet;
    }
  });
}

/** The root window of the first screen, behind the name of the vendor and the list of pixmap formats. */
function rootWindowIn(setup: Buffer): number {
  const vendorBytes = Math.ceil(setup.readUInt16LE(24) / 4) * 4;
  const formats = setup[29] ?? 0;
  return setup.readUInt32LE(40 + vendorBytes + 8 * formats);
}

function request(socket: Socket, opcode: number, words: number[]): void {
  const bytes = Buffer.alloc(4 + words.length * 4);
  bytes[0] = opcode;
  bytes.writeUInt16LE(words.length + 1, 2);
  words.forEach((word, index) => bytes.writeUInt32LE(word, 4 + index * 4));
  socket.write(bytes);
}
