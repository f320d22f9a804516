/**
 * The hash chain of a recording: what each chain value covers. Hashing itself is passed in, because the processes that
 * need it have it in different places (Node's crypto, WebCrypto in the browser).
 *
 *   chain of the start = SHA-256(start record)
 *   chain of chunk n   = SHA-256(chain before ‖ head of chunk n ‖ SHA-256(payload of chunk n))
 *
 * Numbered rules: docs/protocol.md, section C.
 */
import type { Id } from './ids.ts';

export interface RecordingStart {
  readonly recordingId: Id;
  readonly streamId: Id;
  readonly deviceId: Id;
  /** Publisher's wall clock, microseconds since 1970. */
  readonly startedAtUs: number;
}

/** The bytes that the first chain value is the hash of: a JSON array, because an array has only one order. */
export function encodeStartRecord(start: RecordingStart): Uint8Array {
  const fields = [
    'proofcast-recording-1',
    start.recordingId,
    start.streamId,
    start.deviceId,
    start.startedAtUs,
  ];
  return new TextEncoder().encode(JSON.stringify(fields));
}

/** The bytes that the chain value of a chunk is the hash of. */
export function chainInput(
  chainBefore: Uint8Array,
  chunkHead: Uint8Array,
  payloadSha256: Uint8Array,
): Uint8Array {
  const input = new Uint8Array(chainBefore.length + chunkHead.length + payloadSha256.length);
  input.set(chainBefore, 0);
  input.set(chunkHead, chainBefore.length);
  input.set(payloadSha256, chainBefore.length + chunkHead.length);
  return input;
}

export function bytesEqual(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && a.every((byte, index) => byte === b[index]);
}
