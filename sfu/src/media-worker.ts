/** One mediasoup worker process with its one port, and the watch over it. */
import { createServer } from 'node:net';
import { createWorker } from 'mediasoup';
import type { Router, RouterRtpCodecCapability, Transport, WebRtcServer, Worker } from 'mediasoup/types';
import type { Logger } from 'pino';
import type { SfuLimits } from './config.ts';

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
  readonly #worker: Worker;
  readonly #options: MediaWorkerOptions;
  readonly #pingTimer: NodeJS.Timeout;
  #load = 0;

  private constructor(worker: Worker, webRtcServer: WebRtcServer, options: MediaWorkerOptions) {
    this.#worker = worker;
    this.webRtcServer = webRtcServer;
    this.#options = options;
    this.#pingTimer = setInterval(() => void this.#ping(), options.limits.workerPingIntervalMs);
    worker.on('died', () => clearInterval(this.#pingTimer));
  }

  /** Starts the process and takes its port; rejects when either fails. */
  static async open(options: MediaWorkerOptions): Promise<MediaWorker> {
    const worker = await createWorker({ logLevel: 'warn' });
    try {
      return new MediaWorker(worker, await openWebRtcServer(worker, options), options);
    } catch (cause) {
      await endProcess(worker, options);
      throw new Error(`Cannot take a port for media: ${(cause as Error).message}`, { cause });
    }
  }

  get pid(): number {
    return this.#worker.pid;
  }

  /** Routers and transports that are open or being opened; each costs about the same. */
  get load(): number {
    return this.#load;
  }

  async createRouter(mediaCodecs: RouterRtpCodecCapability[]): Promise<Router> {
    // Counted before it exists, so that streams which start together are spread.
    this.#load += 1;
    try {
      const router = await this.#worker.createRouter({ mediaCodecs });
      router.observer.on('newtransport', (transport) => this.#count(transport));
      router.observer.on('close', () => (this.#load -= 1));
      return router;
    } catch (error) {
      this.#load -= 1;
      throw error;
    }
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
    this.#load += 1;
    transport.observer.on('close', () => (this.#load -= 1));
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
