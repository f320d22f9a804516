/** A merged recording as derivatives see it: the files that ffmpeg may read, and the time line on which they lie. */
import { join } from 'node:path';
import { Type } from 'typebox';
import { Gap, parseJson, parseWith, type Id } from '@proofcast/shared';
import type { Database } from '../database/database.ts';
import type { RecordingRow } from '../database/schema.ts';
import { isNotBuried } from '../recording/catalogue.ts';
import { recordingPaths, type RecordingPaths } from '../recording/paths.ts';

export interface SourcePart {
  /** Absolute. */
  readonly path: string;
  /** From the start of the recording to the start of this file, by the wall clock; parts never overlap. */
  readonly offsetMs: number;
  readonly durationMs: number;
}

/** From the start of the recording. */
export interface SourceGap {
  readonly fromMs: number;
  readonly toMs: number;
  readonly reason: Gap['reason'];
}

export interface DerivativeSource {
  readonly recordingId: Id;
  readonly companyId: Id;
  /** Publisher's wall clock. */
  readonly startedAtMs: number;
  readonly durationMs: number;
  readonly sizeBytes: number;
  /** Of how many chunks the files are made: tells them from those of an earlier merge. */
  readonly chunkCount: number;
  readonly parts: readonly SourcePart[];
  /** Ascending. */
  readonly gaps: readonly SourceGap[];
  readonly paths: RecordingPaths;
}

/** Null when there is no file, or none any more because the recording goes on or was deleted. */
export async function readSource(
  database: Database,
  recordingsDir: string,
  recordingId: Id,
): Promise<DerivativeSource | null> {
  const row = await database
    .selectFrom('recordings')
    .selectAll('recordings')
    .where('recordings.recording_id', '=', recordingId)
    .where(isNotBuried)
    .executeTakeFirst();
  if (row === undefined || row.media_path === null) return null;
  const rows = await database
    .selectFrom('recording_parts')
    .select(['media_path', 'started_at_ms', 'duration_ms'])
    .where('recording_id', '=', recordingId)
    .orderBy('part')
    .execute();
  const parts = rows.length === 0 ? [onlyPartOf(row, row.media_path)] : rows;
  const startedAtMs = parts[0]?.started_at_ms ?? row.started_at_ms;
  const placed = placeParts(parts, { startedAtMs, recordingsDir });
  const last = placed.at(-1);
  const durationMs = last === undefined ? 0 : last.offsetMs + last.durationMs;
  return {
    recordingId,
    companyId: row.company_id,
    startedAtMs,
    durationMs,
    sizeBytes: row.media_bytes ?? 0,
    chunkCount: row.chunk_count ?? 0,
    parts: placed,
    gaps: placeGaps(await readGaps(database, recordingId), { startedAtMs, durationMs }),
    paths: pathsOf(row),
  };
}

/** Where the files of a recording lie, relative to the folder of recordings. */
export function pathsOf(
  row: Pick<RecordingRow, 'company_id' | 'device_id' | 'recording_id' | 'started_at_us'>,
): RecordingPaths {
  return recordingPaths({
    companyId: row.company_id,
    deviceId: row.device_id,
    recordingId: row.recording_id,
    startedAtUs: row.started_at_us,
  });
}

interface PartRow {
  readonly media_path: string;
  readonly started_at_ms: number;
  readonly duration_ms: number;
}

/** Recordings that were sealed before there were parts have one file. */
function onlyPartOf(row: RecordingRow, media_path: string): PartRow {
  return { media_path, started_at_ms: row.started_at_ms, duration_ms: row.duration_ms ?? 0 };
}

function placeParts(
  rows: readonly PartRow[],
  { startedAtMs, recordingsDir }: { startedAtMs: number; recordingsDir: string },
): SourcePart[] {
  let earliestMs = 0;
  return rows.map(({ media_path, started_at_ms, duration_ms: durationMs }) => {
    // The clock of the publisher may have been set back in between.
    const offsetMs = Math.max(earliestMs, started_at_ms - startedAtMs);
    earliestMs = offsetMs + durationMs + 1;
    return { path: join(recordingsDir, media_path), offsetMs, durationMs };
  });
}

async function readGaps(database: Database, recordingId: Id): Promise<Gap[]> {
  const details = await database
    .selectFrom('recording_details')
    .select('gaps')
    .where('recording_id', '=', recordingId)
    .executeTakeFirst();
  if (details === undefined) return [];
  return parseWith(Type.Array(Gap), parseJson(details.gaps, 'the gaps'), 'the gaps', 'INTERNAL');
}

function placeGaps(
  gaps: readonly Gap[],
  { startedAtMs, durationMs }: { startedAtMs: number; durationMs: number },
): SourceGap[] {
  return gaps
    .map(({ fromMs, toMs, reason }) => ({
      fromMs: Math.max(0, fromMs - startedAtMs),
      toMs: Math.min(durationMs, toMs - startedAtMs),
      reason,
    }))
    .filter(({ fromMs, toMs }) => toMs > fromMs)
    .toSorted((a, b) => a.fromMs - b.fromMs);
}
