/** One mediasoup worker process with its one port and its one router, and the watch over it. */
import { createServer } from 'node:net';
import type { Id } from '@proofcast/shared';
import { createWorker } from 'mediasoup';
import type { Router, Transport, WebRtcServer, Worker } from 'mediasoup/types';
import type { Logger } from 'pino';
import type { SfuLimits } from './config.ts';
import { MEDIA_CODECS } from './media-options.ts';

export interface MediaWorkerOptions {
  readonly mediaAddress: string;
  readonly announcedAddress: string | undefined;
  /** Of both UDP and TCP; 0 = any free port. */
  readonly port: number;
  readonly limits: SfuLimits;
  readonly log: Logger;
}

export class MediaWorker {
  readonly webRtcServer: WebRtcServer;
  /** Shared by all streams of the worker, so that a viewer receives all of them over one transport. */
  readonly router: Router;
  readonly #worker: Worker;
  readonly #options: MediaWorkerOptions;
  readonly #pingTimer: NodeJS.Timeout;
  readonly #onGone = new Set<() => void>();
  /** Streams that are published here, by company. */
  readonly #homes = new Map<Id, number>();
  #load = 0;

  private constructor(
    parts: { worker: Worker; webRtcServer: WebRtcServer; router: Router },
    options: MediaWorkerOptions,
  ) {
    this.#worker = parts.worker;
    this.webRtcServer = parts.webRtcServer;
    this.router = parts.router;
    this.#options = options;
    this.#pingTimer = setInterval(() => void this.#ping(), options.limits.workerPingIntervalMs);
    this.router.observer.on('newtransport', (transport) => this.#count(transport));
    // Whether the process died or was ended.
    this.router.on('workerclose', () => {
      clearInterval(this.#pingTimer);
      for (const callback of this.#onGone) callback();
    });
  }

  /** Starts the process and takes its port; rejects when either fails. */
  static async open(options: MediaWorkerOptions): Promise<MediaWorker> {
    const worker = await createWorker({ logLevel: 'warn' });
    try {
      const webRtcServer = await openWebRtcServer(worker, options);
      const router = await worker.createRouter({ mediaCodecs: MEDIA_CODECS });
      return new MediaWorker({ worker, webRtcServer, router }, options);
    } catch (cause) {
      await endProcess(worker, options);
      throw new Error(`Cannot take a port for media: ${(cause as Error).message}`, { cause });
    }
  }

  get pid(): number {
    return this.#worker.pid;
  }

  get isGone(): boolean {
    return this.#worker.closed;
  }

  /** Streams that live here, and transports, producers and consumers that are open; each costs about the same. */
  get load(): number {
    return this.#load;
  }

  /** How many streams of the company are published here. */
  homesOf(companyId: Id): number {
    return this.#homes.get(companyId) ?? 0;
  }

  /** Counts a stream of the company as published here, until the function that it returns is called. */
  takeHome(companyId: Id): () => void {
    // Counted before there is a transport, so that streams which start together are spread.
    this.#load += 1;
    this.#homes.set(companyId, this.homesOf(companyId) + 1);
    let isTaken = true;
    return () => {
      if (!isTaken) return;
      isTaken = false;
      this.#load -= 1;
      const left = this.homesOf(companyId) - 1;
      if (left > 0) this.#homes.set(companyId, left);
      else this.#homes.delete(companyId);
    };
  }

  /** Announces that the process and all that was in it is gone; returns how to stop listening. */
  onGone(callback: () => void): () => void {
    this.#onGone.add(callback);
    return () => this.#onGone.delete(callback);
  }

  /** Announces that the process is gone without having been closed. */
  onDied(callback: (error: Error) => void): void {
    this.#worker.on('died', callback);
  }

  /** Resolves when the process has ended. Idempotent. */
  async close(): Promise<void> {
    clearInterval(this.#pingTimer);
    await endProcess(this.#worker, this.#options);
  }

  #count(transport: Transport): void {
    const add = (part: { observer: { once(event: 'close', callback: () => void): unknown } }): void => {
      this.#load += 1;
      part.observer.once('close', () => (this.#load -= 1));
    };
    add(transport);
    transport.observer.on('newproducer', add);
    transport.observer.on('newconsumer', add);
  }

  /** A process that hangs would leave every request to it waiting for ever; killed, it is replaced. */
  async #ping(): Promise<void> {
    if (this.#worker.closed) return;
    const timer = setTimeout(
      () => kill(this.#worker, this.#options.log, 'does not answer'),
      this.#options.limits.workerPingTimeoutMs,
    );
    try {
      await this.#worker.getResourceUsage();
    } catch (error) {
      if (!this.#worker.closed)
        kill(this.#worker, this.#options.log, `cannot be asked: ${(error as Error).message}`);
    } finally {
      clearTimeout(timer);
    }
  }
}

async function endProcess(worker: Worker, { limits, log }: MediaWorkerOptions): Promise<void> {
  if (worker.subprocessClosed) return;
  await new Promise<void>((resolve) => {
    const timer = setTimeout(() => kill(worker, log, 'does not end'), limits.workerCloseTimeoutMs);
    worker.on('subprocessclose', () => {
      clearTimeout(timer);
      resolve();
    });
    try {
      worker.close();
    } catch (error) {
      kill(worker, log, `cannot be closed: ${(error as Error).message}`);
    }
  });
}

function kill(worker: Worker, log: Logger, reason: string): void {
  if (worker.subprocessClosed) return;
  log.error({ workerPid: worker.pid, reason }, 'killing media worker');
  try {
    process.kill(worker.pid, 'SIGKILL');
  } catch (error) {
    // It ended by itself a moment ago; the event that says so is on its way.
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
  }
}

async function openWebRtcServer(worker: Worker, options: MediaWorkerOptions): Promise<WebRtcServer> {
  if (options.port !== 0) return createWebRtcServer(worker, options, options.port);
  for (let attempt = 1; ; attempt += 1) {
    try {
      return await createWebRtcServer(worker, options, await freePort(options.mediaAddress));
    } catch (error) {
      if (attempt === options.limits.mediaPortAttempts) throw error;
    }
  }
}

function createWebRtcServer(
  worker: Worker,
  options: MediaWorkerOptions,
  port: number,
): Promise<WebRtcServer> {
  const address = {
    ip: options.mediaAddress,
    port,
    ...(options.announcedAddress ? { announcedAddress: options.announcedAddress } : {}),
  };
  return worker.createWebRtcServer({
    listenInfos: [
      { protocol: 'udp', ...address },
      { protocol: 'tcp', ...address },
    ],
  });
}

function freePort(host: string): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once('error', reject);
    server.listen({ host, port: 0 }, () => {
      const address = server.address();
      server.close(() => resolve(typeof address === 'object' && address ? address.port : 0));
    });
  });
}
