import { seededRandom, freshSeed } from '@proofcast/shared/testing/random';
import { describe, expect, test } from 'vitest';
import {
  encodeRecordHeader,
  MAX_RECORD_BYTES,
  readRecord,
  RECORD_HEADER_BYTES,
  RECORD_MAGIC,
  type JournalRecord,
} from './record.ts';

const bytesOf = (record: JournalRecord): Uint8Array =>
  new Uint8Array(Buffer.concat([encodeRecordHeader(record), record.payload]));

function record(fields: Partial<JournalRecord> = {}): JournalRecord {
  return {
    kind: 'media',
    epoch: 3,
    sequence: 41,
    captureTimeUs: 1_790_000_000_000_123,
    receivedAtUs: 1_790_000_000_100_456,
    durableBytes: 5_000_000_000,
    chain: new Uint8Array(32).fill(7),
    signature: new Uint8Array(64).fill(9),
    payload: Uint8Array.of(1, 2, 3, 4, 5),
    ...fields,
  };
}

describe('a journal record', () => {
  test('[J1] is read as it was encoded, whatever its kind, and whatever stands around it', () => {
    for (const kind of ['start', 'media', 'event', 'end'] as const) {
      const given = record({ kind });
      const bytes = new Uint8Array(Buffer.concat([Buffer.alloc(10), bytesOf(given), Buffer.alloc(10, 0xf0)]));
      const reading = readRecord(bytes, 10);
      expect(reading).toEqual({ record: given, end: 10 + RECORD_HEADER_BYTES + 5 });
    }
  });

  test('[J2] with any one bit changed is not read, and never as a longer one than there are bytes', () => {
    const bytes = bytesOf(record());
    for (let bit = 0; bit < bytes.length * 8; bit++) {
      const changed = bytes.slice();
      changed[bit >> 3] = (changed[bit >> 3] ?? 0) ^ (1 << (bit & 7));
      const reading = readRecord(changed, 0);
      expect(reading, `bit ${bit}`).toHaveProperty('fault');
    }
  });

  test('[J8] cut anywhere is incomplete, and says how much would show more', () => {
    const bytes = bytesOf(record());
    for (let length = 0; length < bytes.length; length++) {
      const reading = readRecord(bytes.subarray(0, length), 0);
      const missingBytes = (length < RECORD_HEADER_BYTES ? RECORD_HEADER_BYTES : bytes.length) - length;
      expect(reading, `${length} bytes`).toEqual({ fault: { kind: 'incomplete', missingBytes } });
    }
  });

  test('that claims more than a chunk can have is refused before anything that long is read', () => {
    const bytes = bytesOf(record());
    new DataView(bytes.buffer).setUint32(8, MAX_RECORD_BYTES);
    expect(readRecord(bytes, 0)).toEqual({ fault: { kind: 'length' } });
  });

  test('is never found in bytes that hold none', () => {
    const seed = freshSeed();
    const random = seededRandom(seed);
    for (let round = 0; round < 2000; round++) {
      const bytes = random.bytes(random.integer(0, 400));
      if (random.fraction() < 0.5) bytes.set(RECORD_MAGIC.subarray(0, bytes.length), 0);
      expect(readRecord(bytes, 0), `seed ${seed}, round ${round}`).toHaveProperty('fault');
    }
  });
});
