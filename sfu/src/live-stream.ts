import { CodedError, type Id } from '@proofcast/shared';
import type { Router, RtpCapabilities, WebRtcServer } from 'mediasoup/types';
import type { Logger } from 'pino';
import { MediaTransport } from './media-transport.ts';
import { Publisher, type PublisherClient } from './publisher.ts';
import type { StreamEndCode } from './stream-end.ts';
import { Viewer, type ViewerClient } from './viewer.ts';

/**
 * One stream while somebody publishes it: its router, its publisher and its viewers. Whatever ends it goes through
 * `close`, which tells everybody once. It ends with its publisher, unless another one is just taking over.
 */
export class LiveStream {
  readonly streamId: Id;
  readonly #router: Router;
  readonly #webRtcServer: WebRtcServer;
  readonly #maxViewers: number;
  readonly #log: Logger;
  readonly #onClosed: () => void;
  #publisher: Publisher | undefined;
  /** Publishers whose transport is being created; as long as there are any, the stream waits for them. */
  #arrivingPublishers = 0;
  readonly #viewers = new Set<Viewer>();
  #arrivingViewers = 0;
  #closedBy: StreamEndCode | undefined;

  constructor(options: {
    streamId: Id;
    router: Router;
    webRtcServer: WebRtcServer;
    maxViewers: number;
    log: Logger;
    onClosed: () => void;
  }) {
    this.streamId = options.streamId;
    this.#router = options.router;
    this.#webRtcServer = options.webRtcServer;
    this.#maxViewers = options.maxViewers;
    this.#log = options.log;
    this.#onClosed = options.onClosed;
    this.#router.on('workerclose', () => this.close('WORKER_DIED'));
  }

  /** What clients load their device with. */
  get rtpCapabilities(): RtpCapabilities {
    return this.#router.rtpCapabilities;
  }

  /**
   * Makes `client` the publisher. One that is there already is ended with `STREAM_TAKEN`; the viewers stay, lose its
   * consumers and are told of the new producers.
   */
  async addPublisher(client: PublisherClient): Promise<Publisher> {
    this.#arrivingPublishers += 1;
    try {
      const transport = await this.#openTransport();
      const publisher: Publisher = new Publisher({
        transport,
        client,
        onProducerAdded: (kind) => {
          for (const viewer of this.#viewers) viewer.client.producerAdded(kind);
        },
        onLeave: () => this.#removePublisher(publisher),
      });
      transport.onLost(() => this.#removePublisher(publisher));
      const previous = this.#publisher;
      this.#publisher = publisher;
      this.#log.info({ tookOver: previous !== undefined }, 'publisher joined');
      previous?.close();
      previous?.client.ended('STREAM_TAKEN');
      if (this.#viewers.size > 0) this.#announceViewers();
      return publisher;
    } finally {
      this.#arrivingPublishers -= 1;
      this.#closeWhenDeserted();
    }
  }

  async addViewer(client: ViewerClient): Promise<Viewer> {
    if (this.#viewers.size + this.#arrivingViewers >= this.#maxViewers) {
      throw new CodedError(
        'LIMIT_REACHED',
        `Cannot view stream ${this.streamId}: it has ${this.#maxViewers} viewers, which is the limit.`,
      );
    }
    this.#arrivingViewers += 1;
    let transport: MediaTransport;
    try {
      transport = await this.#openTransport();
    } finally {
      this.#arrivingViewers -= 1;
    }
    const viewer: Viewer = new Viewer({
      transport,
      client,
      router: this.#router,
      producers: () => this.#publisher?.producers ?? [],
      onLeave: () => this.#removeViewer(viewer),
    });
    transport.onLost(() => this.#removeViewer(viewer));
    this.#viewers.add(viewer);
    this.#announceViewers();
    return viewer;
  }

  /** Ends the stream for everybody, and tells them why. Idempotent. */
  close(code: StreamEndCode): void {
    if (this.#closedBy) return;
    this.#closedBy = code;
    this.#log.info({ code, viewers: this.#viewers.size }, 'stream closed');
    const ends = this.#publisher ? [this.#publisher, ...this.#viewers] : [...this.#viewers];
    this.#publisher = undefined;
    this.#viewers.clear();
    this.#onClosed();
    for (const end of ends) end.client.ended(code);
    this.#router.close();
    for (const end of ends) end.close();
  }

  /** Throws the code that closed the stream, when that happened while the worker was asked. */
  async #openTransport(): Promise<MediaTransport> {
    this.#throwIfClosed();
    let transport: MediaTransport;
    try {
      transport = await MediaTransport.open(this.#router, this.#webRtcServer);
    } catch (error) {
      this.#throwIfClosed();
      throw error;
    }
    try {
      this.#throwIfClosed();
    } catch (error) {
      transport.close();
      throw error;
    }
    return transport;
  }

  #throwIfClosed(): void {
    if (!this.#closedBy) return;
    throw new CodedError(this.#closedBy, `Cannot join stream ${this.streamId}: it was closed just now.`);
  }

  #removePublisher(publisher: Publisher): void {
    publisher.close();
    if (this.#publisher !== publisher) return;
    this.#publisher = undefined;
    this.#log.info('publisher left');
    this.#closeWhenDeserted();
  }

  #removeViewer(viewer: Viewer): void {
    viewer.close();
    if (this.#viewers.delete(viewer)) this.#announceViewers();
  }

  #closeWhenDeserted(): void {
    if (!this.#publisher && this.#arrivingPublishers === 0) this.close('STREAM_OFFLINE');
  }

  #announceViewers(): void {
    this.#publisher?.client.viewerCountChanged(this.#viewers.size);
  }
}
