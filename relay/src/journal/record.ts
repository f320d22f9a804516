/**
 * One record of a journal as bytes, big-endian. Pure. Numbered rules and the reasons: docs/journal.md.
 *
 *    0  u32   magic
 *    4  u32   CRC-32 of every byte of the record after this field
 *    8  u32   payload length (bytes)
 *   12  u8    format version (1)
 *   13  u8    kind
 *   14  u16   zero
 *   16  u64   sequence
 *   24  u64   capture time (µs since 1970, publisher's clock)
 *   32  u64   receive time (µs since 1970, relay's clock)
 *   40  u64   durable bytes: how much of this file was known to be on disk when the record was written
 *   48  u32   epoch
 *   52  32 B  chain value
 *   84  64 B  signature
 *  148        payload
 */
import { crc32 } from 'node:zlib';
import { EMPTY_SIGNATURE, MAX_CHUNK_PAYLOAD_BYTES, SHA256_BYTES, SIGNATURE_BYTES } from '@proofcast/shared';

export const JOURNAL_FORMAT_VERSION = 1;
export const RECORD_HEADER_BYTES = 148;
export const MAX_RECORD_BYTES = RECORD_HEADER_BYTES + MAX_CHUNK_PAYLOAD_BYTES;
/** The bytes that every record begins with; no element of webm and no JSON begins so. */
export const RECORD_MAGIC: Uint8Array = Uint8Array.of(0xf0, 0x50, 0x4a, 0x31);

const KIND_CODES = { start: 1, media: 2, event: 3, end: 4 } as const;
const CRC_OFFSET = 4;
const CRC_COVERS_FROM = 8;
const CHAIN_OFFSET = 52;
const SIGNATURE_OFFSET = CHAIN_OFFSET + SHA256_BYTES;

/**
 * `start`: first record of every file, JSON. `media` and `event`: one chunk as it was received.
 * `end`: nothing follows, JSON.
 */
export type RecordKind = keyof typeof KIND_CODES;

export interface JournalRecord {
  readonly kind: RecordKind;
  readonly epoch: number;
  /** Of a chunk its number; of `start` and `end` the number of the chunk that would come next. */
  readonly sequence: number;
  readonly captureTimeUs: number;
  readonly receivedAtUs: number;
  readonly durableBytes: number;
  readonly chain: Uint8Array;
  readonly signature: Uint8Array;
  readonly payload: Uint8Array;
}

/**
 * Why no record could be read. `incomplete`: the bytes end before the record does, `missingBytes` more would show it;
 * the others: the bytes at hand are not a record that this program wrote.
 */
export type RecordFault =
  | { readonly kind: 'incomplete'; readonly missingBytes: number }
  | { readonly kind: 'magic' | 'version' | 'length' | 'checksum' | 'content' };

export type RecordReading =
  | { readonly record: JournalRecord; readonly end: number }
  | { readonly fault: RecordFault };

/** The header of a record; the payload follows it in the file, and is covered by its checksum. */
export function encodeRecordHeader(record: JournalRecord): Uint8Array {
  const header = new Uint8Array(RECORD_HEADER_BYTES);
  const view = new DataView(header.buffer);
  header.set(RECORD_MAGIC, 0);
  view.setUint32(8, record.payload.length);
  view.setUint8(12, JOURNAL_FORMAT_VERSION);
  view.setUint8(13, KIND_CODES[record.kind]);
  view.setBigUint64(16, BigInt(record.sequence));
  view.setBigUint64(24, BigInt(record.captureTimeUs));
  view.setBigUint64(32, BigInt(record.receivedAtUs));
  view.setBigUint64(40, BigInt(record.durableBytes));
  view.setUint32(48, record.epoch);
  header.set(record.chain, CHAIN_OFFSET);
  header.set(record.signature, SIGNATURE_OFFSET);
  view.setUint32(CRC_OFFSET, crc32(record.payload, crc32(header.subarray(CRC_COVERS_FROM))));
  return header;
}

/** Reads the record that begins at `start`. The arrays of the result are views of `bytes`. */
export function readRecord(bytes: Uint8Array, start: number): RecordReading {
  const available = bytes.length - start;
  const magicBytes = Math.min(available, RECORD_MAGIC.length);
  for (let i = 0; i < magicBytes; i++) {
    if (bytes[start + i] !== RECORD_MAGIC[i]) return { fault: { kind: 'magic' } };
  }
  if (available < RECORD_HEADER_BYTES) return incomplete(RECORD_HEADER_BYTES - available);
  const view = new DataView(bytes.buffer, bytes.byteOffset + start, RECORD_HEADER_BYTES);
  const payloadBytes = view.getUint32(8);
  if (payloadBytes > MAX_CHUNK_PAYLOAD_BYTES) return { fault: { kind: 'length' } };
  const end = start + RECORD_HEADER_BYTES + payloadBytes;
  if (end > bytes.length) return incomplete(end - bytes.length);
  if (crc32(bytes.subarray(start + CRC_COVERS_FROM, end)) !== view.getUint32(CRC_OFFSET)) {
    return { fault: { kind: 'checksum' } };
  }
  if (view.getUint8(12) !== JOURNAL_FORMAT_VERSION) return { fault: { kind: 'version' } };
  const kind = kindOf(view.getUint8(13));
  const numbers = [16, 24, 32, 40].map((offset) => Number(view.getBigUint64(offset)));
  const [sequence = 0, captureTimeUs = 0, receivedAtUs = 0, durableBytes = 0] = numbers;
  if (kind === null || !numbers.every(Number.isSafeInteger)) return { fault: { kind: 'content' } };
  const header = bytes.subarray(start, start + RECORD_HEADER_BYTES);
  const record: JournalRecord = {
    kind,
    epoch: view.getUint32(48),
    sequence,
    captureTimeUs,
    receivedAtUs,
    durableBytes,
    chain: header.subarray(CHAIN_OFFSET, SIGNATURE_OFFSET),
    signature: header.subarray(SIGNATURE_OFFSET, SIGNATURE_OFFSET + SIGNATURE_BYTES),
    payload: bytes.subarray(start + RECORD_HEADER_BYTES, end),
  };
  return { record, end };
}

/** A record of our own (`start`, `end`) with a JSON payload; nobody signs it. */
export function ownRecord(
  fields: Pick<JournalRecord, 'epoch' | 'sequence' | 'receivedAtUs' | 'durableBytes' | 'chain'> & {
    kind: 'start' | 'end';
    content: unknown;
    captureTimeUs?: number;
  },
): JournalRecord {
  const { content, captureTimeUs = 0, ...rest } = fields;
  const payload = new TextEncoder().encode(JSON.stringify(content));
  return { ...rest, captureTimeUs, signature: EMPTY_SIGNATURE, payload };
}

function incomplete(missingBytes: number): { fault: RecordFault } {
  return { fault: { kind: 'incomplete', missingBytes } };
}

function kindOf(code: number): RecordKind | null {
  for (const kind of Object.keys(KIND_CODES) as RecordKind[]) if (KIND_CODES[kind] === code) return kind;
  return null;
}
