/**
 * One stream as still pictures, one every few seconds, for networks that carry nothing more: asks for the newest again
 * and again and draws it. It owns its requests; the canvas belongs to the stage.
 */
import { CodedError, toCodedError, type Schedule } from '@proofcast/shared';
import {
  MAX_STILL_FAILURES,
  STILL_FIRST_INTERVAL_MS,
  STILL_INTERVAL_MS,
  STILL_REQUEST_MS,
  STILL_SILENCE_MS,
} from '../config.ts';
import type { Delay, LivePath, PathListener, Preference } from './video-path.ts';

export interface StillPlayerOptions {
  /** Asks the relay for the newest still; throws its coded error. */
  readonly request: (signal: AbortSignal) => Promise<Response>;
  /** The relay's clock now, in milliseconds; null while it is not known. */
  readonly relayNowMs: () => number | null;
  readonly canvas: HTMLCanvasElement;
  readonly schedule: Schedule;
  readonly nowMs: () => number;
  /** Whether the stream is live, so that an old picture means that something is broken. */
  readonly isLive: () => boolean;
}

const nothing = (): void => undefined;

export class StillPlayer implements LivePath {
  readonly #options: StillPlayerOptions;
  readonly #listener: PathListener;
  readonly #abort = new AbortController();
  #cancelNext = nothing;
  #capturedAtUs: number | null = null;
  /** When something newer than before came. */
  #renewedAtMs: number;
  #failures = 0;
  #isVisible = true;
  #isAsking = false;

  constructor(options: StillPlayerOptions, listener: PathListener) {
    this.#options = options;
    this.#listener = listener;
    this.#renewedAtMs = options.nowMs();
    this.#askIn(0);
  }

  /** By the clock of the device, which may differ a little from the relay's. */
  readDelay(): Delay | null {
    const relayNowMs = this.#options.relayNowMs();
    if (relayNowMs === null || this.#capturedAtUs === null) return null;
    return { ms: Math.max(0, relayNowMs - this.#capturedAtUs / 1000), isMinimum: false };
  }

  /** What nobody sees is not asked for. */
  setPreference({ isVisible }: Preference): void {
    if (isVisible === this.#isVisible) return;
    this.#isVisible = isVisible;
    this.#renewedAtMs = this.#options.nowMs();
    if (isVisible && !this.#isAsking) this.#askIn(0);
    if (!isVisible) this.#cancelNext();
  }

  close(): void {
    this.#cancelNext();
    this.#abort.abort();
  }

  #askIn(delayMs: number): void {
    this.#cancelNext();
    this.#cancelNext = this.#options.schedule(() => void this.#ask(), delayMs);
  }

  async #ask(): Promise<void> {
    this.#isAsking = true;
    const timeout = AbortSignal.timeout(STILL_REQUEST_MS);
    try {
      const signal = AbortSignal.any([this.#abort.signal, timeout]);
      await this.#take(await this.#options.request(signal));
      this.#failures = 0;
    } catch (cause) {
      const error = timeout.aborted
        ? new CodedError('TIMEOUT', 'The still picture did not come in time.', { cause })
        : toCodedError(cause);
      if (!this.#abort.signal.aborted) this.#noteFailure(error);
    }
    this.#isAsking = false;
    if (this.#abort.signal.aborted) return;
    if (!this.#options.isLive()) this.#renewedAtMs = this.#options.nowMs();
    if (this.#options.nowMs() - this.#renewedAtMs > STILL_SILENCE_MS) {
      return this.#lose(new CodedError('TIMEOUT', 'The relay has no newer still picture of a live screen.'));
    }
    if (this.#isVisible)
      this.#askIn(this.#capturedAtUs === null ? STILL_FIRST_INTERVAL_MS : STILL_INTERVAL_MS);
  }

  async #take(response: Response): Promise<void> {
    const capturedAtUs = Number(response.headers.get('x-capture-time-us') ?? Number.NaN);
    const blob = await response.blob();
    if (!Number.isSafeInteger(capturedAtUs)) {
      throw new CodedError('MESSAGE_INVALID', 'The still picture does not say when it was taken.');
    }
    if (capturedAtUs === this.#capturedAtUs) return;
    const picture = await createImageBitmap(blob).catch((cause: unknown) => {
      throw new CodedError('MEDIA_UNSUPPORTED', 'The browser cannot decode the still picture.', { cause });
    });
    if (this.#abort.signal.aborted) return picture.close();
    this.#draw(picture);
    const isFirst = this.#capturedAtUs === null;
    this.#capturedAtUs = capturedAtUs;
    this.#renewedAtMs = this.#options.nowMs();
    if (isFirst) this.#listener.onFirstFrame();
  }

  #draw(picture: ImageBitmap): void {
    const { canvas } = this.#options;
    if (canvas.width !== picture.width) canvas.width = picture.width;
    if (canvas.height !== picture.height) canvas.height = picture.height;
    canvas.getContext('2d', { alpha: false })?.drawImage(picture, 0, 0);
    picture.close();
  }

  /** None yet is no failure: asking is what makes the device send them. */
  #noteFailure(error: CodedError): void {
    if (error.code === 'STILL_NOT_FOUND') return;
    this.#failures += 1;
    if (this.#failures >= MAX_STILL_FAILURES) this.#lose(error);
  }

  #lose(error: CodedError): void {
    if (this.#abort.signal.aborted) return;
    this.close();
    this.#listener.onLost(error);
  }
}
