import { CodedError, type Id, type ViewPreference } from '@proofcast/shared';
import type { RtpCapabilities } from 'mediasoup/types';
import type { Logger } from 'pino';
import { AwaitedStreams } from './awaited-streams.ts';
import type { SfuLimits } from './config.ts';
import { LiveStream } from './live-stream.ts';
import { offeredCapabilities } from './media-options.ts';
import type { Publisher, PublisherClient } from './publisher.ts';
import { Rebuilding } from './rebuilding.ts';
import { localPipes, type RouterPipes } from './router-pipes.ts';
import type { Viewer, ViewerClient } from './viewer.ts';
import type { Workers } from './workers.ts';

/** A stream is found by company and id together, so that nobody reaches across the border of a company. */
export interface StreamKey {
  readonly companyId: Id;
  readonly streamId: Id;
}

/** All streams that are published on this SFU. */
export class LiveStreams {
  readonly #workers: Workers;
  readonly #pipes: RouterPipes;
  readonly #limits: SfuLimits;
  readonly #log: Logger;
  readonly #opening = new Map<string, Promise<LiveStream>>();
  readonly #open = new Map<string, LiveStream>();
  readonly #rebuilding: Rebuilding;
  readonly #awaited = new AwaitedStreams();
  #isClosed = false;

  constructor(options: { workers: Workers; limits: SfuLimits; log: Logger; pipes?: RouterPipes }) {
    this.#workers = options.workers;
    this.#pipes = options.pipes ?? localPipes;
    this.#limits = options.limits;
    this.#log = options.log;
    this.#rebuilding = new Rebuilding(options.limits.rebuildWaitMs);
  }

  /** What clients load their device with. */
  get rtpCapabilities(): RtpCapabilities {
    return offeredCapabilities(this.#workers.rtpCapabilities);
  }

  get all(): readonly LiveStream[] {
    return [...this.#open.values()];
  }

  async publish(key: StreamKey, client: PublisherClient): Promise<Publisher> {
    const stream = this.#open.get(nameOf(key)) ?? (await this.#openOnce(key));
    return stream.addPublisher(client);
  }

  /**
   * Throws `STREAM_OFFLINE` when nobody of the company publishes the stream. Whether it exists, here or elsewhere, is
   * not known to the SFU and does not show in the answer. When its worker has just died, waits for its publisher.
   */
  async view(key: StreamKey, client: ViewerClient, preference?: ViewPreference): Promise<Viewer> {
    const name = nameOf(key);
    if (!this.#open.has(name)) await this.#rebuilding.wait(name);
    const stream = this.#open.get(name);
    if (!stream) {
      throw new CodedError(
        'STREAM_OFFLINE',
        `Cannot view stream ${key.streamId}: nobody in your company publishes it at the moment.`,
      );
    }
    return stream.addViewer(client, preference);
  }

  /**
   * Calls `tell` once when somebody of the company begins to send a picture of the stream, and never after the function
   * that it returns is called.
   */
  awaitPicture(key: StreamKey, tell: () => void): () => void {
    return this.#awaited.await(nameOf(key), tell);
  }

  /** Ends all streams and lets none begin. Idempotent. */
  close(): void {
    this.#isClosed = true;
    this.#rebuilding.close();
    for (const stream of this.all) stream.close('SHUTTING_DOWN');
  }

  /** Two connections that publish the same stream at the same time meet on the same worker. */
  #openOnce(key: StreamKey): Promise<LiveStream> {
    const name = nameOf(key);
    const running = this.#opening.get(name);
    if (running) return running;
    const opening = this.#openStream(key).finally(() => this.#opening.delete(name));
    this.#opening.set(name, opening);
    return opening;
  }

  async #openStream(key: StreamKey): Promise<LiveStream> {
    const home = await this.#workers.placeStream(key.companyId);
    if (this.#isClosed) {
      throw new CodedError('SHUTTING_DOWN', 'Cannot open the stream: the SFU is shutting down.');
    }
    const name = nameOf(key);
    const log = this.#log.child({ ...key, workerPid: home.pid });
    const stream = new LiveStream({
      ...key,
      home,
      nextWorker: (taken) => this.#workers.leastLoadedBeside(taken),
      pipes: this.#pipes,
      limits: this.#limits,
      log,
      onPicture: () => this.#awaited.arrived(name),
      onClosed: (code) => {
        this.#open.delete(name);
        if (code === 'WORKER_DIED') this.#rebuilding.expect(name);
      },
    });
    this.#open.set(name, stream);
    this.#rebuilding.arrived(name);
    log.info('stream opened');
    return stream;
  }
}

function nameOf(key: StreamKey): string {
  return `${key.companyId}/${key.streamId}`;
}
