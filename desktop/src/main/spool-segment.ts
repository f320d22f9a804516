/**
 * One append-only file of the spool: the position of the recording before it, then chunk frames exactly as they will be
 * sent, one after the other. A frame carries its own length and hash, so a tail that was torn by a crash is recognised
 * and cut without any further bookkeeping.
 */
import {
  bytesEqual,
  chainInput,
  CHUNK_HEADER_BYTES,
  decodeChunk,
  encodeChunkHead,
  parseMessage,
  RECORDING_EVENTS,
  type Chunk,
  type RecordingEvent,
} from '@proofcast/shared';
import { open, rm, type FileHandle } from 'node:fs/promises';
import {
  decodePosition,
  encodePosition,
  POSITION_BYTES,
  positionBehind,
  sha256,
  type SpoolPosition,
} from './spool-position.ts';

export interface StoredFrame {
  readonly sequence: number;
  readonly offset: number;
  readonly frameBytes: number;
  readonly payloadBytes: number;
}

export interface RecoveredSegment {
  readonly segment: SpoolSegment;
  readonly frames: readonly StoredFrame[];
  /** Behind the last whole frame. */
  readonly position: SpoolPosition;
  /** The last chunk, when it is an event. */
  readonly lastEvent: RecordingEvent | null;
  /** Publisher's clock at the last chunk; null when there is none in this file. */
  readonly lastCaptureTimeUs: number | null;
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

  /** Resolves when the new file says on the disk what it follows; its name is the caller's to sync. */
  static async create(path: string, position: SpoolPosition): Promise<SpoolSegment> {
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
   * Opens a segment that was left behind and cuts it at the first frame that is not whole, not the next one, or not
   * what its hashes say, and before chunk `endSequence`, which the next segment begins with.
   */
  static async recover(
    path: string,
    { position, endSequence }: { position: SpoolPosition; endSequence: number },
  ): Promise<RecoveredSegment> {
    const file = await open(path, 'r+');
    try {
      const bytes = await file.readFile();
      const found = readFrames(bytes, position, endSequence);
      if (found.endOffset < bytes.length) {
        await file.truncate(found.endOffset);
        await file.sync();
      }
      const segment = new SpoolSegment(path, file, found.endOffset);
      return { ...found, segment, cutBytes: bytes.length - found.endOffset };
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

function readFrames(
  bytes: Uint8Array,
  before: SpoolPosition,
  endSequence: number,
): Omit<RecoveredSegment, 'segment' | 'cutBytes'> & { endOffset: number } {
  const frames: StoredFrame[] = [];
  let position = before;
  let lastEvent: RecordingEvent | null = null;
  let lastCaptureTimeUs: number | null = null;
  let offset = POSITION_BYTES;
  while (offset < bytes.length && position.nextSequence < endSequence) {
    const chunk = wholeChunkAt(bytes, offset, position);
    if (!chunk) break;
    const frameBytes = CHUNK_HEADER_BYTES + chunk.payload.length;
    frames.push({ sequence: chunk.sequence, offset, frameBytes, payloadBytes: chunk.payload.length });
    lastEvent = chunk.kind === 'event' ? parseEvent(chunk.payload) : null;
    lastCaptureTimeUs = chunk.captureTimeUs;
    position = positionBehind(position, chunk, isEpochOpenAfter(lastEvent, position));
    offset += frameBytes;
  }
  return { frames, position, lastEvent, lastCaptureTimeUs, endOffset: offset };
}

function isEpochOpenAfter(event: RecordingEvent | null, { isEpochOpen }: SpoolPosition): boolean {
  if (event?.type === 'epoch-started') return true;
  return isEpochOpen && event?.type !== 'epoch-ended';
}

/** The event was made by this app and is covered by its hash, so it is one. */
function parseEvent(payload: Uint8Array): RecordingEvent {
  return parseMessage(RECORDING_EVENTS, new TextDecoder().decode(payload));
}

function wholeChunkAt(bytes: Uint8Array, offset: number, before: SpoolPosition): Chunk | null {
  if (bytes.length - offset < CHUNK_HEADER_BYTES) return null;
  const view = new DataView(bytes.buffer, bytes.byteOffset + offset);
  const end = offset + CHUNK_HEADER_BYTES + view.getUint32(PAYLOAD_LENGTH_OFFSET);
  if (end > bytes.length) return null;
  try {
    const chunk = decodeChunk(bytes.subarray(offset, end));
    if (!bytesEqual(sha256(chunk.payload), chunk.sha256)) return null;
    const head = encodeChunkHead({ ...chunk, payloadBytes: chunk.payload.length });
    const follows = bytesEqual(sha256(chainInput(before.chain, head, chunk.sha256)), chunk.chain);
    return follows && chunk.sequence === before.nextSequence ? chunk : null;
  } catch {
    // Not a frame at all: what follows the last whole one is the torn tail.
    return null;
  }
}
