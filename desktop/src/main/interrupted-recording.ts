/**
 * The recording that the app was making when it died. It waits to be resumed for a limited time; then, or when the
 * person declines, it is finished (rule U3).
 */
import type { SpooledRecording } from './spooled-recording.ts';

export class InterruptedRecording {
  readonly recording: SpooledRecording;
  /** Wall clock at which it will be finished. */
  readonly untilMs: number;
  readonly #timer: NodeJS.Timeout;

  /** `onOver` is called when nobody has resumed it in time; at once, when the time is over already. */
  constructor(recording: SpooledRecording, windowMs: number, onOver: () => void) {
    this.recording = recording;
    const nowMs = Date.now();
    const lastMs = Math.floor(recording.lastCaptureTimeUs / 1000);
    // A clock that was set back must not keep it open for longer.
    this.untilMs = Math.min(lastMs, nowMs) + windowMs;
    this.#timer = setTimeout(onOver, Math.max(0, this.untilMs - nowMs));
  }

  /** Idempotent. */
  close(): void {
    clearTimeout(this.#timer);
  }
}
