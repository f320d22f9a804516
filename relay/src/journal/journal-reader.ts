/**
 * Reads a whole recording from its journal files, in order, each record once. A later file takes over from the number
 * that its start record names, whatever the file before it holds from there on.
 */
import { CodedError } from '@proofcast/shared';
import { parseStart, segmentName, type JournalStart } from './journal-start.ts';
import type { JournalFile, JournalFolder } from './journal-files.ts';
import { isDamaged, scanSegment, type ScannedRecord, type SegmentEnd } from './segment-scan.ts';

export interface OpenSegment {
  readonly number: number;
  readonly file: JournalFile;
  /** Number of the first chunk in the file. */
  readonly firstSequence: number;
}

/** A chunk or the end, with the place of its payload. */
export interface ReadRecord extends ScannedRecord {
  readonly segment: number;
}

/** Where acknowledged bytes are lost. */
export interface JournalDamage {
  readonly file: string;
  readonly atByte: number;
  /** The chunk that should begin there. */
  readonly sequence: number;
}

/** Acknowledged bytes cannot be read any more. Trying again does not help, unlike with a disk that refuses. */
export class JournalDamagedError extends CodedError {
  /** Null when not a place is damaged but the files do not fit together. */
  readonly damage: JournalDamage | null;

  constructor(message: string, damage: JournalDamage | null = null) {
    super('STORAGE_FAILED', message);
    this.damage = damage;
  }
}

export class JournalReader {
  readonly start: JournalStart;
  /** The start record of the last file, for whoever continues it. */
  readonly lastStart: ScannedRecord;
  readonly segments: readonly OpenSegment[];
  /** Names of files that were being made when the relay died; nothing in them was ever relied upon. */
  readonly unfinishedNames: readonly string[];
  #lastEnd: SegmentEnd | null = null;

  private constructor(parts: Pick<JournalReader, 'start' | 'lastStart' | 'segments' | 'unfinishedNames'>) {
    this.start = parts.start;
    this.lastStart = parts.lastStart;
    this.segments = parts.segments;
    this.unfinishedNames = parts.unfinishedNames;
  }

  /**
   * Opens the files `segmentNumbers` (ascending) of a recording. Null when nothing of it was ever on disk.
   * Throws `STORAGE_FAILED` when the files do not fit together. The caller closes.
   */
  static async open(
    folder: JournalFolder,
    recordingId: string,
    segmentNumbers: readonly number[],
  ): Promise<JournalReader | null> {
    const unfinishedNames: string[] = [];
    const files: JournalFile[] = [];
    const opened: { number: number; file: JournalFile; first: ScannedRecord; start: JournalStart }[] = [];
    try {
      for (const number of segmentNumbers) {
        const file = await folder.open(segmentName(recordingId, number));
        files.push(file);
        const first = await readFirst(file);
        if (first === null) {
          unfinishedNames.push(file.name);
          await file.close();
        } else {
          opened.push({ number, file, first, start: parseStart(first.record) });
        }
      }
      const [head, last] = [opened.at(0), opened.at(-1)];
      if (head === undefined || last === undefined) return null;
      for (const { start, number } of opened) {
        if (start.recordingId !== recordingId || start.segment !== number || head.number !== 0) {
          throw damaged(recordingId, `its file ${number} is not of this recording or has no beginning`);
        }
      }
      const segments = opened.map(({ number, file, first }) => ({
        number,
        file,
        firstSequence: first.record.sequence,
      }));
      return new JournalReader({ start: head.start, lastStart: last.first, segments, unfinishedNames });
    } catch (error) {
      await Promise.allSettled(files.map((file) => file.close()));
      throw error;
    }
  }

  /** What was left over of the last file; known when `records` has ended. */
  get lastEnd(): SegmentEnd {
    if (this.#lastEnd === null) throw new Error('The records must be read before the end is known.');
    return this.#lastEnd;
  }

  /** Chunks and the end, in order. Throws `STORAGE_FAILED` where acknowledged bytes cannot be read any more. */
  async *records(): AsyncGenerator<ReadRecord> {
    let expected = 0;
    for (const [index, segment] of this.segments.entries()) {
      const takenOverFrom = Math.min(...this.segments.slice(index + 1).map((later) => later.firstSequence));
      const scan = scanSegment(segment.file);
      let next = await scan.next();
      for (; next.done !== true; next = await scan.next()) {
        const { record } = next.value;
        if (record.kind === 'start' || record.sequence >= takenOverFrom) continue;
        this.#checkOrder(next.value, { file: segment.file.name, expected });
        if (record.kind !== 'end') expected += 1;
        yield { ...next.value, segment: segment.number };
      }
      const isLast = index === this.segments.length - 1;
      if (isDamaged(next.value) || (!isLast && expected < takenOverFrom)) {
        const { name: file } = segment.file;
        const { validBytes: atByte } = next.value;
        throw damaged(this.start.recordingId, `${file} is unreadable at byte ${atByte}, chunk ${expected}`, {
          file,
          atByte,
          sequence: expected,
        });
      }
      this.#lastEnd = next.value;
    }
  }

  async close(): Promise<void> {
    await Promise.allSettled(this.segments.map(({ file }) => file.close()));
  }

  #checkOrder(
    { record, start }: ScannedRecord,
    { file, expected }: { file: string; expected: number },
  ): void {
    if (record.sequence === expected) return;
    throw damaged(
      this.start.recordingId,
      `chunk ${expected} is missing, ${record.sequence} stands in its place`,
      { file, atByte: start, sequence: expected },
    );
  }
}

/** The first record, when it is a whole `start`; null when it never was on disk. */
async function readFirst(file: JournalFile): Promise<ScannedRecord | null> {
  const scan = scanSegment(file);
  const first = await scan.next();
  if (first.done === true) {
    if (isDamaged(first.value)) {
      throw new JournalDamagedError(`The start of ${file.name} is damaged.`, {
        file: file.name,
        atByte: 0,
        sequence: 0,
      });
    }
    return null;
  }
  if (first.value.record.kind !== 'start') {
    throw new JournalDamagedError(`${file.name} does not begin with a start record.`);
  }
  return first.value;
}

function damaged(
  recordingId: string,
  because: string,
  damage: JournalDamage | null = null,
): JournalDamagedError {
  return new JournalDamagedError(`The journal of ${recordingId} is damaged: ${because}.`, damage);
}
