import { CodedError, type Id, type ViewPreference } from '@proofcast/shared';
import type { Logger } from 'pino';
import { AudienceWatch } from './audience-watch.ts';
import type { SfuLimits } from './config.ts';
import { MediaTransport } from './media-transport.ts';
import type { MediaWorker } from './media-worker.ts';
import { Outlet } from './outlet.ts';
import { Publisher, type PublisherClient } from './publisher.ts';
import type { RouterPipes } from './router-pipes.ts';
import type { StreamEndCode } from './stream-end.ts';
import { Viewer, type ViewerClient } from './viewer.ts';

export interface LiveStreamOptions {
  readonly companyId: Id;
  readonly streamId: Id;
  /** The worker of the publisher. */
  readonly home: MediaWorker;
  /** The best worker for viewers beside those that serve some already. */
  readonly nextWorker: (taken: ReadonlySet<MediaWorker>) => MediaWorker | undefined;
  readonly pipes: RouterPipes;
  readonly limits: SfuLimits;
  readonly log: Logger;
  /** A publisher has begun to send a picture. */
  readonly onPicture: () => void;
  readonly onClosed: (code: StreamEndCode) => void;
}

/**
 * One stream while somebody publishes it: its publisher, its viewers, and the workers that serve them. Whatever ends it
 * goes through `close`, which tells everybody once. It ends with its publisher, unless another one is just taking over.
 */
export class LiveStream {
  readonly companyId: Id;
  readonly streamId: Id;
  readonly home: MediaWorker;
  readonly #options: LiveStreamOptions;
  readonly #log: Logger;
  readonly #audience: AudienceWatch;
  /** The first one is that of the home worker, and stays. */
  readonly #outlets: [Outlet, ...Outlet[]];
  readonly #leaveHome: () => void;
  #publisher: Publisher | undefined;
  /** Publishers whose transport is being created; as long as there are any, the stream waits for them. */
  #arrivingPublishers = 0;
  /** What viewers know of the way from the publisher. */
  #toldDelayMs: number | null = null;
  #closedBy: StreamEndCode | undefined;

  constructor(options: LiveStreamOptions) {
    this.companyId = options.companyId;
    this.streamId = options.streamId;
    this.home = options.home;
    this.#options = options;
    this.#log = options.log;
    this.#audience = new AudienceWatch({
      lingerMs: options.limits.audienceLingerMs,
      onChanged: (audience) => this.#publisher?.client.audienceChanged(audience),
    });
    this.#leaveHome = options.home.takeHome(options.companyId);
    this.#outlets = [this.#openOutlet(options.home, () => this.close('WORKER_DIED'))];
  }

  get publisher(): Publisher | undefined {
    return this.#publisher;
  }

  get isWanted(): boolean {
    return this.#audience.audience.isWanted;
  }

  get viewers(): readonly Viewer[] {
    return this.#outlets.flatMap((outlet) => [...outlet.viewers]);
  }

  /** How many workers serve its viewers; the one of the publisher counts always. */
  get outletCount(): number {
    return this.#outlets.length;
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
          for (const viewer of this.viewers) viewer.client.producerAdded(kind);
          if (kind === 'video') this.#options.onPicture();
        },
        onReport: (delayMs) => {
          if (this.#publisher === publisher) this.#tellDelay(delayMs);
        },
        onLeave: () => this.#removePublisher(publisher),
      });
      transport.onLost(() => this.#removePublisher(publisher));
      const previous = this.#publisher;
      this.#publisher = publisher;
      this.#log.info({ tookOver: previous !== undefined }, 'publisher joined');
      previous?.close();
      previous?.client.ended('STREAM_TAKEN');
      if (this.#toldDelayMs !== null) this.#tellDelay(null);
      const { audience } = this.#audience;
      if (audience.viewerCount > 0 || audience.isWanted) client.audienceChanged(audience);
      return publisher;
    } finally {
      this.#arrivingPublishers -= 1;
      this.#closeWhenDeserted();
    }
  }

  async addViewer(client: ViewerClient, preference?: ViewPreference): Promise<Viewer> {
    this.#throwIfClosed();
    const outlet = this.#chooseOutlet();
    outlet.arriving += 1;
    try {
      const transport = await this.#unlessClosed(client.transportOn(outlet.worker));
      if (outlet.worker.isGone) {
        const message = `Cannot view stream ${this.streamId}: its media worker is gone.`;
        throw new CodedError('WORKER_DIED', message);
      }
      const viewer: Viewer = new Viewer({
        transport,
        client,
        outlet,
        preference,
        producers: () => this.#publisher?.producers ?? [],
        onWantedChanged: () => this.#countAudience(),
        onLeave: () => this.#removeViewer(viewer),
      });
      outlet.viewers.add(viewer);
      if (this.#toldDelayMs !== null) client.sendingDelayed(this.#toldDelayMs);
      this.#countAudience();
      return viewer;
    } finally {
      outlet.arriving -= 1;
      this.#closeWhenEmpty(outlet);
    }
  }

  /** Ends the stream for everybody, and tells them why. Idempotent. */
  close(code: StreamEndCode): void {
    if (this.#closedBy) return;
    this.#closedBy = code;
    const { viewers } = this;
    this.#log.info({ code, viewers: viewers.length }, 'stream closed');
    const ends = this.#publisher ? [this.#publisher, ...viewers] : viewers;
    this.#publisher = undefined;
    this.#audience.close();
    this.#leaveHome();
    this.#options.onClosed(code);
    for (const outlet of this.#outlets) {
      outlet.viewers.clear();
      outlet.close();
    }
    for (const end of ends) end.client.ended(code);
    for (const end of ends) end.close();
  }

  #tellDelay(delayMs: number | null): void {
    this.#toldDelayMs = delayMs;
    for (const viewer of this.viewers) viewer.client.sendingDelayed(delayMs);
  }

  /**
   * Home first, then the other workers that serve viewers already, then one more. When all are full, the one with the
   * fewest: what the machine has is shared rather than refused, up to the limit of the stream.
   */
  #chooseOutlet(): Outlet {
    const { maxViewersPerStream, maxViewersPerRouter } = this.#options.limits;
    const total = this.#outlets.reduce((sum, { viewerCount }) => sum + viewerCount, 0);
    if (total >= maxViewersPerStream) {
      throw new CodedError(
        'LIMIT_REACHED',
        `Cannot view stream ${this.streamId}: it has ${maxViewersPerStream} viewers, which is the limit.`,
      );
    }
    const roomy = this.#outlets.find(({ viewerCount }) => viewerCount < maxViewersPerRouter);
    if (roomy) return roomy;
    const worker = this.#options.nextWorker(new Set(this.#outlets.map((outlet) => outlet.worker)));
    if (worker) {
      const outlet: Outlet = this.#openOutlet(worker, () => this.#endOutlet(outlet, 'WORKER_DIED'));
      this.#outlets.push(outlet);
      this.#log.info(
        { workerPid: worker.pid, outlets: this.#outlets.length },
        'stream served from one more worker',
      );
      return outlet;
    }
    return this.#outlets.reduce((least, next) => (next.viewerCount < least.viewerCount ? next : least));
  }

  #openOutlet(worker: MediaWorker, onGone: () => void): Outlet {
    const { home, pipes } = this.#options;
    return new Outlet({ worker, home, pipes, onGone });
  }

  #closeWhenEmpty(outlet: Outlet): void {
    if (outlet.viewerCount === 0 && outlet !== this.#outlets[0]) this.#endOutlet(outlet, 'STREAM_OFFLINE');
  }

  /** Viewers that are still there hear `code`; the stream goes on for all others. */
  #endOutlet(outlet: Outlet, code: StreamEndCode): void {
    const index = this.#outlets.indexOf(outlet);
    if (index === -1) return;
    this.#outlets.splice(index, 1);
    const viewers = [...outlet.viewers];
    outlet.viewers.clear();
    outlet.close();
    for (const viewer of viewers) viewer.client.ended(code);
    for (const viewer of viewers) viewer.close();
    this.#countAudience();
  }

  async #openTransport(): Promise<MediaTransport> {
    this.#throwIfClosed();
    const opening = MediaTransport.open(this.home);
    try {
      return await this.#unlessClosed(opening);
    } catch (error) {
      opening.then((transport) => transport.close(), nothing);
      throw error;
    }
  }

  /** Throws the code that closed the stream, when that happened while the worker was asked. */
  async #unlessClosed<T>(operation: Promise<T>): Promise<T> {
    const [outcome] = await Promise.allSettled([operation]);
    this.#throwIfClosed();
    if (outcome.status === 'rejected') throw outcome.reason;
    return outcome.value;
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
    if (!viewer.outlet.viewers.delete(viewer)) return;
    this.#closeWhenEmpty(viewer.outlet);
    this.#countAudience();
  }

  #closeWhenDeserted(): void {
    if (!this.#publisher && this.#arrivingPublishers === 0) this.close('STREAM_OFFLINE');
  }

  #countAudience(): void {
    if (this.#closedBy) return;
    const { viewers } = this;
    this.#audience.set({ viewerCount: viewers.length, isWanted: viewers.some(({ isWanted }) => isWanted) });
  }
}

const nothing = (): void => undefined;
