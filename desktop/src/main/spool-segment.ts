/**
 * One append-only file of the spool: the position of the recording before it, then chunk frames exactly as they will be
 * sent, one after the other. A frame carries its own length and hash, so a tail that was torn by a crash is recognised
 * and cut without any further bookkeeping.
 */
import { open, rm, type FileHandle } from 'node:fs/promises';
import { findFrames, type FoundFrames, type StoredFrame } from './spool-frames.ts';
import { decodePosition, encodePosition, POSITION_BYTES, type SpoolPosition } from './spool-position.ts';

export interface RecoveredFile extends FoundFrames {
  readonly segment: SpoolSegment;
  /** Bytes of the torn tail that were cut; 0 when there was none. */
  readonly cutBytes: number;
}

export class SpoolSegment {
  readonly path: string;
  readonly #file: FileHandle;
  #sizeBytes: number;

  private constructor(path: string, file: FileHandle, sizeBytes: number) {
    this.path = path;
    this.#file = file;
    this.#sizeBytes = sizeBytes;
  }

  /** Resolves when the new file says on the disk what it follows; its name is the caller's to sync. */
  static async create(path: string, position: SpoolPosition): Promise<SpoolSegment> {
    // One of that name would be the leftover of an attempt that failed, and could not be deleted then.
    await rm(path, { force: true });
    const file = await open(path, 'wx+', 0o600);
    try {
      await file.write(encodePosition(position), 0, POSITION_BYTES, 0);
      await file.datasync();
      return new SpoolSegment(path, file, POSITION_BYTES);
    } catch (error) {
      await file.close();
      await rm(path, { force: true });
      throw error;
    }
  }

  /** What the segment at `path` follows; null when it does not say so whole. */
  static async readPosition(path: string): Promise<SpoolPosition | null> {
    const file = await open(path, 'r');
    try {
      const { buffer, bytesRead } = await file.read(Buffer.alloc(POSITION_BYTES), 0, POSITION_BYTES, 0);
      return decodePosition(buffer.subarray(0, bytesRead));
    } finally {
      await file.close();
    }
  }

  /**
   * Opens a segment that was left behind, with the chunks before `endSequence`, which are known to be on the disk. When
   * that is not known, and `endSequence` infinite, it is cut behind its last whole frame: there a crash has torn what was
   * never synced.
   */
  static async recover(
    path: string,
    bounds: { position: SpoolPosition; endSequence: number },
  ): Promise<RecoveredFile> {
    const file = await open(path, 'r+');
    try {
      const bytes = await file.readFile();
      const found = findFrames(bytes, bounds);
      const isReadable = found.frames.length > 0 || decodePosition(bytes) !== null;
      const mayBeTorn = bounds.endSequence === Number.POSITIVE_INFINITY;
      const sizeBytes = isReadable && mayBeTorn ? found.endOffset : bytes.length;
      if (sizeBytes < bytes.length) {
        await file.truncate(sizeBytes);
        await file.sync();
      }
      const segment = new SpoolSegment(path, file, sizeBytes);
      return { ...found, segment, cutBytes: bytes.length - sizeBytes };
    } catch (error) {
      await file.close();
      throw error;
    }
  }

  get sizeBytes(): number {
    return this.#sizeBytes;
  }

  /** Size without the position that it begins with. */
  get frameBytes(): number {
    return this.#sizeBytes - POSITION_BYTES;
  }

  /** Resolves when all frames are on the disk. After an error nothing may be appended any more. */
  async append(frames: readonly Uint8Array[]): Promise<void> {
    const start = this.#sizeBytes;
    const length = frames.reduce((sum, frame) => sum + frame.length, 0);
    const { bytesWritten } = await this.#file.writev(frames, start);
    // A disk that becomes full in the middle reports what it took, and the error only when it is asked again.
    if (bytesWritten !== length) throw new ShortWriteError(bytesWritten, length, this.path);
    await this.#file.datasync();
    this.#sizeBytes += length;
  }

  async read({ offset, frameBytes }: StoredFrame): Promise<Uint8Array> {
    const buffer = Buffer.allocUnsafeSlow(frameBytes);
    const { bytesRead } = await this.#file.read(buffer, 0, frameBytes, offset);
    if (bytesRead !== frameBytes)
      throw new Error(`Read ${bytesRead} of ${frameBytes} bytes of ${this.path}.`);
    return buffer;
  }

  /** Gives up what an append that failed may have left; without effect where the disk refuses that too. */
  async cutTail(): Promise<void> {
    await this.#file.truncate(this.#sizeBytes).catch(() => undefined);
  }

  async close(): Promise<void> {
    await this.#file.close();
  }

  async remove(): Promise<void> {
    await this.#file.close();
    await rm(this.path, { force: true });
  }
}

class ShortWriteError extends Error {
  /** As Node names it; a write is short for want of room. */
  readonly code = 'ENOSPC';

  constructor(writtenBytes: number, wantedBytes: number, path: string) {
    super(`Wrote ${writtenBytes} of ${wantedBytes} bytes to ${path}.`);
  }
}
