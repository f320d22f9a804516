/** One file of a journal that is being written. */
import type { JournalFolder } from './journal-files.ts';
import type { OpenSegment } from './journal-reader.ts';
import { segmentName } from './journal-start.ts';
import { encodeRecordHeader, RECORD_HEADER_BYTES, type JournalRecord } from './record.ts';

export interface Segment extends OpenSegment {
  /** Where the next record goes. */
  position: number;
  durableBytes: number;
}

/** Creates a file and makes its start and its name durable. What fails half-way is removed as far as possible. */
export async function createSegment(
  folder: JournalFolder,
  options: { recordingId: string; number: number; startRecord: JournalRecord },
): Promise<Segment> {
  const { recordingId, number, startRecord } = options;
  const name = segmentName(recordingId, number);
  const file = await folder.create(name);
  try {
    await file.write([encodeRecordHeader(startRecord), startRecord.payload], 0);
    await file.datasync();
    await folder.sync();
  } catch (error) {
    await Promise.allSettled([file.close(), folder.remove(name)]);
    throw error;
  }
  const position = RECORD_HEADER_BYTES + startRecord.payload.length;
  return { number, file, firstSequence: startRecord.sequence, position, durableBytes: position };
}
