/**
 * The proxy of a strict company network: plain HTTP and CONNECT only to what is allowed, everything else refused and
 * counted. A Chromium behind it (with UDP that does not go through the proxy disabled) has no way to the media ports
 * of an SFU, neither by UDP nor by TCP.
 */
import { once } from 'node:events';
import { createServer, request as httpRequest } from 'node:http';
import { connect, type AddressInfo, type Socket } from 'node:net';

export interface StrictProxy {
  readonly url: string;
  /** `host:port` of every connection that was refused, in order. */
  readonly refused: readonly string[];
  close(): Promise<void>;
}

/** Arguments with which Chromium sends everything, WebRTC and loopback included, through its proxy or not at all. */
export const BEHIND_PROXY_ARGUMENTS = ['--webrtc-ip-handling-policy=disable_non_proxied_udp'];

export async function startStrictProxy(allowed: readonly string[]): Promise<StrictProxy> {
  const refused: string[] = [];
  const sockets = new Set<Socket>();
  const isAllowed = (target: string) => {
    if (allowed.includes(target)) return true;
    refused.push(target);
    return false;
  };
  const server = createServer((incoming, response) => {
    const url = new URL(incoming.url ?? '/', 'http://invalid');
    if (!isAllowed(url.host)) {
      response.writeHead(403).end();
      return;
    }
    const outgoing = httpRequest(url, { method: incoming.method, headers: incoming.headers }, (answer) => {
      response.writeHead(answer.statusCode ?? 502, answer.headers);
      answer.pipe(response);
    });
    outgoing.on('error', () => response.destroy());
    response.on('close', () => outgoing.destroy());
    incoming.pipe(outgoing);
  });
  server.on('connection', (socket) => {
    sockets.add(socket);
    socket.on('close', () => sockets.delete(socket));
  });
  server.on('connect', (incoming, client: Socket, head) => {
    const target = incoming.url ?? '';
    if (!isAllowed(target)) {
      client.end('HTTP/1.1 403 Forbidden\r\n\r\n');
      return;
    }
    const [host, port] = target.split(':');
    const upstream = connect(Number(port), host, () => {
      client.write('HTTP/1.1 200 Connection Established\r\n\r\n');
      upstream.write(head);
      upstream.pipe(client).pipe(upstream);
    });
    upstream.on('error', () => client.destroy());
    client.on('error', () => upstream.destroy());
    client.on('close', () => upstream.destroy());
    upstream.on('close', () => client.destroy());
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  return {
    url: `http://127.0.0.1:${port}`,
    refused,
    async close() {
      for (const socket of sockets) socket.destroy();
      server.close();
      await once(server, 'close');
    },
  };
}
