/**
 * Finds the chunk frames in a segment after a restart. A frame that is not what its hashes say is passed over, and the
 * reading goes on with the next whole one: a bit that a disk has lost must not cost the chunks behind it.
 */
import {
  bytesEqual,
  chainInput,
  CHUNK_HEADER_BYTES,
  decodeChunk,
  encodeChunkHead,
  FRAME_VERSION,
  MAX_CHUNK_PAYLOAD_BYTES,
  parseMessage,
  RECORDING_EVENTS,
  type Chunk,
  type RecordingEvent,
} from '@proofcast/shared';
import { POSITION_BYTES, positionBehind, sha256, type SpoolPosition } from './spool-position.ts';

export interface StoredFrame {
  readonly sequence: number;
  readonly offset: number;
  readonly frameBytes: number;
  readonly payloadBytes: number;
}

export interface FoundFrames {
  readonly frames: readonly StoredFrame[];
  /** Behind the last whole frame. */
  readonly position: SpoolPosition;
  /** Behind the last whole frame; what follows there is none. */
  readonly endOffset: number;
  /** The last chunk, when it is an event. */
  readonly lastEvent: RecordingEvent | null;
  /** Whether something before the last whole frame is none, or does not follow. */
  readonly isDamaged: boolean;
}

interface Bounds {
  readonly position: SpoolPosition;
  /** The number of the first chunk that is in another file. */
  readonly endSequence: number;
}

const MIN_FRAME_BYTES = CHUNK_HEADER_BYTES + 1;
const MAX_FRAME_BYTES = CHUNK_HEADER_BYTES + MAX_CHUNK_PAYLOAD_BYTES;

/** Where these stand in a frame; see chunk-frame.ts. */
const SEQUENCE_OFFSET = 8;
const PAYLOAD_LENGTH_OFFSET = 24;

/** The frames of a segment that follows `position`, up to chunk `endSequence`. */
export function findFrames(bytes: Uint8Array, { position: before, endSequence }: Bounds): FoundFrames {
  const frames: StoredFrame[] = [];
  let position = before;
  let lastEvent: RecordingEvent | null = null;
  let isDamaged = false;
  let endOffset = POSITION_BYTES;
  while (position.nextSequence < endSequence) {
    const next = followingChunkAt(bytes, endOffset, position);
    const found = next
      ? { chunk: next, offset: endOffset }
      : findBehind(bytes, endOffset, { position, endSequence });
    if (!found) break;
    const { chunk, offset } = found;
    isDamaged ||= !next;
    const frameBytes = CHUNK_HEADER_BYTES + chunk.payload.length;
    frames.push({ sequence: chunk.sequence, offset, frameBytes, payloadBytes: chunk.payload.length });
    lastEvent = chunk.kind === 'event' ? parseEvent(chunk.payload) : null;
    position = positionBehind(position, chunk, lastEvent?.type !== 'epoch-ended');
    endOffset = offset + frameBytes;
  }
  return { frames, position, endOffset, lastEvent, isDamaged };
}

/** The event was made by this app and is covered by its hash, so it is one. */
function parseEvent(payload: Uint8Array): RecordingEvent {
  return parseMessage(RECORDING_EVENTS, new TextDecoder().decode(payload));
}

/** The chunk at `offset`, when it is whole and the one that follows `before`. */
function followingChunkAt(bytes: Uint8Array, offset: number, before: SpoolPosition): Chunk | null {
  const chunk = wholeChunkAt(bytes, offset);
  if (chunk?.sequence !== before.nextSequence) return null;
  const head = encodeChunkHead({ ...chunk, payloadBytes: chunk.payload.length });
  const follows = bytesEqual(sha256(chainInput(before.chain, head, chunk.sha256)), chunk.chain);
  return follows ? chunk : null;
}

/** The first chunk from `offset` on that is whole and may stand there, although what it follows is not known. */
function findBehind(
  bytes: Uint8Array,
  from: number,
  { position, endSequence }: Bounds,
): { chunk: Chunk; offset: number } | null {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  for (let offset = from; offset + CHUNK_HEADER_BYTES <= bytes.length; offset += 1) {
    // Almost every offset is none; hashing each would take hours.
    if (view.getUint8(offset) !== FRAME_VERSION) continue;
    const sequence = Number(view.getBigUint64(offset + SEQUENCE_OFFSET));
    if (sequence >= endSequence) continue;
    // No hash covers the number, so what was passed over must be able to hold the chunks that are missing.
    const missing = sequence - position.nextSequence;
    const passedBytes = offset - from;
    if (missing < passedBytes / MAX_FRAME_BYTES || missing > passedBytes / MIN_FRAME_BYTES) continue;
    const chunk = wholeChunkAt(bytes, offset);
    if (chunk) return { chunk, offset };
  }
  return null;
}

function wholeChunkAt(bytes: Uint8Array, offset: number): Chunk | null {
  if (bytes.length - offset < CHUNK_HEADER_BYTES) return null;
  const view = new DataView(bytes.buffer, bytes.byteOffset + offset);
  const end = offset + CHUNK_HEADER_BYTES + view.getUint32(PAYLOAD_LENGTH_OFFSET);
  if (end > bytes.length) return null;
  try {
    const chunk = decodeChunk(bytes.subarray(offset, end));
    return bytesEqual(sha256(chunk.payload), chunk.sha256) ? chunk : null;
  } catch {
    // Not a frame at all.
    return null;
  }
}
