/** Viewer frames out of a stream of bytes that is cut anywhere, as the body of `streamLive` is. Pure. */
import {
  decodeViewerFrame,
  FRAME_HEAD_BYTES,
  readStatedPayloadBytes,
  type ViewerFrame,
} from './chunk-frame.ts';

export class ViewerFrameStream {
  /** Pieces that do not make a whole frame yet. */
  #parts: Uint8Array[] = [];
  #byteLength = 0;
  /** Bytes that must be there before it is worth to look again. */
  #neededBytes = FRAME_HEAD_BYTES;

  /**
   * The frames that are whole now, in order; their payloads are views. Keeps at most one unfinished frame.
   * Throws `CHUNK_FRAME_INVALID` or `CHUNK_TOO_LARGE`; the stream cannot be read any further then.
   */
  push(bytes: Uint8Array): ViewerFrame[] {
    this.#parts.push(bytes);
    this.#byteLength += bytes.length;
    const frames: ViewerFrame[] = [];
    while (this.#byteLength >= this.#neededBytes) {
      const all = this.#joined();
      const frameBytes = FRAME_HEAD_BYTES + readStatedPayloadBytes(all);
      this.#neededBytes = frameBytes;
      if (all.length < frameBytes) break;
      frames.push(decodeViewerFrame(all.subarray(0, frameBytes)));
      this.#parts = [all.subarray(frameBytes)];
      this.#byteLength -= frameBytes;
      this.#neededBytes = FRAME_HEAD_BYTES;
    }
    return frames;
  }

  /** Whether the stream may end here: no frame is cut in two. */
  get isAtBorder(): boolean {
    return this.#byteLength === 0;
  }

  #joined(): Uint8Array {
    const [only] = this.#parts;
    if (only !== undefined && this.#parts.length === 1) return only;
    const all = new Uint8Array(this.#byteLength);
    let position = 0;
    for (const part of this.#parts) {
      all.set(part, position);
      position += part.length;
    }
    this.#parts = [all];
    return all;
  }
}
