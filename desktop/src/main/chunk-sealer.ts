/** Gives the chunks of one recording their epochs, numbers, hashes and chain values, in the order of their arrival. */
import {
  chainInput,
  EMPTY_SIGNATURE,
  encodeChunk,
  encodeChunkHead,
  encodeStartRecord,
  type ChunkKind,
  type RecordingStart,
} from '@proofcast/shared';
import { sha256 } from './spool-segment.ts';

export class ChunkSealer {
  #chain: Uint8Array;
  #epoch = -1;
  #nextSequence = 0;

  constructor(start: RecordingStart) {
    this.#chain = sha256(encodeStartRecord(start));
  }

  get hasEpoch(): boolean {
    return this.#epoch >= 0;
  }

  beginEpoch(): void {
    this.#epoch += 1;
  }

  /** The whole frame, as it is stored and sent. */
  seal(kind: ChunkKind, payload: Uint8Array, captureTimeUs: number): Uint8Array {
    const fields = { kind, epoch: this.#epoch, sequence: this.#nextSequence, captureTimeUs };
    const hash = sha256(payload);
    const head = encodeChunkHead({ ...fields, payloadBytes: payload.length });
    this.#chain = sha256(chainInput(this.#chain, head, hash));
    this.#nextSequence += 1;
    return encodeChunk({ ...fields, payload, sha256: hash, chain: this.#chain, signature: EMPTY_SIGNATURE });
  }
}
