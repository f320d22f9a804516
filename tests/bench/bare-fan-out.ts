/**
 * What the relay's fan-out is measured against: a server that does nothing but send every message of a publisher to all
 * viewers, with the same library. Runs beside the benchmark as a helper.
 */
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { WebSocketServer, type WebSocket } from 'ws';
import { serveHelper } from './helper-process.ts';

const handlers = {
  async listen(): Promise<string> {
    const server = new WebSocketServer({ host: '127.0.0.1', port: 0, perMessageDeflate: false });
    const viewers = new Set<WebSocket>();
    server.on('connection', (socket, request) => {
      if (request.url === '/view') viewers.add(socket);
      else
        socket.on('message', (data: Buffer) => {
          for (const viewer of viewers) viewer.send(data, { binary: true });
        });
    });
    await once(server, 'listening');
    return `ws://127.0.0.1:${(server.address() as AddressInfo).port}`;
  },
};

export type BareFanOut = typeof handlers;

serveHelper(handlers);
