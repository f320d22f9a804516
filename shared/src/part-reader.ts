/** Reads one file from front to back through a buffer, whatever is asked of it, and hashes all of it on the way. */
import type { RunningSha256 } from './hashing.ts';
import type { ByteSource } from './manifest-reader.ts';
import { manifestInvalid } from './manifest.ts';

const READ_BYTES = 1024 * 1024;

export class PartReader {
  readonly #source: ByteSource;
  readonly #digest: RunningSha256;
  #buffer: Uint8Array = new Uint8Array();
  #bufferStart = 0;
  /** What is asked for next does not begin before. */
  #position = 0;
  /** The bytes behind the buffer: they are being read while those in it are hashed and used. */
  #ahead: Promise<Uint8Array> | null = null;

  constructor(source: ByteSource, digest: RunningSha256) {
    this.#source = source;
    this.#digest = digest;
  }

  /**
   * Fills `target` with the bytes from `offset` on; behind the end of the file it is left as it is.
   * Throws `MANIFEST_INVALID` for bytes that lie before those of an earlier call.
   */
  async read(offset: number, target: Uint8Array): Promise<void> {
    if (offset < this.#position) throw manifestInvalid(`it goes back to byte ${offset} of a file`);
    this.#position = offset + target.length;
    for (let filled = 0; filled < target.length;) {
      const bytes = await this.#bytesAt(offset + filled);
      if (bytes.length === 0) return;
      const count = Math.min(bytes.length, target.length - filled);
      target.set(bytes.subarray(0, count), filled);
      filled += count;
    }
  }

  /** Reads what is left, and says the hash of the whole file. To be called once, last. */
  async finish(): Promise<Uint8Array> {
    while (await this.#next());
    return this.#digest.digest();
  }

  /** What the buffer holds from `offset` on; empty behind the end of the file. */
  async #bytesAt(offset: number): Promise<Uint8Array> {
    while (offset >= this.#bufferStart + this.#buffer.length) {
      if (!(await this.#next())) return new Uint8Array();
    }
    return this.#buffer.subarray(offset - this.#bufferStart);
  }

  async #next(): Promise<boolean> {
    const start = this.#bufferStart + this.#buffer.length;
    const bytes = await (this.#ahead ?? this.#fetch(start));
    if (bytes.length === 0) return false;
    this.#ahead = this.#fetch(start + bytes.length);
    // Whoever stops early need not hear that it failed.
    this.#ahead.catch(() => undefined);
    this.#digest.update(bytes);
    this.#buffer = bytes;
    this.#bufferStart = start;
    return true;
  }

  async #fetch(start: number): Promise<Uint8Array> {
    return start < this.#source.sizeBytes ? this.#source.read(start, READ_BYTES) : new Uint8Array();
  }
}
