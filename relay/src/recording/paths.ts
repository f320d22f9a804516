/** Where sealed recordings lie. Paths are built from ids and from the start time, never from names that came in. */
import { join } from 'node:path';
import type { Id } from '@proofcast/shared';

export interface RecordingPlace {
  readonly companyId: Id;
  readonly deviceId: Id;
  readonly recordingId: Id;
  readonly startedAtUs: number;
}

/** Paths relative to the folder of recordings. */
export interface RecordingPaths {
  /** `<company>/<device>/<yyyy-mm-dd>`, UTC. */
  readonly folder: string;
  /** What the names of all files of this recording begin with, and of no other. */
  readonly namePrefix: string;
  /** `<folder>/<hhmmss>-<recording>.webm`; of parts that follow the first one `….2.webm`, `….3.webm`, … */
  media(part: number): string;
  readonly manifest: string;
  readonly thumbnail: string;
  /** What the names of unfinished files begin with; they lie in the same folder. */
  readonly temporaryPrefix: string;
}

export function recordingPaths(place: RecordingPlace): RecordingPaths {
  const { companyId, deviceId, recordingId, startedAtUs } = place;
  const [date = '', time = ''] = new Date(startedAtUs / 1000).toISOString().split('T');
  const folder = join(companyId, deviceId, date);
  const name = `${time.slice(0, 8).replaceAll(':', '')}-${recordingId}`;
  return {
    folder,
    namePrefix: `${name}.`,
    media: (part) => join(folder, part === 0 ? `${name}.webm` : `${name}.${part + 1}.webm`),
    manifest: join(folder, `${name}.manifest.json`),
    thumbnail: join(folder, `${name}.jpg`),
    temporaryPrefix: `${name}.part`,
  };
}
