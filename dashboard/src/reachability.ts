/** Whether the server can be reached; asks by itself until it can again. */
import { RELAY_ROUTES, type Schedule } from '@proofcast/shared';
import { shallowRef, type ShallowRef } from 'vue';
import { REACHABILITY_PROBE_MS } from './config.ts';

export type ReachabilityState = { kind: 'reachable' } | { kind: 'unreachable'; sinceMs: number };

export class Reachability {
  readonly state: ShallowRef<ReachabilityState> = shallowRef({ kind: 'reachable' });
  readonly #fetch: typeof fetch;
  readonly #schedule: Schedule;
  #cancelProbe: (() => void) | undefined;

  constructor(options: { fetch: typeof fetch; schedule: Schedule }) {
    this.#fetch = options.fetch;
    this.#schedule = options.schedule;
  }

  /** Takes the outcome of any request that was made. */
  note(isReached: boolean): void {
    if (isReached) {
      this.#cancelProbe?.();
      this.#cancelProbe = undefined;
      if (this.state.value.kind === 'unreachable') this.state.value = { kind: 'reachable' };
      return;
    }
    if (this.state.value.kind === 'reachable')
      this.state.value = { kind: 'unreachable', sinceMs: Date.now() };
    this.#cancelProbe ??= this.#schedule(() => void this.probe(), REACHABILITY_PROBE_MS);
  }

  /** Asks at once. */
  async probe(): Promise<void> {
    this.#cancelProbe?.();
    this.#cancelProbe = undefined;
    try {
      const response = await this.#fetch(RELAY_ROUTES.healthz.path, {
        signal: AbortSignal.timeout(REACHABILITY_PROBE_MS),
        cache: 'no-store',
      });
      this.note(response.ok);
    } catch {
      this.note(false); // Any failure to answer means the same: not there yet.
    }
  }

  close(): void {
    this.#cancelProbe?.();
    this.#cancelProbe = undefined;
  }
}
