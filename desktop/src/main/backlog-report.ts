/** Tells the relay what waits on this disk: seldom while something does, and at once when nothing does any more. */

export interface Backlog {
  readonly bytes: number;
  readonly chunks: number;
}

export class BacklogReport {
  readonly #read: () => Backlog;
  readonly #send: (backlog: Backlog) => void;
  readonly #timer: NodeJS.Timeout;
  #toldChunks = 0;

  /** Begins at once; says nothing as long as nothing has waited for `intervalMs`. */
  constructor(options: { read: () => Backlog; send: (backlog: Backlog) => void; intervalMs: number }) {
    this.#read = options.read;
    this.#send = options.send;
    this.#timer = setInterval(() => {
      if (this.#read().chunks > 0) this.#tell();
    }, options.intervalMs);
  }

  /** The backlog has changed. */
  onChanged(): void {
    if (this.#toldChunks > 0 && this.#read().chunks === 0) this.#tell();
  }

  /** Idempotent. */
  close(): void {
    clearInterval(this.#timer);
  }

  #tell(): void {
    const backlog = this.#read();
    this.#toldChunks = backlog.chunks;
    this.#send(backlog);
  }
}
