/**
 * Payloads that readers take from journals. Many readers who join or rewind together want the same ones: each is read
 * once while they do, and what was read lately is kept, up to a number of bytes for all recordings together.
 */
export class PayloadCache {
  readonly #maxBytes: number;
  /** From used longest ago to used last. */
  readonly #kept = new Map<string, Uint8Array>();
  readonly #reading = new Map<string, Promise<Uint8Array>>();
  #keptBytes = 0;

  constructor({ maxBytes }: { maxBytes: number }) {
    this.#maxBytes = maxBytes;
  }

  get keptBytes(): number {
    return this.#keptBytes;
  }

  /** What `read` yields, or yielded, for `key`. A failure is told to all who wait, and tried again by who asks next. */
  get(key: string, read: () => Promise<Uint8Array>): Promise<Uint8Array> {
    const kept = this.#kept.get(key);
    if (kept !== undefined) {
      this.#kept.delete(key);
      this.#kept.set(key, kept);
      return Promise.resolve(kept);
    }
    const underWay = this.#reading.get(key);
    if (underWay !== undefined) return underWay;
    const reading = read()
      .then((payload) => this.#keep(key, payload))
      .finally(() => this.#reading.delete(key));
    this.#reading.set(key, reading);
    return reading;
  }

  #keep(key: string, payload: Uint8Array): Uint8Array {
    if (payload.length > this.#maxBytes) return payload;
    this.#kept.set(key, payload);
    this.#keptBytes += payload.length;
    for (const [oldest, { length }] of this.#kept) {
      if (this.#keptBytes <= this.#maxBytes) break;
      this.#kept.delete(oldest);
      this.#keptBytes -= length;
    }
    return payload;
  }
}
