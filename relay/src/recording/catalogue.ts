/** The recordings in the database: what the API lists, and the state that survives a restart. */
import {
  CodedError,
  type EpochStart,
  type ErrorCode,
  type Id,
  type Recording,
  type RouteQuery,
} from '@proofcast/shared';
import type { Database } from '../database/database.ts';
import type { RecordingRow } from '../database/schema.ts';
import type { RecordingIdentity } from '../journal/journal-start.ts';

const DEFAULT_PAGE = 50;

/** What is known of a sealed recording. Paths are relative to the folder of recordings. */
export interface SealedFacts {
  readonly mediaPath: string;
  readonly mediaBytes: number;
  readonly thumbnailPath: string | null;
  /** Publisher's wall clock at the first picture, where the file's clock is zero. */
  readonly startedAtMs: number;
  readonly durationMs: number;
  readonly endedAtMs: number;
  readonly chunkCount: number;
  readonly journalBytes: number;
}

/** What a recording is doing that the database has as begun and not ended. */
export type LiveStateOf = (recordingId: Id) => 'recording' | 'reconnecting' | 'sealing';

export class RecordingCatalogue {
  readonly #database: Database;

  constructor(database: Database) {
    this.#database = database;
  }

  async find(recordingId: Id): Promise<RecordingRow | null> {
    const row = await this.#database
      .selectFrom('recordings')
      .selectAll()
      .where('recording_id', '=', recordingId)
      .executeTakeFirst();
    return row ?? null;
  }

  /** Ids of the recordings in these states, oldest first. */
  async idsInState(...states: Recording['state'][]): Promise<Id[]> {
    const rows = await this.#database
      .selectFrom('recordings')
      .select('recording_id')
      .where('state', 'in', states)
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

  async markSealing(recordingId: Id, chunkCount: number | null): Promise<void> {
    await this.#database
      .updateTable('recordings')
      .set({
        state: 'sealing',
        failure_code: null,
        failure_message: null,
        ...(chunkCount === null ? {} : { chunk_count: chunkCount }),
      })
      .where('recording_id', '=', recordingId)
      .execute();
  }

  async markSealed(recordingId: Id, facts: SealedFacts, nowMs: number): Promise<void> {
    await this.#database
      .updateTable('recordings')
      .set({
        state: 'sealed',
        failure_code: null,
        failure_message: null,
        media_path: facts.mediaPath,
        media_bytes: facts.mediaBytes,
        thumbnail_path: facts.thumbnailPath,
        started_at_ms: facts.startedAtMs,
        duration_ms: facts.durationMs,
        ended_at_ms: facts.endedAtMs,
        chunk_count: facts.chunkCount,
        journal_bytes: facts.journalBytes,
        sealed_at_ms: nowMs,
      })
      .where('recording_id', '=', recordingId)
      .execute();
  }

  async markFailed(recordingId: Id, error: CodedError): Promise<void> {
    await this.#database
      .updateTable('recordings')
      .set({ state: 'failed', failure_code: error.code, failure_message: error.message.slice(0, 1000) })
      .where('recording_id', '=', recordingId)
      .execute();
  }

  /** For recordings that never had a chunk. */
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

  /** Throws `RECORDING_NOT_FOUND` also for recordings of other companies. */
  async get(companyId: Id, recordingId: Id, liveStateOf: LiveStateOf): Promise<Recording> {
    const row = await this.#selectWithDevice(companyId)
      .where('recordings.recording_id', '=', recordingId)
      .executeTakeFirst();
    if (row === undefined) throw recordingNotFound(recordingId);
    return toRecording(row, liveStateOf);
  }

  /** Throws `RECORDING_NOT_FOUND` also for recordings of other companies. */
  async getRow(companyId: Id, recordingId: Id): Promise<RecordingRow> {
    const row = await this.find(recordingId);
    if (row?.company_id !== companyId) throw recordingNotFound(recordingId);
    return row;
  }

  #selectWithDevice(companyId: Id) {
    return this.#database
      .selectFrom('recordings')
      .innerJoin('devices', 'devices.device_id', 'recordings.device_id')
      .selectAll('recordings')
      .select('devices.name as device_name')
      .where('recordings.company_id', '=', companyId);
  }
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
