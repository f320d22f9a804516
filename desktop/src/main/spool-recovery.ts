/** Reads back the segments of one recording after a restart, and cuts what a crash left unfinished. */
import type { RecordingEvent } from '@proofcast/shared';
import { readdir, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import type { SpooledStart } from './recording-file.ts';
import { firstPosition, isSamePosition, type SpoolPosition } from './spool-position.ts';
import { SpoolSegment, type StoredFrame } from './spool-segment.ts';

export interface RecoveredFrames {
  readonly segments: readonly { segment: SpoolSegment; frames: readonly StoredFrame[] }[];
  /** Chunks before this one were durable at the relay when the app ended. */
  readonly firstSequence: number;
  /** Behind the last chunk. */
  readonly position: SpoolPosition;
  /** The last chunk, when it is on this disk and an event. */
  readonly lastEvent: RecordingEvent | null;
  /** Publisher's clock at the last chunk on this disk; null when there is none. */
  readonly lastCaptureTimeUs: number | null;
  readonly cutBytes: number;
}

const SEGMENT_NAME = /^chunks-(\d{12})\.spool$/;

/** The name of the segment that begins with chunk `sequence`; names sort as their chunks do. */
export function segmentName(sequence: number): string {
  return `chunks-${String(sequence).padStart(12, '0')}.spool`;
}

/** Opens all segments in `directory`. A segment that does not follow from the one before is deleted with all behind. */
export async function recoverFrames(directory: string, start: SpooledStart): Promise<RecoveredFrames> {
  const { paths, positions, cutBytes: tornBytes } = await findSegments(directory);
  let position = positions[0] ?? firstPosition(start);
  const firstSequence = position.nextSequence;
  if (firstSequence === 0 && !isSamePosition(position, firstPosition(start))) {
    throw new Error(`The segments in ${directory} are not those of ${start.recordingId}.`);
  }
  const segments: { segment: SpoolSegment; frames: readonly StoredFrame[] }[] = [];
  let lastEvent: RecordingEvent | null = null;
  let lastCaptureTimeUs: number | null = null;
  let cutBytes = tornBytes;
  for (const [index, path] of paths.entries()) {
    if (!isSamePosition(position, positions[index] as SpoolPosition)) {
      cutBytes += (await stat(path)).size;
      await rm(path);
      continue;
    }
    const endSequence = positions[index + 1]?.nextSequence ?? Number.POSITIVE_INFINITY;
    const recovered = await SpoolSegment.recover(path, { position, endSequence });
    segments.push(recovered);
    ({ position } = recovered);
    if (recovered.frames.length > 0) ({ lastEvent, lastCaptureTimeUs } = recovered);
    cutBytes += recovered.cutBytes;
  }
  return { segments, firstSequence, position, lastEvent, lastCaptureTimeUs, cutBytes };
}

/** The segments that say what they follow. One that does not was never used, or nothing behind it can be. */
async function findSegments(
  directory: string,
): Promise<{ paths: string[]; positions: SpoolPosition[]; cutBytes: number }> {
  const names = (await readdir(directory)).filter((name) => SEGMENT_NAME.test(name)).toSorted();
  const paths: string[] = [];
  const positions: SpoolPosition[] = [];
  let cutBytes = 0;
  for (const name of names) {
    const path = join(directory, name);
    const position = await SpoolSegment.readPosition(path);
    if (position !== null && cutBytes === 0) {
      paths.push(path);
      positions.push(position);
      continue;
    }
    cutBytes += Math.max(1, (await stat(path)).size);
    await rm(path);
  }
  return { paths, positions, cutBytes };
}
