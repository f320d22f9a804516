/**
 * Reads back the segments of one recording after a restart. Only what a crash left unfinished at the very end is cut;
 * what a disk has damaged stays where it is, and the chunks behind it with it: the relay may have what is missing.
 */
import type { RecordingEvent } from '@proofcast/shared';
import { readdir, rename, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import type { RecordingFile } from './recording-file.ts';
import type { StoredFrame } from './spool-frames.ts';
import { firstPosition, isSamePosition, POSITION_BYTES, type SpoolPosition } from './spool-position.ts';
import { SpoolSegment } from './spool-segment.ts';

export interface RecoveredSegment {
  readonly segment: SpoolSegment;
  readonly frames: readonly StoredFrame[];
  /** Of the last chunk that is, or should be, in this file. */
  readonly lastSequence: number;
}

export interface RecoveredFrames {
  readonly segments: readonly RecoveredSegment[];
  /** Chunks before this one were durable at the relay when the app ended. */
  readonly firstSequence: number;
  /** Behind the last chunk. */
  readonly position: SpoolPosition;
  /** The last chunk, when it is on this disk and an event. */
  readonly lastEvent: RecordingEvent | null;
  /** Bytes of the torn tail that were cut; 0 when there was none. */
  readonly cutBytes: number;
  /** Whether something else than the tail is not what was written. */
  readonly isDamaged: boolean;
}

interface FoundSegment {
  readonly path: string;
  readonly firstSequence: number;
  /** What it follows; null when it does not say so any more. */
  readonly position: SpoolPosition | null;
}

const SEGMENT_NAME = /^chunks-(\d{12})\.spool$/;

/** Behind the name of a segment in which nothing can be read. */
const DAMAGED_SUFFIX = '.damaged';

/** The name of the segment that begins with chunk `sequence`; names sort as their chunks do. */
export function segmentName(sequence: number): string {
  return `chunks-${String(sequence).padStart(12, '0')}.spool`;
}

/**
 * Opens all segments in `directory`; of a recording that has ended `chunkCount` chunks are known to have been written.
 * Throws when the segments are those of another recording.
 */
export async function recoverFrames(
  directory: string,
  { start, chunkCount }: Pick<RecordingFile, 'start' | 'chunkCount'>,
): Promise<RecoveredFrames> {
  const { found, tornBytes, isAnythingAside } = await findSegments(directory);
  const first = firstPosition(start);
  let position = found[0]?.position ?? { ...first, nextSequence: found[0]?.firstSequence ?? 0 };
  const firstSequence = position.nextSequence;
  if (firstSequence === 0 && !isSamePosition(position, first)) {
    throw new Error(`The segments in ${directory} are not those of ${start.recordingId}.`);
  }
  const segments: RecoveredSegment[] = [];
  let lastEvent: RecordingEvent | null = null;
  let cutBytes = tornBytes;
  let isDamaged = isAnythingAside;
  for (const [index, { path, ...known }] of found.entries()) {
    const next = found[index + 1];
    const before = known.position ?? { ...position, nextSequence: known.firstSequence };
    isDamaged ||= known.position === null || !isSamePosition(position, before);
    const recovered = await SpoolSegment.recover(path, {
      position: before,
      endSequence: next?.firstSequence ?? chunkCount ?? Number.POSITIVE_INFINITY,
    });
    const { segment, frames } = recovered;
    if (known.position === null && frames.length === 0) {
      isDamaged = true;
      await segment.close();
      await rename(path, `${path}${DAMAGED_SUFFIX}`);
      continue;
    }
    ({ position } = recovered);
    segments.push({ segment, frames, lastSequence: (next?.firstSequence ?? position.nextSequence) - 1 });
    if (frames.length > 0) ({ lastEvent } = recovered);
    cutBytes += recovered.cutBytes;
    isDamaged ||= recovered.isDamaged;
  }
  if (chunkCount !== null && position.nextSequence < chunkCount) {
    position = { ...position, nextSequence: chunkCount };
    isDamaged = true;
  }
  return { segments, firstSequence, position, lastEvent, cutBytes, isDamaged };
}

/** All segments in order. One that a crash left without even saying what it follows was never used, and is deleted. */
async function findSegments(
  directory: string,
): Promise<{ found: FoundSegment[]; tornBytes: number; isAnythingAside: boolean }> {
  const names = (await readdir(directory)).toSorted();
  const found: FoundSegment[] = [];
  let tornBytes = 0;
  for (const name of names) {
    const number = SEGMENT_NAME.exec(name)?.[1];
    if (number === undefined) continue;
    const path = join(directory, name);
    const position = await SpoolSegment.readPosition(path);
    const { size } = await stat(path);
    if (position === null && size <= POSITION_BYTES) {
      tornBytes += Math.max(1, size);
      await rm(path);
    } else found.push({ path, firstSequence: Number(number), position });
  }
  return { found, tornBytes, isAnythingAside: names.some((name) => name.endsWith(DAMAGED_SUFFIX)) };
}
