/**
 * Reads a journal as recovery does, and says what recovery would find, without changing anything. May be used while a
 * relay writes the same journal.
 */
import { hash } from 'node:crypto';
import {
  bytesEqual,
  chainInput,
  CodedError,
  copyBytes,
  encodeChunkHead,
  encodeStartRecord,
  type Id,
} from '@proofcast/shared';
import { RecordingIndex } from '../recording/recording-index.ts';
import { JournalDamagedError, JournalReader, type JournalDamage } from './journal-reader.ts';
import { readOnlyJournalFolder, type JournalFolder } from './journal-files.ts';
import { parseEnd, parseSegmentName, type EndReason } from './journal-start.ts';
import type { JournalRecord } from './record.ts';

/** How long a relay may take for a write that a look at its journal has caught half-way. */
const WRITE_MS = 200;
/** How often a journal is read anew because files of it vanished, as they do when its recording is sealed. */
const MAX_READINGS = 3;

export interface JournalContent {
  /** Chunks, starts and ends. */
  readonly records: number;
  readonly chunks: number;
  readonly epochs: number;
  readonly payloadBytes: number;
  /** Null while something may follow. */
  readonly endReason: EndReason | null;
}

/**
 * `torn`: the last record was being written when the relay died; recovery cuts it, and nothing of it was acknowledged.
 * `damaged`: something that was acknowledged is lost. `place` is null when no single place is to blame.
 * `content` is what can be read.
 */
export type JournalVerdict =
  | { readonly kind: 'whole' }
  | { readonly kind: 'torn'; readonly file: string; readonly atByte: number; readonly cutBytes: number }
  | { readonly kind: 'damaged'; readonly reason: string; readonly place: JournalDamage | null }
  | { readonly kind: 'unreadable'; readonly reason: string };

export interface JournalReport {
  readonly recordingId: Id;
  readonly files: readonly string[];
  readonly content: JournalContent;
  readonly verdict: JournalVerdict;
}

/** One report for each journal in the folder, or only for that of `recordingId`. Throws when it cannot be listed. */
export async function* checkJournals(path: string, recordingId?: Id): AsyncGenerator<JournalReport> {
  const folder = readOnlyJournalFolder(path);
  for (const id of await listJournals(folder)) {
    if (recordingId !== undefined && recordingId !== id) continue;
    const report = await checkJournal(folder, id);
    if (report !== null) yield report;
  }
}

/** Null when the journal is gone: its recording was sealed meanwhile. */
async function checkJournal(folder: JournalFolder, recordingId: Id): Promise<JournalReport | null> {
  let report = await readJournal(folder, recordingId);
  // A relay may just be writing there: what stays torn at the same place is.
  while (report?.verdict.kind === 'torn') {
    const { file, atByte } = report.verdict;
    await new Promise((resolve) => setTimeout(resolve, WRITE_MS));
    report = await readJournal(folder, recordingId);
    const again = report?.verdict;
    if (again?.kind === 'torn' && again.file === file && again.atByte === atByte) break;
  }
  return report;
}

async function readJournal(
  folder: JournalFolder,
  recordingId: Id,
  readings = MAX_READINGS,
): Promise<JournalReport | null> {
  const segments = (await folder.list())
    .map((name) => ({ name, parsed: parseSegmentName(name) }))
    .filter(({ parsed }) => parsed?.recordingId === recordingId)
    .toSorted((a, b) => (a.parsed?.segment ?? 0) - (b.parsed?.segment ?? 0));
  if (segments.length === 0) return null;
  const files = segments.map(({ name }) => name);
  const numbers = segments.map(({ parsed }) => parsed?.segment ?? 0);
  const content = new Content();
  try {
    const verdict = await judge(folder, { recordingId, numbers, files, content });
    return { recordingId, files, content, verdict };
  } catch (error) {
    if (isMissing(error) && readings > 1) return readJournal(folder, recordingId, readings - 1);
    return { recordingId, files, content, verdict: toVerdict(error, content) };
  }
}

async function judge(
  folder: JournalFolder,
  journal: { recordingId: Id; numbers: readonly number[]; files: readonly string[]; content: Content },
): Promise<JournalVerdict> {
  const { recordingId, numbers, files, content } = journal;
  const reader = await JournalReader.open(folder, recordingId, numbers);
  if (reader === null) return unfinished(folder, files[0] ?? '');
  try {
    content.begin(reader);
    for await (const read of reader.records()) {
      const { file } = reader.segments.find(({ number }) => number === read.segment) ?? {};
      content.take(read.record, { file: file?.name ?? '', atByte: read.start });
    }
    const { validBytes, sizeBytes } = reader.lastEnd;
    const last = reader.segments.at(-1)?.file.name ?? '';
    if (sizeBytes > validBytes) {
      return { kind: 'torn', file: last, atByte: validBytes, cutBytes: sizeBytes - validBytes };
    }
    const [name] = reader.unfinishedNames;
    return name === undefined ? { kind: 'whole' } : await unfinished(folder, name);
  } finally {
    await reader.close();
  }
}

/** A file in which not even the first record is whole: it was being made. */
async function unfinished(folder: JournalFolder, name: string): Promise<JournalVerdict> {
  const file = await folder.open(name);
  try {
    return { kind: 'torn', file: name, atByte: 0, cutBytes: await file.sizeBytes() };
  } finally {
    await file.close();
  }
}

/** What was read so far, and whether each chunk may stand where it stands: what recovery asks, and the chain. */
class Content implements JournalContent {
  records = 0;
  chunks = 0;
  epochs = 0;
  payloadBytes = 0;
  endReason: EndReason | null = null;
  #chain: Uint8Array = new Uint8Array();
  #index = new RecordingIndex({ chain: this.#chain, maxChunks: Number.POSITIVE_INFINITY });

  begin({ start, segments }: JournalReader): void {
    this.records = segments.length;
    this.#chain = hash('sha256', encodeStartRecord(start), 'buffer');
    this.#index = new RecordingIndex({ chain: this.#chain, maxChunks: Number.POSITIVE_INFINITY });
  }

  take(record: JournalRecord, place: { file: string; atByte: number }): void {
    this.records += 1;
    if (record.kind === 'start') return;
    if (record.kind === 'end') {
      this.endReason = parseEnd(record).reason;
      return;
    }
    const { kind, sequence, payload, chain } = record;
    const damage = { ...place, sequence };
    const sha256 = hash('sha256', payload, 'buffer');
    const head = encodeChunkHead({ ...record, kind, payloadBytes: payload.length });
    if (!bytesEqual(hash('sha256', chainInput(this.#chain, head, sha256), 'buffer'), chain)) {
      throw new JournalDamagedError(`The chain value of chunk ${sequence} does not follow.`, damage);
    }
    try {
      this.#index.check({ ...record, kind }).store({
        isDurable: true,
        place: { kind: 'file', segment: 0, start: 0, byteLength: payload.length },
      });
    } catch (cause) {
      if (!(cause instanceof CodedError)) throw cause;
      throw new JournalDamagedError(`Chunk ${sequence} cannot be where it is: ${cause.message}`, damage);
    }
    this.#chain = copyBytes(chain);
    this.endReason = null;
    this.chunks += 1;
    this.payloadBytes += payload.length;
    this.epochs = this.#index.epochs.length;
  }
}

function toVerdict(error: unknown, { chunks }: Content): JournalVerdict {
  if (error instanceof JournalDamagedError) {
    return { kind: 'damaged', reason: error.message, place: error.damage };
  }
  // What a record of the relay's own says makes no sense, although its checksum is right.
  if (error instanceof CodedError) {
    return { kind: 'damaged', reason: `${error.message} (after ${chunks} chunks)`, place: null };
  }
  return { kind: 'unreadable', reason: error instanceof Error ? error.message : String(error) };
}

async function listJournals(folder: JournalFolder): Promise<Id[]> {
  const ids = new Set<Id>();
  for (const name of await folder.list()) {
    const parsed = parseSegmentName(name);
    if (parsed !== null) ids.add(parsed.recordingId);
  }
  return [...ids].toSorted();
}

function isMissing(error: unknown): boolean {
  return error instanceof Error && 'code' in error && error.code === 'ENOENT';
}
