/** `recording.json` in the folder of each spooled recording: what the recording is, and whether its capture is over. */
import { DeviceId, parseJson, parseWith, RecordingId, StreamId } from '@proofcast/shared';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Type, type Static } from 'typebox';
import { writeFileAtomically } from './atomic-file.ts';

export const SpooledStart = Type.Object({
  recordingId: RecordingId,
  streamId: StreamId,
  deviceId: DeviceId,
  /** The relay that the device is enrolled at. */
  serverUrl: Type.String(),
  startedAtUs: Type.Integer({ minimum: 0 }),
});
export type SpooledStart = Static<typeof SpooledStart>;

/** What was chosen to be shared when the recording began. */
export const RecordedSource = Type.Object({ sourceId: Type.String(), name: Type.String() });
export type RecordedSource = Static<typeof RecordedSource>;

export const RecordingFile = Type.Object({
  version: Type.Literal(3),
  start: SpooledStart,
  source: RecordedSource,
  /** Null while capture goes on. */
  chunkCount: Type.Union([Type.Integer({ minimum: 0 }), Type.Null()]),
});
export type RecordingFile = Static<typeof RecordingFile>;

const NAME = 'recording.json';

export async function writeRecordingFile(directory: string, file: RecordingFile): Promise<void> {
  await writeFileAtomically(join(directory, NAME), JSON.stringify(file));
}

/** Throws when the folder does not say which recording it holds. */
export async function readRecordingFile(directory: string): Promise<RecordingFile> {
  const what = `${NAME} in the spool`;
  return parseWith(RecordingFile, parseJson(await readFile(join(directory, NAME), 'utf8'), what), what);
}
