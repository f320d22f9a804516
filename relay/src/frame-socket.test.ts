import { once } from 'node:events';
import type { AddressInfo, Socket } from 'node:net';
import { decodeViewerFrame, type ViewerFrame } from '@proofcast/shared';
import { seededRandom } from '@proofcast/shared/testing/random';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { WebSocket, WebSocketServer } from 'ws';
import { FrameSocket } from './frame-socket.ts';
import type { OutboxFrame } from './outbox.ts';

const random = seededRandom(3);
/** Around the borders at which a websocket header grows: 126 and 65,536 bytes of message, 32 of which are the head. */
const SIZES = [1, 93, 94, 95, 5_000, 65_503, 65_504, 65_505, 1024 * 1024];

function newFrame(byteLength: number): OutboxFrame {
  const payload = random.bytes(byteLength);
  return { kind: 'media', epoch: 2, sequence: 7, captureTimeUs: 5, isDiscontinuity: false, payload };
}

describe('frames on a websocket', () => {
  let server: WebSocketServer;
  const clients: WebSocket[] = [];

  beforeEach(async () => {
    server = new WebSocketServer({ host: '127.0.0.1', port: 0, perMessageDeflate: false });
    await once(server, 'listening');
  });
  afterEach(() => {
    for (const client of clients.splice(0)) client.terminate();
    server.close();
  });

  /** Both ends; what the client gets is in `received`. */
  async function connect() {
    const client = new WebSocket(`ws://127.0.0.1:${(server.address() as AddressInfo).port}`);
    clients.push(client);
    const received: (ViewerFrame | string)[] = [];
    client.on('message', (data: Buffer, isBinary) =>
      received.push(isBinary ? decodeViewerFrame(data) : data.toString()),
    );
    const [socket, request] = (await once(server, 'connection')) as [WebSocket, { socket: Socket }];
    await once(client, 'open');
    return { client, socket, received, frames: new FrameSocket(socket, request.socket) };
  }

  /** Waits until the client has everything that was sent before. */
  async function flushed({ client, socket }: { client: WebSocket; socket: WebSocket }): Promise<void> {
    socket.ping();
    await once(client, 'ping');
  }

  const equals = (received: ViewerFrame | string | undefined, frame: OutboxFrame, channel: number): void => {
    if (typeof received !== 'object') throw new Error(`Expected a frame, not ${String(received)}.`);
    const { payload, ...head } = received;
    const { payload: sent, ...sentHead } = frame;
    expect(head).toEqual({ ...sentHead, channel });
    expect(Buffer.compare(payload, sent)).toBe(0);
  };

  test('[V3] come as one message each, of every size, with text between them whole', async () => {
    const peer = await connect();
    const sent = SIZES.map((size) => newFrame(size));
    for (const frame of sent) {
      peer.frames.send(9, frame);
      peer.socket.send('text');
      await new Promise<void>((resolve) => peer.frames.send(9, frame, resolve));
    }
    await flushed(peer);
    expect(peer.received).toHaveLength(sent.length * 3);
    for (const [n, frame] of sent.entries()) {
      equals(peer.received[3 * n], frame, 9);
      expect(peer.received[3 * n + 1]).toBe('text');
      equals(peer.received[3 * n + 2], frame, 9);
    }
  });

  test('[V3] are the same for the first viewer of a channel number, those that follow, and one too many', async () => {
    const peers = [await connect(), await connect(), await connect()];
    for (const size of SIZES) {
      const frame = newFrame(size);
      for (const peer of peers)
        for (let channel = 1; channel <= 6; channel++) peer.frames.send(channel, frame);
      for (const peer of peers) {
        await flushed(peer);
        for (let channel = 1; channel <= 6; channel++) equals(peer.received.shift(), frame, channel);
      }
    }
  });

  test('say when they have left, also after the socket was closed', async () => {
    const peer = await connect();
    peer.socket.close(4400, 'over');
    let isSent = false;
    const sent = new Promise<void>((resolve) =>
      peer.frames.send(1, newFrame(10), () => {
        isSent = true;
        resolve();
      }),
    );
    // Never at once: who is told sends again.
    expect(isSent).toBe(false);
    await sent;
    peer.frames.send(1, newFrame(10));
    await once(peer.client, 'close');
    expect(peer.received).toEqual([]);
  });
});
