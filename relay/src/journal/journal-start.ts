/** What the records say that a journal writes of its own: who is recorded, how files continue one another, how it ended. */
import { Type, type Static } from 'typebox';
import {
  CompanyId,
  DeviceId,
  EndReason,
  parseJson,
  parseWith,
  RecordingId,
  StreamId,
} from '@proofcast/shared';
import type { JournalRecord } from './record.ts';

/** Payload of `start`: enough to make the recording from the files alone, without the database. */
export const JournalStart = Type.Object({
  format: Type.Literal('proofcast-journal'),
  recordingId: RecordingId,
  companyId: CompanyId,
  streamId: StreamId,
  deviceId: DeviceId,
  /** Publisher's wall clock; part of what the chain begins with. */
  startedAtUs: Type.Integer({ minimum: 0 }),
  segment: Type.Integer({ minimum: 0 }),
  /** Why the file before could not be continued; null in the first. */
  continuesBecause: Type.Union([Type.Null(), Type.String({ maxLength: 200 })]),
});
export type JournalStart = Static<typeof JournalStart>;

/** What stays the same in all files of one recording. */
export type RecordingIdentity = Omit<JournalStart, 'format' | 'segment' | 'continuesBecause'>;

export { EndReason };

const JournalEnd = Type.Object({ reason: EndReason });

/** Throws `STORAGE_FAILED` when the record says something else. */
export function parseStart(record: JournalRecord): JournalStart {
  return parseContent(JournalStart, record);
}

/** Throws `STORAGE_FAILED` when the record says something else. */
export function parseEnd(record: JournalRecord): Static<typeof JournalEnd> {
  return parseContent(JournalEnd, record);
}

function parseContent<S extends typeof JournalStart | typeof JournalEnd>(
  schema: S,
  record: JournalRecord,
): Static<S> {
  const what = `the ${record.kind} record of a journal`;
  const text = new TextDecoder().decode(record.payload);
  return parseWith(schema, parseJson(text, what, 'STORAGE_FAILED'), what, 'STORAGE_FAILED');
}

const NAME = /^(rec_[0-9a-z]{20})(?:\.([1-9][0-9]{0,5}))?\.journal$/;

/** `<recording id>.journal`, and `<recording id>.1.journal`, … for the files that continue it. */
export function segmentName(recordingId: string, segment: number): string {
  return segment === 0 ? `${recordingId}.journal` : `${recordingId}.${segment}.journal`;
}

/** Null for names that are not of a journal. */
export function parseSegmentName(name: string): { recordingId: string; segment: number } | null {
  const match = NAME.exec(name);
  const recordingId = match?.[1];
  return recordingId === undefined ? null : { recordingId, segment: Number(match?.[2] ?? 0) };
}
