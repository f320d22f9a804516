/**
 * One append-only file of the spool: chunk frames exactly as they will be sent, one after the other. A frame carries
 * its own length and hash, so a tail that was torn by a crash is recognised and cut without any further bookkeeping.
 */
import {
  bytesEqual,
  chainInput,
  CHUNK_HEADER_BYTES,
  decodeChunk,
  encodeChunkHead,
  type Chunk,
} from '@proofcast/shared';
import { createHash } from 'node:crypto';
import { open, rm, type FileHandle } from 'node:fs/promises';

export interface StoredFrame {
  readonly sequence: number;
  readonly offset: number;
  readonly frameBytes: number;
  readonly payloadBytes: number;
}

export interface RecoveredSegment {
  readonly segment: SpoolSegment;
  readonly frames: readonly StoredFrame[];
  readonly lastChunk: Pick<Chunk, 'sequence' | 'chain'> | null;
  /** Bytes of the torn tail that were cut; 0 when the file was whole. */
  readonly cutBytes: number;
}

/** Where the u32 with the payload's length stands in a frame; see chunk-frame.ts. */
const PAYLOAD_LENGTH_OFFSET = 24;

export class SpoolSegment {
  readonly path: string;
  readonly #file: FileHandle;
  #sizeBytes: number;

  private constructor(path: string, file: FileHandle, sizeBytes: number) {
    this.path = path;
    this.#file = file;
    this.#sizeBytes = sizeBytes;
  }

  static async create(path: string): Promise<SpoolSegment> {
    return new SpoolSegment(path, await open(path, 'wx+', 0o600), 0);
  }

  /**
   * Opens a segment that was left behind and cuts it at the first frame that is not whole, not the next one, or not
   * what its hashes say. `before` is the chunk before this segment, null where that is no longer known.
   */
  static async recover(
    path: string,
    before: Pick<Chunk, 'sequence' | 'chain'> | null,
  ): Promise<RecoveredSegment> {
    const file = await open(path, 'r+');
    try {
      const bytes = await file.readFile();
      const { frames, lastChunk, endOffset } = readFrames(bytes, before);
      if (endOffset < bytes.length) {
        await file.truncate(endOffset);
        await file.sync();
      }
      const segment = new SpoolSegment(path, file, endOffset);
      return { segment, frames, lastChunk, cutBytes: bytes.length - endOffset };
    } catch (error) {
      await file.close();
      throw error;
    }
  }

  get sizeBytes(): number {
    return this.#sizeBytes;
  }

  /** Resolves when all frames are on the disk. After an error nothing may be appended any more. */
  async append(frames: readonly Uint8Array[]): Promise<void> {
    const start = this.#sizeBytes;
    const length = frames.reduce((sum, frame) => sum + frame.length, 0);
    const { bytesWritten } = await this.#file.writev(frames, start);
    if (bytesWritten !== length) throw new Error(`Wrote ${bytesWritten} of ${length} bytes to ${this.path}.`);
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

  async close(): Promise<void> {
    await this.#file.close();
  }

  async remove(): Promise<void> {
    await this.#file.close();
    await rm(this.path, { force: true });
  }
}

export function sha256(bytes: Uint8Array): Uint8Array {
  return createHash('sha256').update(bytes).digest();
}

function readFrames(
  bytes: Uint8Array,
  before: Pick<Chunk, 'sequence' | 'chain'> | null,
): { frames: StoredFrame[]; lastChunk: Pick<Chunk, 'sequence' | 'chain'> | null; endOffset: number } {
  const frames: StoredFrame[] = [];
  let lastChunk = before;
  let offset = 0;
  while (offset < bytes.length) {
    const chunk = wholeChunkAt(bytes, offset, lastChunk);
    if (!chunk) break;
    const frameBytes = CHUNK_HEADER_BYTES + chunk.payload.length;
    frames.push({ sequence: chunk.sequence, offset, frameBytes, payloadBytes: chunk.payload.length });
    // A copy: the chain value of the last chunk must not keep the whole file in memory.
    lastChunk = { sequence: chunk.sequence, chain: chunk.chain.slice() };
    offset += frameBytes;
  }
  return { frames, lastChunk, endOffset: offset };
}

function wholeChunkAt(
  bytes: Uint8Array,
  offset: number,
  before: Pick<Chunk, 'sequence' | 'chain'> | null,
): Chunk | null {
  if (bytes.length - offset < CHUNK_HEADER_BYTES) return null;
  const view = new DataView(bytes.buffer, bytes.byteOffset + offset);
  const end = offset + CHUNK_HEADER_BYTES + view.getUint32(PAYLOAD_LENGTH_OFFSET);
  if (end > bytes.length) return null;
  try {
    const chunk = decodeChunk(bytes.subarray(offset, end));
    if (!bytesEqual(sha256(chunk.payload), chunk.sha256)) return null;
    if (!before) return chunk;
    const head = encodeChunkHead({ ...chunk, payloadBytes: chunk.payload.length });
    const follows = bytesEqual(sha256(chainInput(before.chain, head, chunk.sha256)), chunk.chain);
    return follows && chunk.sequence === before.sequence + 1 ? chunk : null;
  } catch {
    // Not a frame at all: what follows the last whole one is the torn tail.
    return null;
  }
}
