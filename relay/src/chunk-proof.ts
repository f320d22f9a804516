/** Whether a chunk is what its publisher made, behind the chunk that its publisher made before. */
import { hash } from 'node:crypto';
import { bytesEqual, chainInput, CodedError, encodeChunkHead, type Chunk } from '@proofcast/shared';

/** Rules I6 and C2: throws `CHUNK_HASH_MISMATCH` or `CHUNK_CHAIN_MISMATCH`. */
export function checkProof(chunk: Chunk, chainBefore: Uint8Array): void {
  if (!bytesEqual(hash('sha256', chunk.payload, 'buffer'), chunk.sha256)) {
    throw new CodedError(
      'CHUNK_HASH_MISMATCH',
      `The payload of chunk ${chunk.sequence} does not have the SHA-256 in its frame; send it again.`,
    );
  }
  const head = encodeChunkHead({ ...chunk, payloadBytes: chunk.payload.length });
  if (!bytesEqual(hash('sha256', chainInput(chainBefore, head, chunk.sha256), 'buffer'), chunk.chain)) {
    throw new CodedError(
      'CHUNK_CHAIN_MISMATCH',
      `The chain value of chunk ${chunk.sequence} does not follow from the chunk before.`,
    );
  }
}
