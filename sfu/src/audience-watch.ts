/** Who watches one stream, and whether its publisher has to send anything for that. */

export interface Audience {
  readonly viewerCount: number;
  /** Somebody watches, or did a moment ago. */
  readonly isWanted: boolean;
}

/**
 * Tells changes of the audience. When nobody wants the stream any more it stays wanted for a while: a viewer who goes
 * from the wall to the full view, or loads the page again, finds the encoder running.
 */
export class AudienceWatch {
  readonly #lingerMs: number;
  readonly #onChanged: (audience: Audience) => void;
  #audience: Audience = { viewerCount: 0, isWanted: false };
  #linger: NodeJS.Timeout | undefined;

  constructor(options: { lingerMs: number; onChanged: (audience: Audience) => void }) {
    this.#lingerMs = options.lingerMs;
    this.#onChanged = options.onChanged;
  }

  get audience(): Audience {
    return this.#audience;
  }

  set({ viewerCount, isWanted }: Audience): void {
    if (isWanted) this.#endLinger();
    else if (this.#audience.isWanted) this.#linger ??= setTimeout(() => this.#lose(), this.#lingerMs);
    this.#change({ viewerCount, isWanted: isWanted || this.#audience.isWanted });
  }

  /** Tells nothing any more. Idempotent. */
  close(): void {
    this.#endLinger();
  }

  #lose(): void {
    this.#endLinger();
    this.#change({ ...this.#audience, isWanted: false });
  }

  #endLinger(): void {
    clearTimeout(this.#linger);
    this.#linger = undefined;
  }

  #change(audience: Audience): void {
    const { viewerCount, isWanted } = this.#audience;
    this.#audience = audience;
    if (audience.viewerCount !== viewerCount || audience.isWanted !== isWanted) this.#onChanged(audience);
  }
}
