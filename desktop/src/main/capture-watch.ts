/**
 * Notices that capture delivers nothing although it should: a track without pictures stalls the recorder while its
 * state goes on saying "recording", and a page that hangs says nothing at all. Therefore the watch is not kept there.
 */
import type { SpooledRecording } from './spooled-recording.ts';

export class CaptureWatch {
  readonly #recording: SpooledRecording;
  readonly #stallAfterMs: number;
  readonly #onChanged: () => void;
  #timer: NodeJS.Timeout | undefined;
  #stalledSinceMs: number | null = null;

  /** Begins to watch at once. `onChanged` hears that a stall has begun or ended. */
  constructor(recording: SpooledRecording, stallAfterMs: number, onChanged: () => void) {
    this.#recording = recording;
    this.#stallAfterMs = stallAfterMs;
    this.#onChanged = onChanged;
    this.#expectMedia();
  }

  /** When the last media came, as far as is known; null while some comes. */
  get stalledSinceMs(): number | null {
    return this.#stalledSinceMs;
  }

  /** To be called before media is appended, so that the end of a stall stands before it. */
  onMedia(): void {
    const wasStalled = this.#stalledSinceMs !== null;
    this.#stalledSinceMs = null;
    this.#expectMedia();
    if (wasStalled) this.#tell('capture-resumed');
  }

  /** Idempotent. */
  close(): void {
    clearTimeout(this.#timer);
  }

  #expectMedia(): void {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => {
      this.#stalledSinceMs = Date.now() - this.#stallAfterMs;
      this.#tell('capture-stalled');
    }, this.#stallAfterMs);
  }

  #tell(type: 'capture-stalled' | 'capture-resumed'): void {
    // A spool that takes no events takes no media either, and whoever appends that is told.
    this.#recording.appendEvent({ type, data: {} }).catch(() => undefined);
    this.#onChanged();
  }
}
