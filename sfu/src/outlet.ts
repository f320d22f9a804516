import type { Producer } from 'mediasoup/types';
import type { MediaWorker } from './media-worker.ts';
import type { Pipe, RouterPipes } from './router-pipes.ts';
import type { Viewer } from './viewer.ts';

/**
 * Where viewers of one stream get it: on the worker of the publisher itself, or on another one, to which each producer
 * is piped once. Pipes live as long as the outlet, which the stream closes with its last viewer.
 */
export class Outlet {
  readonly worker: MediaWorker;
  readonly viewers = new Set<Viewer>();
  /** Viewers whose transport is being opened. */
  arriving = 0;
  readonly #home: MediaWorker;
  readonly #pipes: RouterPipes;
  readonly #piped = new Map<string, Promise<Pipe>>();
  readonly #stopWatching: () => void;
  #isClosed = false;

  constructor(options: {
    worker: MediaWorker;
    home: MediaWorker;
    pipes: RouterPipes;
    /** The worker is gone, and everything here with it. */
    onGone: () => void;
  }) {
    this.worker = options.worker;
    this.#home = options.home;
    this.#pipes = options.pipes;
    this.#stopWatching = options.worker.onGone(options.onGone);
  }

  get viewerCount(): number {
    return this.viewers.size + this.arriving;
  }

  /** `producer` of the home worker as it is known here; undefined when it was closed meanwhile. */
  async take(producer: Producer): Promise<Producer | undefined> {
    if (this.worker === this.#home) return producer.closed ? undefined : producer;
    try {
      const { producer: copy } = await this.#pipe(producer);
      return copy.closed ? undefined : copy;
    } catch (error) {
      if (producer.closed) return undefined;
      throw error;
    }
  }

  /** Ends the pipes; viewers are the stream's. Idempotent. */
  close(): void {
    this.#isClosed = true;
    this.#stopWatching();
    for (const opening of this.#piped.values()) void opening.then(closePipe, nothing);
    this.#piped.clear();
  }

  #pipe(producer: Producer): Promise<Pipe> {
    const known = this.#piped.get(producer.id);
    if (known) return known;
    const forget = (): void => void this.#piped.delete(producer.id);
    const opening = this.#pipes.open(producer, this.#home, this.worker);
    this.#piped.set(producer.id, opening);
    producer.observer.once('close', forget);
    opening.then((pipe) => {
      if (this.#isClosed) pipe.close();
    }, forget);
    return opening;
  }
}

function closePipe(pipe: Pipe): void {
  pipe.close();
}

const nothing = (): void => undefined;
