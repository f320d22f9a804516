import { parseJson, parseWith, Tombstone, type Id, type RetentionPolicy } from '@proofcast/shared';
import type { Insertable } from 'kysely';
import type { Database } from '../database/database.ts';
import type { TombstoneTable } from '../database/schema.ts';
import type { BuriedFile } from './recording-file.ts';

const DEFAULT_PAGE = 50;

export interface Burial {
  readonly recording: Pick<
    TombstoneTable,
    | 'recording_id'
    | 'company_id'
    | 'stream_id'
    | 'device_id'
    | 'started_at_ms'
    | 'ended_at_ms'
    | 'duration_ms'
  >;
  readonly policy: RetentionPolicy;
  /** The user who deletes; null for the sweep. */
  readonly deletedBy: Id | null;
  readonly deletedAtMs: number;
  readonly sizeBytes: number;
  readonly files: readonly BuriedFile[];
}

/** What is kept of deleted recordings. A tombstone is written before the first file goes, and stays for ever. */
export class Tombstones {
  readonly #database: Database;

  constructor(database: Database) {
    this.#database = database;
  }

  /** On disk when it resolves. */
  async write(burial: Burial): Promise<void> {
    const row: Insertable<TombstoneTable> = {
      ...burial.recording,
      delete_after_days: burial.policy.deleteAfterDays,
      keep_at_least_days: burial.policy.keepAtLeastDays,
      deleted_by: burial.deletedBy,
      deleted_at_ms: burial.deletedAtMs,
      size_bytes: burial.sizeBytes,
      files: JSON.stringify(burial.files),
      finished_at_ms: null,
    };
    await this.#database.insertInto('tombstones').values(row).execute();
  }

  /** Nothing of the recording is left on disk. */
  async markFinished(recordingId: Id, nowMs: number): Promise<void> {
    await this.#database
      .updateTable('tombstones')
      .set({ finished_at_ms: nowMs })
      .where('recording_id', '=', recordingId)
      .execute();
  }

  /** The stream of a recording that was deleted; null when it was not. */
  async streamOf(recordingId: Id): Promise<Id | null> {
    const row = await this.#database
      .selectFrom('tombstones')
      .select('stream_id')
      .where('recording_id', '=', recordingId)
      .executeTakeFirst();
    return row?.stream_id ?? null;
  }

  /** Recordings of which files may be left, oldest deletion first. */
  async unfinished(): Promise<{ recordingId: Id; companyId: Id }[]> {
    return this.#database
      .selectFrom('tombstones')
      .select(['recording_id as recordingId', 'company_id as companyId'])
      .where('finished_at_ms', 'is', null)
      .orderBy('deleted_at_ms')
      .execute();
  }

  /** Throws when there is none. */
  async get(companyId: Id, recordingId: Id): Promise<Tombstone> {
    const row = await this.#select(companyId)
      .where('tombstones.recording_id', '=', recordingId)
      .executeTakeFirstOrThrow();
    return toTombstone(row);
  }

  /** Newest first; with `after` only what follows the tombstone of that recording. */
  async list(companyId: Id, { after, limit }: { after?: Id; limit?: number }): Promise<Tombstone[]> {
    let select = this.#select(companyId)
      .orderBy('tombstones.deleted_at_ms', 'desc')
      .orderBy('tombstones.recording_id', 'desc')
      .limit(limit ?? DEFAULT_PAGE);
    if (after !== undefined) {
      select = select.where((eb) =>
        eb(
          eb.refTuple('tombstones.deleted_at_ms', 'tombstones.recording_id'),
          '<',
          eb
            .selectFrom('tombstones as last')
            .select(['last.deleted_at_ms', 'last.recording_id'])
            .where('last.company_id', '=', companyId)
            .where('last.recording_id', '=', after)
            .$asTuple('deleted_at_ms', 'recording_id'),
        ),
      );
    }
    return (await select.execute()).map(toTombstone);
  }

  #select(companyId: Id) {
    return this.#database
      .selectFrom('tombstones')
      .innerJoin('devices', 'devices.device_id', 'tombstones.device_id')
      .leftJoin('users', 'users.user_id', 'tombstones.deleted_by')
      .selectAll('tombstones')
      .select(['devices.name as device_name', 'users.name as user_name'])
      .where('tombstones.company_id', '=', companyId);
  }
}

function toTombstone(row: TombstoneTable & { device_name: string; user_name: string | null }): Tombstone {
  const files = `the files of the tombstone of ${row.recording_id}`;
  return {
    recordingId: row.recording_id,
    streamId: row.stream_id,
    deviceId: row.device_id,
    deviceName: row.device_name,
    startedAtMs: row.started_at_ms,
    endedAtMs: row.ended_at_ms,
    durationMs: row.duration_ms,
    deletedAtMs: row.deleted_at_ms,
    policy: { deleteAfterDays: row.delete_after_days, keepAtLeastDays: row.keep_at_least_days },
    deletedBy:
      row.deleted_by === null
        ? { kind: 'retention' }
        : { kind: 'user', userId: row.deleted_by, name: row.user_name ?? '' },
    sizeBytes: row.size_bytes,
    files: parseWith(Tombstone.properties.files, parseJson(row.files, files, 'INTERNAL'), files, 'INTERNAL'),
    isFinished: row.finished_at_ms !== null,
  };
}
