/** Reads the records of one journal file from its beginning, and tells a torn tail from damage. */
import type { JournalFile } from './journal-files.ts';
import {
  MAX_RECORD_BYTES,
  readRecord,
  RECORD_MAGIC,
  type JournalRecord,
  type RecordFault,
} from './record.ts';

const READ_BYTES = 2 * MAX_RECORD_BYTES;

export interface ScannedRecord {
  readonly record: JournalRecord;
  /** Positions in the file. */
  readonly start: number;
  readonly payloadStart: number;
  readonly end: number;
}

/** What a scan knows when no further record can be read. */
export interface SegmentEnd {
  /** The bytes up to here are whole records. */
  readonly validBytes: number;
  readonly sizeBytes: number;
  /** So many bytes were on disk for certain, by the word of the records. */
  readonly durableBytes: number;
  /** Why the byte after `validBytes` begins no record; null at the end of the file. */
  readonly fault: RecordFault | null;
}

/** Whether bytes are lost that had been acknowledged: damage, which no cutting mends. */
export function isDamaged(end: SegmentEnd): boolean {
  return end.durableBytes > end.validBytes;
}

/**
 * Yields the records of `file` until the first bad one and returns what is left over. Payloads are views of buffers
 * that are not used again.
 */
export async function* scanSegment(file: JournalFile): AsyncGenerator<ScannedRecord, SegmentEnd> {
  const sizeBytes = await file.sizeBytes();
  let bytes: Uint8Array = new Uint8Array();
  let bytesStart = 0;
  let position = 0;
  let durableBytes = 0;
  while (position < sizeBytes) {
    const reading = readRecord(bytes, position - bytesStart);
    if ('record' in reading) {
      const { record } = reading;
      const end = bytesStart + reading.end;
      durableBytes = Math.max(durableBytes, record.durableBytes);
      yield { record, start: position, payloadStart: end - record.payload.length, end };
      position = end;
      continue;
    }
    const { fault } = reading;
    const isAllRead = bytesStart + bytes.length >= sizeBytes;
    if (fault.kind !== 'incomplete' || isAllRead) {
      const later = await largestDurableBytes(file, position + 1, sizeBytes);
      return { validBytes: position, sizeBytes, durableBytes: Math.max(durableBytes, later), fault };
    }
    bytes = await file.read(position, Math.min(READ_BYTES, sizeBytes - position));
    bytesStart = position;
    if (bytes.length === 0) break;
  }
  return { validBytes: position, sizeBytes, durableBytes, fault: null };
}

/**
 * The most that any whole record after `from` says about what was on disk when it was written. A tail that was torn
 * off by a power cut may contain whole records, because the disk orders pages as it likes; but none of them was written
 * after a sync that covered the torn place.
 */
async function largestDurableBytes(file: JournalFile, from: number, sizeBytes: number): Promise<number> {
  let durableBytes = 0;
  let position = from;
  while (position < sizeBytes) {
    const bytes = Buffer.from(await file.read(position, Math.min(READ_BYTES, sizeBytes - position)));
    const isLast = position + bytes.length >= sizeBytes;
    let at = bytes.indexOf(RECORD_MAGIC);
    while (at !== -1) {
      const reading = readRecord(bytes, at);
      // What the end of the buffer cuts off is read again, as the beginning of the next one.
      if ('fault' in reading && reading.fault.kind === 'incomplete' && !isLast && at > 0) break;
      if ('record' in reading) durableBytes = Math.max(durableBytes, reading.record.durableBytes);
      at = bytes.indexOf(RECORD_MAGIC, 'record' in reading ? reading.end : at + 1);
    }
    if (isLast) break;
    // Without a match, the magic may still begin in the last bytes of the buffer.
    position += at === -1 ? bytes.length - RECORD_MAGIC.length + 1 : at;
  }
  return durableBytes;
}
