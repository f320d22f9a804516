/**
 * Tells the database what the recordings show, at most once a while for each: a recorder that is started again and
 * again does not keep the disk of the database busy.
 */
import type { Logger } from 'pino';
import type { EpochStart, Id } from '@proofcast/shared';
import type { MediaClock } from '../media-clock.ts';

export interface DescriptionsOptions {
  /** Writes what the newest epoch shows; what the first one did, stays as far as it matters. */
  readonly write: (streamId: Id, recordingId: Id, epoch: EpochStart) => Promise<void>;
  readonly clock: MediaClock;
  readonly intervalMs: number;
  readonly log: Logger;
}

interface Description {
  readonly streamId: Id;
  /** What came since the last time; null when nothing did. */
  newest: EpochStart | null;
  readonly cancel: () => void;
}

export class RecordingDescriptions {
  readonly #options: DescriptionsOptions;
  readonly #recent = new Map<Id, Description>();
  readonly #writing = new Set<Promise<void>>();

  constructor(options: DescriptionsOptions) {
    this.#options = options;
  }

  /** The first epoch is written at once, those that follow soon after it together. */
  describe(streamId: Id, recordingId: Id, epoch: EpochStart): void {
    const recent = this.#recent.get(recordingId);
    if (recent !== undefined) recent.newest = epoch;
    else this.#write(streamId, recordingId, epoch);
  }

  /** Writes what is left. Idempotent. */
  async close(): Promise<void> {
    for (const [recordingId, { streamId, newest, cancel }] of this.#recent) {
      cancel();
      if (newest !== null) this.#begin(streamId, recordingId, newest);
    }
    this.#recent.clear();
    await Promise.all(this.#writing);
  }

  #write(streamId: Id, recordingId: Id, epoch: EpochStart): void {
    const { clock, intervalMs } = this.#options;
    const cancel = clock.schedule(() => this.#onInterval(recordingId), intervalMs);
    this.#recent.set(recordingId, { streamId, newest: null, cancel });
    this.#begin(streamId, recordingId, epoch);
  }

  #onInterval(recordingId: Id): void {
    const recent = this.#recent.get(recordingId);
    this.#recent.delete(recordingId);
    if (recent !== undefined && recent.newest !== null)
      this.#write(recent.streamId, recordingId, recent.newest);
  }

  #begin(streamId: Id, recordingId: Id, epoch: EpochStart): void {
    const { write, log } = this.#options;
    const done = write(streamId, recordingId, epoch)
      .catch((error: unknown) => log.error({ recordingId, err: error }, 'cannot describe a recording'))
      .finally(() => this.#writing.delete(done));
    this.#writing.add(done);
  }
}
