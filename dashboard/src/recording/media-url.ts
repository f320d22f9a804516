/** Where the files of a recording are fetched from, and how they are called on somebody's disk. */
import { routePath, type RecordingDetails } from '@proofcast/shared';

type Served = Pick<RecordingDetails, 'recordingId' | 'chunkCount' | 'parts'>;

/** The file of one part, made of exactly the chunks that these details speak of: it stays the same while it is played. */
export function mediaUrl({ recordingId, chunkCount, parts }: Served, part: number): string {
  const path = routePath('recordingMedia', { recordingId });
  // Recordings that were sealed before there were parts have one file, and nothing else to be asked for.
  return parts.length === 0 ? path : `${path}?chunks=${chunkCount}&part=${part}`;
}

/** As the relay calls its exports: the start in UTC, and the id. */
export function fileName(
  { startedAtMs, recordingId }: Pick<RecordingDetails, 'startedAtMs' | 'recordingId'>,
  extension: string,
): string {
  const time = new Date(startedAtMs).toISOString().slice(0, 19).replaceAll(/[-:]/g, '');
  return `proofcast-${time}Z-${recordingId}.${extension}`;
}
