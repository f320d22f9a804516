/**
 * The relay's clock as the `Date` of its answers tells it (RFC 9110, 6.6.1), for where no websocket does. A date is cut
 * to whole seconds, so each answer gives an interval in which the difference of the clocks lies; answers at different
 * moments narrow it down.
 */

/** What a date leaves out. */
const DATE_RESOLUTION_MS = 1_000;

export interface DatedAnswer {
  readonly sentAtMs: number;
  readonly receivedAtMs: number;
  /** Value of the header; null when there was none. */
  readonly date: string | null;
}

export class HttpClock {
  /** In which relay's clock minus this browser's lies. */
  #offset: { readonly fromMs: number; readonly toMs: number } | null = null;

  /** Relay's clock minus this browser's, in milliseconds; null before the first answer. */
  get offsetMs(): number | null {
    return this.#offset === null ? null : (this.#offset.fromMs + this.#offset.toMs) / 2;
  }

  take({ sentAtMs, receivedAtMs, date }: DatedAnswer): void {
    const dateMs = date === null ? Number.NaN : Date.parse(date);
    if (Number.isNaN(dateMs)) return;
    const fromMs = dateMs - receivedAtMs;
    const toMs = dateMs + DATE_RESOLUTION_MS - sentAtMs;
    const known = this.#offset;
    const narrowed =
      known && known.fromMs <= toMs && fromMs <= known.toMs
        ? { fromMs: Math.max(known.fromMs, fromMs), toMs: Math.min(known.toMs, toMs) }
        : { fromMs, toMs };
    this.#offset = narrowed;
  }
}
