import { once } from 'node:events';
import type { AddressInfo, Socket } from 'node:net';
import { decodeViewerFrame, type ViewerFrame } from '@proofcast/shared';
import { seededRandom } from '@proofcast/shared/testing/random';
import { setImmediate } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { WebSocket, WebSocketServer } from 'ws';
import { FrameSocket } from './frame-socket.ts';
import type { OutboxFrame } from './outbox.ts';

const random = seededRandom(3);
/** Around the borders at which a websocket header grows: 126 and 65,536 bytes of message, 32 of which are the head. */
const SIZES = [1, 93, 94, 95, 5_000, 65_503, 65_504, 65_505, 1024 * 1024];

const MAX_QUEUED_BYTES = 2 * 1024 * 1024;

/** Bytes before the payload that are free, as in a chunk that was received, too few, and none. */
const HEADROOMS = [null, 64, 40] as const;

function newFrame(byteLength: number, headroomBytes: number | null = null): OutboxFrame {
  const before = headroomBytes ?? 0;
  const bytes = random.bytes(100 + before + byteLength);
  const payload = bytes.subarray(100 + before);
  const headroom = headroomBytes === null ? null : bytes.subarray(100, 100 + before);
  return {
    kind: 'media',
    epoch: 2,
    sequence: 7,
    captureTimeUs: 5,
    isDiscontinuity: false,
    payload,
    headroom,
  };
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
    const frames = new FrameSocket(socket, request.socket, { maxQueuedBytes: MAX_QUEUED_BYTES });
    return { client, socket, transport: request.socket, received, frames };
  }

  /** Waits until the client has everything that was sent before. */
  async function flushed({ client, socket }: { client: WebSocket; socket: WebSocket }): Promise<void> {
    socket.ping();
    await once(client, 'ping');
  }

  const equals = (received: ViewerFrame | string | undefined, frame: OutboxFrame, channel: number): void => {
    if (typeof received !== 'object') throw new Error(`Expected a frame, not ${String(received)}.`);
    const { payload, ...head } = received;
    const { payload: sent, headroom: _headroom, ...sentHead } = frame;
    expect(head).toEqual({ ...sentHead, channel });
    expect(Buffer.compare(payload, sent)).toBe(0);
  };

  test.each(HEADROOMS)(
    '[V3] come as one message each, of every size, with text between them whole, headroom %s',
    async (headroomBytes) => {
      const peer = await connect();
      const sent = SIZES.map((size) => newFrame(size, headroomBytes));
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
    },
  );

  test.each(HEADROOMS)(
    '[V3] are the same for the first viewer of a channel number, those that follow, and one too many, headroom %s',
    async (headroomBytes) => {
      const peers = [await connect(), await connect(), await connect()];
      for (const size of SIZES) {
        const frame = newFrame(size, headroomBytes);
        const before = Buffer.from(frame.payload.buffer, 0, 100).toString('hex');
        for (const peer of peers)
          for (let channel = 1; channel <= 6; channel++) peer.frames.send(channel, frame);
        for (const peer of peers) {
          await flushed(peer);
          for (let channel = 1; channel <= 6; channel++) equals(peer.received.shift(), frame, channel);
        }
        expect(Buffer.from(frame.payload.buffer, 0, 100).toString('hex')).toBe(before);
      }
    },
  );

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

  test('[V5] of many who catch up pile up no higher than is allowed while the viewer takes nothing, and all come', async () => {
    const { client, transport, received, frames } = await connect();
    client.pause();
    const frame = newFrame(1024 * 1024);
    let begun = 0;
    let highest = 0;
    const turns = Array.from({ length: 64 }, (_, n) =>
      frames.inTurn(async () => {
        begun += 1;
        await setImmediate();
        frames.send(n, frame, () => undefined);
        highest = Math.max(highest, frames.bufferedBytes);
      }),
    );
    // The system's buffers are full, and nothing moves any more.
    let left = -1;
    for (let still = 0; still < 20; still = left === frames.leftBytes ? still + 1 : 0) {
      left = frames.leftBytes;
      for (let turn = 0; turn < 50; turn++) await setImmediate();
    }
    expect(begun).toBeLessThan(20);
    expect(frames.bufferedBytes).toBeGreaterThan(MAX_QUEUED_BYTES);
    client.resume();
    await Promise.all(turns);
    while (received.length < 64) await once(client, 'message');
    expect(received.map((each) => (typeof each === 'string' ? each : each.channel))).toEqual([
      ...Array.from({ length: 64 }).keys(),
    ]);
    expect(highest).toBeLessThan(MAX_QUEUED_BYTES + frame.payload.length + 100);
    expect(transport.writableLength).toBe(0);
  });

  test('a turn that fails is told to whoever took it, and to nobody else', async () => {
    const { frames } = await connect();
    const failing = frames.inTurn(() => Promise.reject(new Error('no disk')));
    const next = frames.inTurn(() => Promise.resolve());
    await expect(failing).rejects.toThrow('no disk');
    await next;
  });

  test('turns come also after the connection was lost, and the event loop goes on', async () => {
    const { client, socket, transport, frames } = await connect();
    client.pause();
    let turns = 0;
    const frame = newFrame(1024 * 1024);
    const takeTurns = async (): Promise<void> => {
      while (socket.readyState === socket.OPEN) {
        await frames.inTurn(() => {
          turns += 1;
          return new Promise((resolve) => frames.send(1, frame, resolve));
        });
      }
    };
    const taking = takeTurns();
    for (let turn = 0; turn < 200; turn++) await setImmediate();
    transport.destroy();
    await taking;
    expect(turns).toBeGreaterThan(1);
  });
});
