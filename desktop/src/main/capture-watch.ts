/**
 * Notices that capture delivers nothing although it should: a track without pictures stalls the recorder while its
 * state goes on saying "recording", and a page that hangs says nothing at all. Therefore the watch is not kept there.
 */
import type { SpooledRecording } from './spooled-recording.ts';

export class CaptureWatch {
  readonly #recording: SpooledRecording;
  readonly #stallAfterMs: number;
  #timer: NodeJS.Timeout | undefined;
  #isStalled = false;

  /** Begins to watch at once. */
  constructor(recording: SpooledRecording, stallAfterMs: number) {
    this.#recording = recording;
    this.#stallAfterMs = stallAfterMs;
    this.#expectMedia();
  }

  /** To be called before media is appended, so that the end of a stall stands before it. */
  onMedia(): void {
    if (this.#isStalled) this.#append('capture-resumed');
    this.#isStalled = false;
    this.#expectMedia();
  }

  /** Idempotent. */
  close(): void {
    clearTimeout(this.#timer);
  }

  #expectMedia(): void {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => {
      this.#isStalled = true;
      this.#append('capture-stalled');
    }, this.#stallAfterMs);
  }

  #append(type: 'capture-stalled' | 'capture-resumed'): void {
    // A spool that takes no events takes no media either, and whoever appends that is told.
    this.#recording.appendEvent({ type, data: {} }).catch(() => undefined);
  }
}
