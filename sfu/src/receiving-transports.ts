import { CodedError } from '@proofcast/shared';
import { MediaTransport } from './media-transport.ts';
import type { MediaWorker } from './media-worker.ts';

interface Entry {
  readonly opening: Promise<MediaTransport>;
  /** Once it is open. */
  transport: MediaTransport | undefined;
  stopWatching: () => void;
}

/**
 * The transports over which one connection receives: one from each worker, whatever the number of streams, so that a
 * wall has one bandwidth estimate and the next stream needs no new handshake. They stay until the connection ends.
 */
export class ReceivingTransports {
  readonly #entries = new Map<MediaWorker, Entry>();
  readonly #onLost: (transport: MediaTransport) => void;
  #isClosed = false;

  constructor(options: {
    /** The transport is closed: the client has ended it at its end, or its worker is gone. Not after `close`. */
    onLost: (transport: MediaTransport) => void;
  }) {
    this.#onLost = options.onLost;
  }

  on(worker: MediaWorker): Promise<MediaTransport> {
    const known = this.#entries.get(worker);
    if (known) return known.opening;
    const entry: Entry = {
      opening: MediaTransport.open(worker).then((transport) => this.#opened(worker, entry, transport)),
      transport: undefined,
      stopWatching: nothing,
    };
    this.#entries.set(worker, entry);
    entry.opening.catch(() => {
      if (this.#entries.get(worker) === entry) this.#entries.delete(worker);
    });
    return entry.opening;
  }

  find(transportId: string): MediaTransport | undefined {
    return this.#open().find(({ id }) => id === transportId);
  }

  /** Closes one; whoever asks for its worker next gets another one. */
  end(transport: MediaTransport): void {
    for (const [worker, entry] of this.#entries) {
      if (entry.transport !== transport) continue;
      entry.stopWatching();
      this.#entries.delete(worker);
    }
    transport.close();
  }

  /** Idempotent. */
  close(): void {
    this.#isClosed = true;
    for (const transport of this.#open()) this.end(transport);
    this.#entries.clear();
  }

  #open(): MediaTransport[] {
    return Array.from(this.#entries.values(), ({ transport }) => transport).filter(
      (one) => one !== undefined,
    );
  }

  #opened(worker: MediaWorker, entry: Entry, transport: MediaTransport): MediaTransport {
    if (this.#isClosed) {
      transport.close();
      throw new CodedError('UNAUTHENTICATED', 'Cannot open a transport: the connection is closed.');
    }
    const lose = (): void => {
      if (this.#entries.get(worker) !== entry) return;
      this.end(transport);
      this.#onLost(transport);
    };
    entry.transport = transport;
    // After the streams of the worker, which tell why.
    entry.stopWatching = worker.onGone(() => queueMicrotask(lose));
    transport.onLost(lose);
    return transport;
  }
}

const nothing = (): void => undefined;
