/** Where sealed recordings lie. Paths are built from ids and from the start time, never from names that came in. */
import { join } from 'node:path';
import type { Id } from '@proofcast/shared';

export interface RecordingPlace {
  readonly companyId: Id;
  readonly deviceId: Id;
  readonly recordingId: Id;
  readonly startedAtMs: number;
}

/** Paths relative to the folder of recordings. */
export interface RecordingPaths {
  /** `<company>/<device>/<yyyy-mm-dd>`, UTC. */
  readonly folder: string;
  /** `<folder>/<hhmmss>-<recording>.webm` */
  readonly media: string;
  readonly thumbnail: string;
  /** What the names of unfinished files of this recording begin with; they lie in the same folder. */
  readonly temporaryPrefix: string;
}

export function recordingPaths({
  companyId,
  deviceId,
  recordingId,
  startedAtMs,
}: RecordingPlace): RecordingPaths {
  const [date = '', time = ''] = new Date(startedAtMs).toISOString().split('T');
  const folder = join(companyId, deviceId, date);
  const name = `${time.slice(0, 8).replaceAll(':', '')}-${recordingId}`;
  return {
    folder,
    media: join(folder, `${name}.webm`),
    thumbnail: join(folder, `${name}.jpg`),
    temporaryPrefix: `${name}.part`,
  };
}
