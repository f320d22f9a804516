import { once } from 'node:events';
import { connect } from 'node:net';

export interface RawRequest {
  readonly path?: string;
  readonly headers?: Readonly<Record<string, string>>;
}

/** Sends a GET with exactly these headers, which `fetch` would not let pass, and returns the answer as text. */
export async function rawRequest(
  relayUrl: string,
  { path = '/', headers = {} }: RawRequest,
): Promise<string> {
  const { hostname, port, host } = new URL(relayUrl);
  const socket = connect(Number(port), hostname);
  let answer = '';
  socket.setEncoding('utf8');
  socket.on('data', (part: string) => (answer += part));
  const lines = Object.entries({ Host: host, Connection: 'close', ...headers });
  socket.write(
    `GET ${path} HTTP/1.1\r\n${lines.map(([name, value]) => `${name}: ${value}\r\n`).join('')}\r\n`,
  );
  await once(socket, 'end');
  socket.destroy();
  return answer;
}
