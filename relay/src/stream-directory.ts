/** The streams in the database: which there are, whose they are, and what the wall says of those that are offline. */
import type { Id } from '@proofcast/shared';
import type { Database } from './database/database.ts';

export interface StreamEntry {
  readonly streamId: Id;
  readonly companyId: Id;
  readonly deviceId: Id;
  readonly deviceName: string;
  readonly sourceName: string;
  readonly lastLiveAtMs: number | null;
}

/** Streams of revoked devices do not exist for it. */
export class StreamDirectory {
  readonly #database: Database;

  constructor(database: Database) {
    this.#database = database;
  }

  async list(companyId: Id): Promise<StreamEntry[]> {
    return this.#select().where('streams.company_id', '=', companyId).execute();
  }

  async find(streamId: Id): Promise<StreamEntry | null> {
    return (await this.#select().where('streams.stream_id', '=', streamId).executeTakeFirst()) ?? null;
  }

  /** Remembers what was captured last. */
  async setSourceName(streamId: Id, sourceName: string): Promise<void> {
    await this.#database
      .updateTable('streams')
      .set({ source_name: sourceName })
      .where('stream_id', '=', streamId)
      .execute();
  }

  /** Remembers when the stream was last seen live. */
  async setLastLive(streamId: Id, lastLiveAtMs: number): Promise<void> {
    await this.#database
      .updateTable('streams')
      .set({ last_live_at_ms: lastLiveAtMs })
      .where('stream_id', '=', streamId)
      .execute();
  }

  #select() {
    return this.#database
      .selectFrom('streams')
      .innerJoin('devices', 'devices.device_id', 'streams.device_id')
      .select([
        'streams.stream_id as streamId',
        'streams.company_id as companyId',
        'streams.device_id as deviceId',
        'devices.name as deviceName',
        'streams.source_name as sourceName',
        'streams.last_live_at_ms as lastLiveAtMs',
      ])
      .where('devices.revoked_at_ms', 'is', null);
  }
}
