import { hash } from 'node:crypto';
import {
  chainInput,
  createId,
  EMPTY_SIGNATURE,
  encodeChunk,
  encodeChunkHead,
  encodeMessage,
  encodeStartRecord,
  MAX_CHUNK_PAYLOAD_BYTES,
  RECORDING_EVENTS,
  type Chunk,
  type EpochStart,
  type Id,
  type RecordingEvent,
  type RecordingStart,
} from '@proofcast/shared';

const sha256 = (bytes: Uint8Array): Uint8Array => hash('sha256', bytes, 'buffer');

/** Makes the chunks of one recording as a publisher does: numbered, hashed, chained. Keeps them all. */
export class ChunkMaker {
  readonly start: RecordingStart;
  readonly chunks: Chunk[] = [];
  #chain: Uint8Array;
  #epoch = -1;

  constructor(ids: { streamId: Id; deviceId: Id }, startedAtUs: number = Date.now() * 1000) {
    this.start = { recordingId: createId('recording'), ...ids, startedAtUs };
    this.#chain = sha256(encodeStartRecord(this.start));
  }

  /** The frame of chunk `sequence`. */
  frame(sequence: number): Uint8Array {
    const chunk = this.chunks[sequence];
    if (chunk === undefined) throw new Error(`There is no chunk ${sequence} yet.`);
    return encodeChunk(chunk);
  }

  /** Begins the next epoch. */
  epoch(fields: Partial<EpochStart> = {}): Chunk {
    this.#epoch += 1;
    const data: EpochStart = {
      mimeType: 'video/webm;codecs=vp8',
      startedAtUs: this.start.startedAtUs,
      sourceName: 'Entire screen',
      widthPx: 320,
      heightPx: 180,
      hasAudio: false,
      ...fields,
    };
    return this.event({ type: 'epoch-started', data });
  }

  /** Said a quarter of a second after the chunk before, unless told otherwise. */
  event(event: RecordingEvent, captureTimeUs?: number): Chunk {
    const payload = new TextEncoder().encode(encodeMessage(RECORDING_EVENTS, event));
    return this.#add({ kind: 'event', payload, captureTimeUs });
  }

  /** Media of the epoch, as many chunks as it takes, handed over in the same moment if that is told. */
  media(bytes: Uint8Array, captureTimeUs?: number): Chunk[] {
    const chunks: Chunk[] = [];
    for (let start = 0; start < bytes.length; start += MAX_CHUNK_PAYLOAD_BYTES) {
      const payload = bytes.subarray(start, start + MAX_CHUNK_PAYLOAD_BYTES);
      chunks.push(this.#add({ kind: 'media', payload, captureTimeUs }));
    }
    return chunks;
  }

  /** A chunk that may come next, but does not count as made: for what the relay is to refuse. */
  draft(fields: Partial<Chunk> = {}): Chunk {
    return this.#make({ kind: 'media', epoch: this.#epoch, payload: Uint8Array.of(1), ...fields });
  }

  #add({
    captureTimeUs,
    ...fields
  }: Pick<Chunk, 'kind' | 'payload'> & { captureTimeUs: number | undefined }): Chunk {
    const time = captureTimeUs === undefined ? {} : { captureTimeUs };
    const chunk = this.#make({ epoch: this.#epoch, ...fields, ...time });
    this.chunks.push(chunk);
    this.#chain = chunk.chain;
    return chunk;
  }

  #make(fields: Partial<Chunk> & Pick<Chunk, 'kind' | 'epoch' | 'payload'>): Chunk {
    const unhashed = {
      sequence: this.chunks.length,
      captureTimeUs: this.start.startedAtUs + this.chunks.length * 250_000,
      signature: EMPTY_SIGNATURE,
      sha256: sha256(fields.payload),
      ...fields,
    };
    const head = encodeChunkHead({ ...unhashed, payloadBytes: unhashed.payload.length });
    return { chain: sha256(chainInput(this.#chain, head, unhashed.sha256)), ...unhashed };
  }
}
