import { CodedError, type Id } from '@proofcast/shared';
import type { Logger } from 'pino';
import { LiveStream } from './live-stream.ts';
import { askMediasoup } from './media-errors.ts';
import { MEDIA_CODECS } from './media-options.ts';
import type { Publisher, PublisherClient } from './publisher.ts';
import type { Viewer, ViewerClient } from './viewer.ts';
import type { Workers } from './workers.ts';

/** A stream is found by company and id together, so that nobody reaches across the border of a company. */
export interface StreamKey {
  readonly companyId: Id;
  readonly streamId: Id;
}

/** A place in a stream, with the stream it is in. */
export interface Joined<End> {
  readonly stream: LiveStream;
  readonly end: End;
}

/** All streams that are published on this SFU. */
export class LiveStreams {
  readonly #workers: Workers;
  readonly #maxViewersPerStream: number;
  readonly #log: Logger;
  readonly #opening = new Map<string, Promise<LiveStream>>();
  readonly #open = new Map<string, LiveStream>();
  #isClosed = false;

  constructor(options: { workers: Workers; maxViewersPerStream: number; log: Logger }) {
    this.#workers = options.workers;
    this.#maxViewersPerStream = options.maxViewersPerStream;
    this.#log = options.log;
  }

  async publish(key: StreamKey, client: PublisherClient): Promise<Joined<Publisher>> {
    const stream = this.#open.get(nameOf(key)) ?? (await this.#openOnce(key));
    return { stream, end: await stream.addPublisher(client) };
  }

  /**
   * Throws `STREAM_OFFLINE` when nobody of the company publishes the stream. Whether it exists, here or elsewhere, is
   * not known to the SFU and does not show in the answer.
   */
  async view(key: StreamKey, client: ViewerClient): Promise<Joined<Viewer>> {
    const stream = this.#open.get(nameOf(key));
    if (!stream) {
      throw new CodedError(
        'STREAM_OFFLINE',
        `Cannot view stream ${key.streamId}: nobody in your company publishes it at the moment.`,
      );
    }
    return { stream, end: await stream.addViewer(client) };
  }

  /** Ends all streams and lets none begin. Idempotent. */
  close(): void {
    this.#isClosed = true;
    for (const stream of this.#open.values()) stream.close('SHUTTING_DOWN');
  }

  /** Two connections that publish the same stream at the same time meet in the same router. */
  #openOnce(key: StreamKey): Promise<LiveStream> {
    const name = nameOf(key);
    const running = this.#opening.get(name);
    if (running) return running;
    const opening = this.#openStream(key).finally(() => this.#opening.delete(name));
    this.#opening.set(name, opening);
    return opening;
  }

  async #openStream(key: StreamKey): Promise<LiveStream> {
    const { router, worker } = await askMediasoup('open the stream', () =>
      this.#workers.openRouter(MEDIA_CODECS),
    );
    if (this.#isClosed) {
      router.close();
      throw new CodedError('SHUTTING_DOWN', 'Cannot open the stream: the SFU is shutting down.');
    }
    const name = nameOf(key);
    const log = this.#log.child({ ...key, workerPid: worker.pid });
    const stream = new LiveStream({
      streamId: key.streamId,
      router,
      webRtcServer: worker.webRtcServer,
      maxViewers: this.#maxViewersPerStream,
      log,
      onClosed: () => this.#open.delete(name),
    });
    this.#open.set(name, stream);
    log.info('stream opened');
    return stream;
  }
}

function nameOf(key: StreamKey): string {
  return `${key.companyId}/${key.streamId}`;
}
