/** The recordings in the database: what the API lists, and the state that survives a restart. */
import type { Expression, ExpressionBuilder, SqlBool } from 'kysely';
import { Type } from 'typebox';
import {
  CodedError,
  Gap,
  parseJson,
  parseWith,
  TimedEvent,
  type EpochStart,
  type ErrorCode,
  type Id,
  type Recording,
  type RouteQuery,
} from '@proofcast/shared';
import type { Database } from '../database/database.ts';
import type { RecordingPartRow, RecordingRow, Schema } from '../database/schema.ts';
import type { EndReason, RecordingIdentity } from '../journal/journal-start.ts';
import type { RecordingSummary } from './summary.ts';

const DEFAULT_PAGE = 50;
const MAX_FAILURE_TEXT = 1000;

/** One file of a merged recording. Paths are relative to the folder of recordings. */
export interface MergedPart {
  readonly mediaPath: string;
  readonly mediaBytes: number;
  /** Hexadecimal. */
  readonly sha256: string;
  readonly etag: string;
  readonly startedAtMs: number;
  readonly durationMs: number;
}

/** What is known of a merged recording beside its summary. */
export interface MergedFacts {
  readonly endReason: EndReason;
  readonly parts: readonly MergedPart[];
  readonly manifestPath: string;
  readonly journalBytes: number;
}

/** What a recording is doing that the database has as begun and not ended. */
export type LiveStateOf = (recordingId: Id) => 'recording' | 'reconnecting';

export class RecordingCatalogue {
  readonly #database: Database;

  constructor(database: Database) {
    this.#database = database;
  }

  /** Also of one that was deleted and of which not all is gone. */
  async find(recordingId: Id): Promise<RecordingRow | null> {
    const row = await this.#database
      .selectFrom('recordings')
      .selectAll()
      .where('recording_id', '=', recordingId)
      .executeTakeFirst();
    return row ?? null;
  }

  /** Ids of the recordings that live in their journals, oldest first. */
  async idsOfUnmerged(): Promise<Id[]> {
    const rows = await this.#database
      .selectFrom('recordings')
      .select('recording_id')
      .where('state', 'in', ['recording', 'reconnecting', 'provisional', 'sealing'])
      .where('manifest_path', 'is', null)
      .orderBy('started_at_ms')
      .execute();
    return rows.map((row) => row.recording_id);
  }

  async insert(identity: RecordingIdentity, nowMs: number): Promise<void> {
    await this.#database
      .insertInto('recordings')
      .values({
        recording_id: identity.recordingId,
        company_id: identity.companyId,
        stream_id: identity.streamId,
        device_id: identity.deviceId,
        state: 'recording',
        started_at_us: identity.startedAtUs,
        started_at_ms: Math.floor(identity.startedAtUs / 1000),
        source_name: '',
        created_at_ms: nowMs,
      })
      .execute();
  }

  /** Says what an epoch shows; the first one says how large the recording is. */
  async describe(recordingId: Id, epoch: EpochStart): Promise<void> {
    await this.#database
      .updateTable('recordings')
      .set((eb) => ({
        source_name: epoch.sourceName,
        width_px: eb.fn.coalesce('width_px', eb.val(epoch.widthPx)),
        height_px: eb.fn.coalesce('height_px', eb.val(epoch.heightPx)),
        mime_type: eb.fn.coalesce('mime_type', eb.val(epoch.mimeType)),
      }))
      .where('recording_id', '=', recordingId)
      .execute();
  }

  /** The journal has its end: nothing follows, or nothing came for too long. */
  async markEnded(recordingId: Id, reason: EndReason, summary: RecordingSummary): Promise<void> {
    await this.#database
      .updateTable('recordings')
      .set({
        ...endColumns(reason),
        state: isForGood(reason) ? 'sealing' : 'provisional',
        failure_code: null,
        failure_message: null,
        ...summaryColumns(summary),
      })
      .where('recording_id', '=', recordingId)
      .execute();
  }

  /** The publisher has come back, and the journal is the truth again. */
  async markResumed(recordingId: Id): Promise<void> {
    await this.#database.transaction().execute(async (transaction) => {
      await transaction
        .updateTable('recordings')
        .set({
          state: 'recording',
          is_complete: 0,
          end_reason: null,
          failure_code: null,
          failure_message: null,
          ended_at_ms: null,
          duration_ms: null,
          gap_count: null,
          chunk_count: null,
          journal_bytes: null,
          media_path: null,
          media_bytes: null,
          manifest_path: null,
          sealed_at_ms: null,
        })
        .where('recording_id', '=', recordingId)
        .execute();
      await transaction.deleteFrom('recording_parts').where('recording_id', '=', recordingId).execute();
      await transaction.deleteFrom('recording_details').where('recording_id', '=', recordingId).execute();
    });
  }

  /** From here on the files are the truth, and the journal may go. */
  async markMerged(
    recordingId: Id,
    { summary, facts, nowMs }: { summary: RecordingSummary; facts: MergedFacts; nowMs: number },
  ): Promise<void> {
    const { parts, endReason, manifestPath, journalBytes } = facts;
    await this.#database.transaction().execute(async (transaction) => {
      await transaction
        .updateTable('recordings')
        .set({
          ...endColumns(endReason),
          state: isForGood(endReason) ? 'sealed' : 'provisional',
          failure_code: null,
          failure_message: null,
          ...summaryColumns(summary),
          journal_bytes: journalBytes,
          media_path: parts[0]?.mediaPath ?? null,
          media_bytes: parts.reduce((sum, part) => sum + part.mediaBytes, 0),
          manifest_path: manifestPath,
          sealed_at_ms: nowMs,
        })
        .where('recording_id', '=', recordingId)
        .execute();
      await transaction.deleteFrom('recording_parts').where('recording_id', '=', recordingId).execute();
      await transaction.deleteFrom('recording_details').where('recording_id', '=', recordingId).execute();
      await transaction
        .insertInto('recording_details')
        .values({
          recording_id: recordingId,
          gaps: JSON.stringify(summary.gaps),
          events: JSON.stringify(summary.events),
          event_count: summary.eventCount,
        })
        .execute();
      for (const [part, file] of parts.entries()) {
        await transaction
          .insertInto('recording_parts')
          .values({
            recording_id: recordingId,
            part,
            media_path: file.mediaPath,
            media_bytes: file.mediaBytes,
            sha256: file.sha256,
            etag: file.etag,
            started_at_ms: file.startedAtMs,
            duration_ms: file.durationMs,
          })
          .execute();
      }
    });
  }

  /** Ids of the recordings that were merged for a publisher that might come back, and whose device is revoked now. */
  async idsOfRevoked(): Promise<Id[]> {
    const rows = await this.#database
      .selectFrom('recordings')
      .innerJoin('devices', 'devices.device_id', 'recordings.device_id')
      .select('recordings.recording_id')
      .where('recordings.state', '=', 'provisional')
      .where('recordings.manifest_path', 'is not', null)
      .where('devices.revoked_at_ms', 'is not', null)
      .where(isNotBuried)
      .execute();
    return rows.map((row) => row.recording_id);
  }

  /** Nothing can follow in a recording that was merged: its files and its manifest are its last ones. */
  async markComplete(
    recordingId: Id,
    { reason, nowMs }: { reason: EndReason; nowMs: number },
  ): Promise<void> {
    await this.#database
      .updateTable('recordings')
      .set({ ...endColumns(reason), state: 'sealed', sealed_at_ms: nowMs })
      .where('recording_id', '=', recordingId)
      .where('state', '=', 'provisional')
      .where('manifest_path', 'is not', null)
      .execute();
  }

  /** Says why its file could not be made yet; it can be played nevertheless. */
  async noteFailure(recordingId: Id, error: CodedError): Promise<void> {
    await this.#database
      .updateTable('recordings')
      .set(failureColumns(error))
      .where('recording_id', '=', recordingId)
      .execute();
  }

  /** Nothing of it can be played. One that has files stays what it is. */
  async markFailed(recordingId: Id, error: CodedError): Promise<void> {
    await this.#database
      .updateTable('recordings')
      .set({ state: 'failed', ...failureColumns(error) })
      .where('recording_id', '=', recordingId)
      .where('media_path', 'is', null)
      .execute();
  }

  /** For recordings that never had a chunk, or of which nothing is left. */
  async remove(recordingId: Id): Promise<void> {
    await this.#database.deleteFrom('recordings').where('recording_id', '=', recordingId).execute();
  }

  /** Newest first. */
  async list(companyId: Id, query: RouteQuery<'recordings'>, liveStateOf: LiveStateOf): Promise<Recording[]> {
    let select = this.#selectWithDevice(companyId)
      .orderBy('recordings.started_at_ms', 'desc')
      .orderBy('recordings.recording_id')
      .limit(query.limit ?? DEFAULT_PAGE);
    if (query.streamId !== undefined) select = select.where('recordings.stream_id', '=', query.streamId);
    if (query.beforeMs !== undefined) select = select.where('recordings.started_at_ms', '<', query.beforeMs);
    const rows = await select.execute();
    return rows.map((row) => toRecording(row, liveStateOf));
  }

  /** Throws `RECORDING_NOT_FOUND` also for recordings of other companies, and for those that were deleted. */
  async get(companyId: Id, recordingId: Id, liveStateOf: LiveStateOf): Promise<Recording> {
    const row = await this.#selectWithDevice(companyId)
      .where('recordings.recording_id', '=', recordingId)
      .executeTakeFirst();
    if (row === undefined) throw recordingNotFound(recordingId);
    return toRecording(row, liveStateOf);
  }

  /** The files of a merged recording, in order; empty when it is not merged. */
  async parts(recordingId: Id): Promise<RecordingPartRow[]> {
    return this.#database
      .selectFrom('recording_parts')
      .selectAll()
      .where('recording_id', '=', recordingId)
      .orderBy('part')
      .execute();
  }

  /** What is kept of a merged recording for its page; null when it is not merged. */
  async details(recordingId: Id): Promise<Pick<RecordingSummary, 'gaps' | 'events' | 'eventCount'> | null> {
    const row = await this.#database
      .selectFrom('recording_details')
      .selectAll()
      .where('recording_id', '=', recordingId)
      .executeTakeFirst();
    if (row === undefined) return null;
    return {
      gaps: parseWith(Type.Array(Gap), parseJson(row.gaps, 'the gaps'), 'the gaps', 'INTERNAL'),
      events: parseWith(
        Type.Array(TimedEvent),
        parseJson(row.events, 'the events'),
        'the events',
        'INTERNAL',
      ),
      eventCount: row.event_count,
    };
  }

  /** Throws `RECORDING_NOT_FOUND` also for recordings of other companies, and for those that were deleted. */
  async getRow(companyId: Id, recordingId: Id): Promise<RecordingRow> {
    const row = await this.#database
      .selectFrom('recordings')
      .selectAll('recordings')
      .where('recordings.recording_id', '=', recordingId)
      .where('recordings.company_id', '=', companyId)
      .where(isNotBuried)
      .executeTakeFirst();
    if (row === undefined) throw recordingNotFound(recordingId);
    return row;
  }

  #selectWithDevice(companyId: Id) {
    return this.#database
      .selectFrom('recordings')
      .innerJoin('devices', 'devices.device_id', 'recordings.device_id')
      .selectAll('recordings')
      .select('devices.name as device_name')
      .where('recordings.company_id', '=', companyId)
      .where(isNotBuried);
  }
}

/** [K8] From its tombstone on nobody finds a recording, whatever the disk still has of it. */
export function isNotBuried(eb: ExpressionBuilder<Schema, 'recordings'>): Expression<SqlBool> {
  return eb.not(
    eb.exists(
      eb
        .selectFrom('tombstones')
        .select('tombstones.recording_id')
        .whereRef('tombstones.recording_id', '=', 'recordings.recording_id'),
    ),
  );
}

/** A publisher that was lost may come back; nobody else does. */
export function isForGood(reason: EndReason): boolean {
  return reason !== 'publisher-lost';
}

function endColumns(reason: EndReason) {
  return { end_reason: reason, is_complete: isForGood(reason) ? 1 : 0 };
}

function summaryColumns(summary: RecordingSummary) {
  return {
    chunk_count: summary.chunkCount,
    gap_count: summary.gaps.length,
    ended_at_ms: summary.endedAtMs,
    duration_ms: summary.durationMs,
    ...(summary.startedAtMs === null ? {} : { started_at_ms: summary.startedAtMs }),
  };
}

function failureColumns(error: CodedError) {
  return { failure_code: error.code, failure_message: error.message.slice(0, MAX_FAILURE_TEXT) };
}

export function recordingNotFound(recordingId: Id): CodedError {
  return new CodedError('RECORDING_NOT_FOUND', `There is no recording ${recordingId}.`);
}

function toRecording(row: RecordingRow & { device_name: string }, liveStateOf: LiveStateOf): Recording {
  const failure = toFailure(row.failure_code, row.failure_message);
  return {
    recordingId: row.recording_id,
    streamId: row.stream_id,
    deviceName: row.device_name,
    sourceName: row.source_name,
    state: row.state === 'recording' ? liveStateOf(row.recording_id) : row.state,
    failure,
    isComplete: row.is_complete === 1,
    gapCount: row.gap_count,
    startedAtMs: row.started_at_ms,
    endedAtMs: row.ended_at_ms,
    durationMs: row.duration_ms,
    sizeBytes: row.media_bytes,
    widthPx: row.width_px,
    heightPx: row.height_px,
    hasThumbnail: row.thumbnail_path !== null,
  };
}

function toFailure(code: ErrorCode | null, message: string | null): Recording['failure'] {
  return code === null ? null : { code, message: message ?? '' };
}
