import type { Logger } from 'pino';
import type { MediaClock } from '../media-clock.ts';
import type { Retention } from './retention.ts';

/** Sweeps once it has begun, and then every interval, counted from the end of the sweep before. */
export class RetentionSchedule {
  readonly #options: {
    readonly retention: Pick<Retention, 'sweep'>;
    readonly clock: MediaClock;
    readonly intervalMs: number;
    readonly log: Logger;
  };
  #cancel: (() => void) | null = null;
  #running: Promise<void> = Promise.resolve();
  #isClosed = false;
  #sweptAtMs: number | null = null;

  constructor(options: {
    retention: Pick<Retention, 'sweep'>;
    clock: MediaClock;
    intervalMs: number;
    log: Logger;
  }) {
    this.#options = options;
  }

  /** Called once. */
  begin(): void {
    this.#run();
  }

  /** When the last sweep ended, relay's clock; null before the first. */
  get sweptAtMs(): number | null {
    return this.#sweptAtMs;
  }

  /** Resolves when the sweep that runs has ended. Whoever closes the retention lets it end soon. Idempotent. */
  async close(): Promise<void> {
    this.#isClosed = true;
    this.#cancel?.();
    await this.#running;
  }

  #run(): void {
    const { retention, clock, intervalMs, log } = this.#options;
    this.#running = retention
      .sweep()
      .then(() => {
        this.#sweptAtMs = clock.nowMs();
      })
      .catch((error: unknown) => log.error({ err: error }, 'cannot look for old recordings'))
      .then(() => {
        if (!this.#isClosed) this.#cancel = clock.schedule(() => this.#run(), intervalMs);
      });
  }
}
