/** Still pictures of what is captured, for those who look through the relay without decoding video. */
import { MAX_STILL_BYTES } from '@proofcast/shared';
import { STILL } from './config.ts';
import { nextPicture } from './next-picture.ts';

/** Called with a JPEG and the time of its picture, microseconds since 1970. */
export type StillSink = (jpeg: Uint8Array, captureTimeUs: number) => Promise<unknown>;

export class StillCamera {
  readonly #track: MediaStreamTrack;
  readonly #sink: StillSink;
  readonly #closed = Promise.withResolvers<void>();
  #intervalMs: number | null = null;
  #timer: number | undefined;
  #isTaking = false;

  constructor(track: MediaStreamTrack, sink: StillSink) {
    this.#track = track;
    this.#sink = sink;
  }

  /** How often a picture is wanted; null: none any more. */
  setInterval(intervalMs: number | null): void {
    if (intervalMs === this.#intervalMs) return;
    this.#intervalMs = intervalMs;
    window.clearInterval(this.#timer);
    if (intervalMs === null) return;
    this.#timer = window.setInterval(() => void this.#take(), intervalMs);
    void this.#take();
  }

  /** Idempotent. */
  close(): void {
    this.setInterval(null);
    this.#closed.resolve();
  }

  /** One at a time: when no picture comes, as on a frozen screen, none is sent, and the last one shows its age. */
  async #take(): Promise<void> {
    if (this.#isTaking) return;
    this.#isTaking = true;
    try {
      const picture = await nextPicture(this.#track, this.#closed.promise);
      const captureTimeUs = Date.now() * 1000;
      const jpeg = picture && (await toJpeg(picture));
      if (jpeg && this.#intervalMs !== null) await this.#sink(jpeg, captureTimeUs);
    } catch {
      // A picture that is not to be had is of no consequence: the next one will do.
    } finally {
      this.#isTaking = false;
    }
  }
}

/** Closes the picture. Null when it does not get small enough. */
async function toJpeg(picture: VideoFrame): Promise<Uint8Array | null> {
  const { displayWidth, displayHeight } = picture;
  const width = Math.min(STILL.maxWidthPx, displayWidth);
  const canvas = new OffscreenCanvas(width, Math.max(1, Math.round((width / displayWidth) * displayHeight)));
  canvas.getContext('2d')?.drawImage(picture, 0, 0, canvas.width, canvas.height);
  picture.close();
  for (const quality of STILL.qualities) {
    const blob = await canvas.convertToBlob({ type: 'image/jpeg', quality });
    if (blob.size <= MAX_STILL_BYTES) return new Uint8Array(await blob.arrayBuffer());
  }
  return null;
}
