/**
 * The players that views use, one for each stream. A player outlives the view that let it go for a moment, so that the
 * next view of the same stream takes it over with its picture running.
 */
import type { Id, Schedule } from '@proofcast/shared';
import { PLAYER_LINGER_MS } from '../config.ts';

interface Entry<P> {
  readonly player: P;
  users: number;
  cancelClosing: () => void;
}

const nothing = (): void => undefined;

export class PlayerPool<P extends { close(): void }> {
  readonly #create: (streamId: Id) => P;
  readonly #schedule: Schedule;
  readonly #entries = new Map<Id, Entry<P>>();

  constructor(options: { create: (streamId: Id) => P; schedule: Schedule }) {
    this.#create = options.create;
    this.#schedule = options.schedule;
  }

  /** The player of a stream; give it back with `release`. */
  acquire(streamId: Id): P {
    let entry = this.#entries.get(streamId);
    if (!entry) {
      entry = { player: this.#create(streamId), users: 0, cancelClosing: nothing };
      this.#entries.set(streamId, entry);
    }
    entry.cancelClosing();
    entry.users += 1;
    return entry.player;
  }

  release(streamId: Id): void {
    const entry = this.#entries.get(streamId);
    if (!entry) return;
    entry.users -= 1;
    if (entry.users > 0) return;
    entry.cancelClosing = this.#schedule(() => {
      this.#entries.delete(streamId);
      entry.player.close();
    }, PLAYER_LINGER_MS);
  }

  get(streamId: Id): P | undefined {
    return this.#entries.get(streamId)?.player;
  }

  all(): P[] {
    return [...this.#entries.values()].map((entry) => entry.player);
  }

  /** Closes every player. Idempotent. */
  close(): void {
    for (const entry of this.#entries.values()) {
      entry.cancelClosing();
      entry.player.close();
    }
    this.#entries.clear();
  }
}
