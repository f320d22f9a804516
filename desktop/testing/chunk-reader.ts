import { createHash } from 'node:crypto';
import {
  bytesEqual,
  chainInput,
  decodeChunk,
  encodeChunkHead,
  encodeStartRecord,
  parseMessage,
  RECORDING_EVENTS,
  type Chunk,
  type RecordingStart,
} from '@proofcast/shared';

const sha256 = (bytes: Uint8Array): Uint8Array => createHash('sha256').update(bytes).digest();

/** Checks numbers, hashes and chain of one recording as a relay does, chunk after chunk. */
export class ChunkReader {
  readonly chunks: Chunk[] = [];
  #chain: Uint8Array;

  constructor(start: RecordingStart) {
    this.#chain = sha256(encodeStartRecord(start));
  }

  /** Throws when the frame is not the next whole chunk. */
  read(frame: Uint8Array): Chunk {
    const chunk = decodeChunk(frame);
    if (chunk.sequence !== this.chunks.length)
      throw new Error(`Chunk ${chunk.sequence} is not the next one.`);
    if (!bytesEqual(sha256(chunk.payload), chunk.sha256))
      throw new Error(`Chunk ${chunk.sequence} is damaged.`);
    const head = encodeChunkHead({ ...chunk, payloadBytes: chunk.payload.length });
    const chain = sha256(chainInput(this.#chain, head, chunk.sha256));
    if (!bytesEqual(chain, chunk.chain)) throw new Error(`Chunk ${chunk.sequence} breaks the chain.`);
    this.#chain = chain;
    this.chunks.push(chunk);
    return chunk;
  }

  /** All media bytes, in order. */
  get media(): Uint8Array {
    return Buffer.concat(this.chunks.filter(({ kind }) => kind === 'media').map(({ payload }) => payload));
  }

  /** The kinds of all chunks, events by their type and, where they have one, their reason. */
  get outline(): string[] {
    return this.chunks.map(({ kind, payload }) => {
      if (kind === 'media') return kind;
      const event = parseMessage(RECORDING_EVENTS, Buffer.from(payload).toString());
      return 'reason' in event.data ? `${event.type}: ${event.data.reason}` : event.type;
    });
  }
}
