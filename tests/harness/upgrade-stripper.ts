/**
 * A proxy in front of a server, of the kind that breaks websockets: it passes plain HTTP on and drops the `Upgrade`. It
 * can also keep back every body that does not end, as proxies that look for viruses do, or let everything through.
 */
import { once } from 'node:events';
import { createServer, request as httpRequest, type IncomingMessage, type ServerResponse } from 'node:http';
import { connect, type AddressInfo, type Socket } from 'node:net';

/** `open`: everything passes. `stripping`: no websockets. `holding-back`: nor bodies that do not end. */
export type StripperMode = 'open' | 'stripping' | 'holding-back';

export class UpgradeStripper {
  readonly #target: URL;
  readonly #server = createServer((incoming, response) => this.#forward(incoming, response));
  readonly #sockets = new Set<Socket>();
  #mode: StripperMode = 'stripping';
  /** Upgrades that were asked for and not passed on. */
  strippedCount = 0;

  /** `target` is the address of the server, `http://host:port`. */
  constructor(target: string) {
    this.#target = new URL(target);
    this.#server.on('connection', (socket) => this.#keep(socket));
    this.#server.on('upgrade', (incoming, socket: Socket, head) => this.#upgrade(incoming, socket, head));
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  async listen(): Promise<void> {
    this.#server.listen(0, '127.0.0.1');
    await once(this.#server, 'listening');
  }

  /** From now on; what is open is cut, so that it is felt. */
  setMode(mode: StripperMode): void {
    this.#mode = mode;
    for (const socket of this.#sockets) socket.destroy();
  }

  async close(): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    this.#server.close();
    await once(this.#server, 'close');
  }

  #keep(socket: Socket): void {
    this.#sockets.add(socket);
    socket.on('close', () => this.#sockets.delete(socket));
    socket.on('error', () => socket.destroy());
  }

  #forward(incoming: IncomingMessage, response: ServerResponse): void {
    const outgoing = httpRequest(
      new URL(incoming.url ?? '/', this.#target),
      { method: incoming.method, headers: incoming.headers },
      (answer) => {
        const isHeldBack = this.#mode === 'holding-back' && answer.headers['content-length'] === undefined;
        response.writeHead(answer.statusCode ?? 502, answer.headers);
        if (!isHeldBack) return void answer.pipe(response);
        const parts: Buffer[] = [];
        answer.on('data', (part: Buffer) => parts.push(part));
        answer.on('end', () => response.end(Buffer.concat(parts)));
      },
    );
    outgoing.on('error', () => response.destroy());
    response.on('close', () => outgoing.destroy());
    incoming.pipe(outgoing);
  }

  #upgrade(incoming: IncomingMessage, socket: Socket, head: Buffer): void {
    if (this.#mode === 'open') return this.#tunnel(incoming, socket, head);
    this.strippedCount += 1;
    const headers = Object.fromEntries(
      Object.entries(incoming.headers).filter(([name]) => !['upgrade', 'connection'].includes(name)),
    );
    const outgoing = httpRequest(new URL(incoming.url ?? '/', this.#target), { headers }, (answer) => {
      socket.end(`HTTP/1.1 ${answer.statusCode} ${answer.statusMessage}\r\nConnection: close\r\n\r\n`);
      answer.resume();
    });
    outgoing.on('error', () => socket.destroy());
    outgoing.end();
  }

  #tunnel(incoming: IncomingMessage, near: Socket, head: Buffer): void {
    const far = connect(Number(this.#target.port), this.#target.hostname, () => {
      const lines = incoming.rawHeaders.flatMap((name, index, all) =>
        index % 2 === 0 ? [`${name}: ${all[index + 1]}`] : [],
      );
      far.write(`${incoming.method} ${incoming.url} HTTP/1.1\r\n${lines.join('\r\n')}\r\n\r\n`);
      far.write(head);
      far.pipe(near).pipe(far);
    });
    this.#keep(far);
    far.on('close', () => near.destroy());
    near.on('close', () => far.destroy());
  }
}
