/** Reads back the segments of one recording after a restart, and cuts what a crash left unfinished. */
import { encodeStartRecord, type Chunk } from '@proofcast/shared';
import { readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { SpooledStart } from './recording-file.ts';
import { sha256, SpoolSegment, type StoredFrame } from './spool-segment.ts';

export interface RecoveredFrames {
  readonly segments: readonly { segment: SpoolSegment; frames: readonly StoredFrame[] }[];
  /** Chunks before this one were durable at the relay when the app ended. */
  readonly firstSequence: number;
  readonly nextSequence: number;
  readonly cutBytes: number;
}

const SEGMENT_NAME = /^chunks-(\d{12})\.spool$/;

/** The name of the segment that begins with chunk `sequence`; names sort as their chunks do. */
export function segmentName(sequence: number): string {
  return `chunks-${String(sequence).padStart(12, '0')}.spool`;
}

/** Opens all segments in `directory`. Behind a segment that had to be cut nothing can follow: it is deleted. */
export async function recoverFrames(directory: string, start: SpooledStart): Promise<RecoveredFrames> {
  const names = (await readdir(directory)).filter((name) => SEGMENT_NAME.test(name)).toSorted();
  const firstSequence = Number(SEGMENT_NAME.exec(names[0] ?? segmentName(0))?.[1]);
  let last: Pick<Chunk, 'sequence' | 'chain'> | null =
    firstSequence === 0 ? { sequence: -1, chain: sha256(encodeStartRecord(start)) } : null;
  const segments: { segment: SpoolSegment; frames: readonly StoredFrame[] }[] = [];
  let cutBytes = 0;
  for (const name of names) {
    const path = join(directory, name);
    if (cutBytes > 0) {
      await rm(path);
      continue;
    }
    const recovered = await SpoolSegment.recover(path, last);
    segments.push({ segment: recovered.segment, frames: recovered.frames });
    last = recovered.lastChunk;
    cutBytes += recovered.cutBytes;
  }
  return { segments, firstSequence, nextSequence: last ? last.sequence + 1 : firstSequence, cutBytes };
}
