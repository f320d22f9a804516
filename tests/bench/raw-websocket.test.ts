import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { WebSocketServer, type WebSocket } from 'ws';
import { masked, RawWebSocket, type RawWebSocketEvents } from './raw-websocket.ts';

describe('a raw websocket', () => {
  let server: WebSocketServer;
  let url: string;
  let raw: RawWebSocket;

  const connect = async (events: RawWebSocketEvents = {}): Promise<WebSocket> => {
    const accepted = once(server, 'connection');
    raw = await RawWebSocket.open(url, { headers: { authorization: 'Bearer x' }, events });
    return ((await accepted) as [WebSocket])[0];
  };
  const bytes = (length: number) => Uint8Array.from({ length }, (_, index) => (index * 7) & 0xff);

  beforeEach(async () => {
    server = new WebSocketServer({ host: '127.0.0.1', port: 0 });
    await once(server, 'listening');
    url = `ws://127.0.0.1:${(server.address() as AddressInfo).port}/`;
  });
  afterEach(async () => {
    raw.destroy();
    for (const socket of server.clients) socket.terminate();
    server.close();
    await once(server, 'close');
  });

  it.each([4, 100, 5000, 100_000])('sends %i masked bytes that arrive as they were', async (length) => {
    const socket = await connect();
    const received = once(socket, 'message');
    raw.sendBinary(bytes(160), masked(bytes(length)));
    const [data, isBinary] = (await received) as [Buffer, boolean];
    expect(isBinary).toBe(true);
    expect(data.equals(Buffer.concat([bytes(160), bytes(length)]))).toBe(true);
  });

  it('counts what comes, in one frame or in fragments, and hears texts and pings between', async () => {
    const heard: string[] = [];
    const done = Promise.withResolvers<void>();
    const socket = await connect({
      onMedia: (head, byteLength) => {
        heard.push(`${byteLength} from ${head[0]}`);
        if (heard.length === 4) done.resolve();
      },
      onText: (text) => heard.push(text),
    });
    const ponged = once(socket, 'pong');
    socket.send(bytes(200_000));
    socket.send('hello');
    socket.ping('here');
    socket.send(bytes(32), { fin: false });
    socket.send(bytes(70_000), { fin: true });
    socket.send(bytes(3));
    await done.promise;
    expect(heard).toEqual(['200000 from 0', 'hello', '70032 from 0', '3 from 0']);
    expect(String((await ponged)[0])).toBe('here');
  });

  it('tells why it was closed, and that it was refused', async () => {
    const closed = Promise.withResolvers<string>();
    const socket = await connect({ onClosed: closed.resolve });
    socket.close(4000, 'STREAM_TAKEN');
    raw.destroy();
    await expect(closed.promise).resolves.toMatch(/STREAM_TAKEN|lost/);
    server.options.verifyClient = () => false;
    await expect(RawWebSocket.open(url)).rejects.toThrow('401');
  });
});
