/**
 * The way for a test, whose own network has no part in the test network, to a server that listens in a namespace. It
 * goes over a Unix socket, which belongs to the file system: nothing that is done to the test network touches it.
 */
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { connect, createServer, type AddressInfo, type Server, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { DoorOptions } from './door-process.ts';
import { startInNamespace, type NamespaceProcess } from './namespace-process.ts';
import type { NetNamespace } from './net-namespace.ts';

export class NamespaceDoor {
  readonly #folder: string;
  readonly #socketPath: string;
  readonly #process: NamespaceProcess;
  readonly #servers: Server[] = [];
  readonly #sockets = new Set<Socket>();
  #closing: Promise<void> | undefined;

  private constructor(folder: string, socketPath: string, inside: NamespaceProcess) {
    this.#folder = folder;
    this.#socketPath = socketPath;
    this.#process = inside;
  }

  static async open(namespace: NetNamespace): Promise<NamespaceDoor> {
    const folder = await mkdtemp(join(tmpdir(), 'proofcast-door-'));
    const options: DoorOptions = { socketPath: join(folder, 'door') };
    try {
      const inside = await startInNamespace(namespace, { file: 'door-process.ts', options });
      return new NamespaceDoor(folder, options.socketPath, inside);
    } catch (error) {
      await rm(folder, { recursive: true });
      throw error;
    }
  }

  /** The address under which this process reaches a port of the namespace's loopback device. */
  async reach(port: number): Promise<string> {
    const server = createServer((near) => {
      const far = connect(this.#socketPath);
      far.write(`${port}\n`);
      for (const [socket, other] of [
        [near, far],
        [far, near],
      ] as const) {
        this.#sockets.add(socket);
        socket.pipe(other);
        socket.on('error', () => other.destroy());
        socket.on('close', () => {
          this.#sockets.delete(socket);
          other.destroy();
        });
      }
    });
    this.#servers.push(server);
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  }

  /** Idempotent. */
  close(): Promise<void> {
    this.#closing ??= (async () => {
      for (const server of this.#servers) server.close();
      for (const socket of this.#sockets) socket.destroy();
      await this.#process.close();
      await rm(this.#folder, { recursive: true });
    })();
    return this.#closing;
  }
}
