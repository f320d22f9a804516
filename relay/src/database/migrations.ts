/** The history of the tables. A migration that has been released is never changed; the next one follows it. */
import { sql, type ColumnDefinitionBuilder, type Kysely } from 'kysely';
import type { Migration, MigrationProvider } from 'kysely/migration';

/** Migrations run in the order of their names. */
const MIGRATIONS: Record<string, Migration> = {
  '0001_identity_streams_recordings': { up: createIdentityStreamsRecordings },
  '0002_provisional_recordings_parts': { up: addProvisionalRecordingsAndParts },
  '0003_derivatives': { up: createDerivatives },
  '0004_retention': { up: createRetention },
};

export const migrationProvider: MigrationProvider = {
  getMigrations: () => Promise.resolve(MIGRATIONS),
};

async function createIdentityStreamsRecordings(db: Kysely<unknown>): Promise<void> {
  const createTable = (name: string) => db.schema.createTable(name).modifyEnd(sql`strict`);

  await createTable('companies')
    .addColumn('company_id', 'text', (c) => c.primaryKey().notNull())
    .addColumn('name', 'text', (c) => c.notNull())
    .addColumn('created_at_ms', 'integer', (c) => c.notNull())
    .execute();

  await createTable('users')
    .addColumn('user_id', 'text', (c) => c.primaryKey().notNull())
    .addColumn('company_id', 'text', (c) => c.notNull().references('companies.company_id'))
    .addColumn('email', 'text', (c) => c.notNull().unique())
    .addColumn('name', 'text', (c) => c.notNull())
    .addColumn('role', 'text', (c) => c.notNull())
    .addColumn('password_hash', 'text', (c) => c.notNull())
    .addColumn('created_at_ms', 'integer', (c) => c.notNull())
    .execute();
  await db.schema.createIndex('users_by_company').on('users').column('company_id').execute();

  await createTable('sessions')
    .addColumn('session_hash', 'text', (c) => c.primaryKey().notNull())
    .addColumn('user_id', 'text', (c) => c.notNull().references('users.user_id').onDelete('cascade'))
    .addColumn('created_at_ms', 'integer', (c) => c.notNull())
    .addColumn('expires_at_ms', 'integer', (c) => c.notNull())
    .execute();
  await db.schema.createIndex('sessions_by_user').on('sessions').column('user_id').execute();
  await db.schema.createIndex('sessions_by_expiry').on('sessions').column('expires_at_ms').execute();

  await createTable('devices')
    .addColumn('device_id', 'text', (c) => c.primaryKey().notNull())
    .addColumn('company_id', 'text', (c) => c.notNull().references('companies.company_id'))
    .addColumn('name', 'text', (c) => c.notNull())
    .addColumn('public_key', 'text', (c) => c.notNull())
    .addColumn('platform', 'text', (c) => c.notNull())
    .addColumn('machine', 'text', (c) => c.notNull())
    .addColumn('enrolled_at_ms', 'integer', (c) => c.notNull())
    .addColumn('revoked_at_ms', 'integer')
    .execute();
  await db.schema.createIndex('devices_by_company').on('devices').column('company_id').execute();

  await createTable('enrolment_codes')
    .addColumn('code_hash', 'text', (c) => c.primaryKey().notNull())
    .addColumn('company_id', 'text', (c) => c.notNull().references('companies.company_id'))
    .addColumn('device_name', 'text', (c) => c.notNull())
    .addColumn('created_at_ms', 'integer', (c) => c.notNull())
    .addColumn('expires_at_ms', 'integer', (c) => c.notNull())
    .addColumn('used_at_ms', 'integer')
    .execute();

  await createTable('used_assertions')
    .addColumn('device_id', 'text', (c) => c.notNull().references('devices.device_id'))
    .addColumn('jti', 'text', (c) => c.notNull())
    .addColumn('forget_at_ms', 'integer', (c) => c.notNull())
    .addPrimaryKeyConstraint('used_assertions_primary_key', ['device_id', 'jti'])
    .execute();
  await db.schema
    .createIndex('used_assertions_by_forgetting')
    .on('used_assertions')
    .column('forget_at_ms')
    .execute();

  await createTable('streams')
    .addColumn('stream_id', 'text', (c) => c.primaryKey().notNull())
    .addColumn('company_id', 'text', (c) => c.notNull().references('companies.company_id'))
    .addColumn('device_id', 'text', (c) => c.notNull().references('devices.device_id'))
    .addColumn('slot', 'integer', (c) => c.notNull())
    .addColumn('source_name', 'text', (c) => c.notNull().defaultTo(''))
    .addColumn('last_live_at_ms', 'integer')
    .addColumn('created_at_ms', 'integer', (c) => c.notNull())
    .addUniqueConstraint('streams_by_device_and_slot', ['device_id', 'slot'])
    .execute();
  await db.schema.createIndex('streams_by_company').on('streams').column('company_id').execute();

  await createTable('recordings')
    .addColumn('recording_id', 'text', (c) => c.primaryKey().notNull())
    .addColumn('company_id', 'text', (c) => c.notNull().references('companies.company_id'))
    .addColumn('stream_id', 'text', (c) => c.notNull().references('streams.stream_id'))
    .addColumn('device_id', 'text', (c) => c.notNull().references('devices.device_id'))
    .addColumn('state', 'text', (c) => c.notNull())
    .addColumn('failure_code', 'text')
    .addColumn('failure_message', 'text')
    .addColumn('started_at_us', 'integer', (c) => c.notNull())
    .addColumn('started_at_ms', 'integer', (c) => c.notNull())
    .addColumn('ended_at_ms', 'integer')
    .addColumn('duration_ms', 'integer')
    .addColumn('chunk_count', 'integer')
    .addColumn('journal_bytes', 'integer')
    .addColumn('media_path', 'text')
    .addColumn('media_bytes', 'integer')
    .addColumn('thumbnail_path', 'text')
    .addColumn('width_px', 'integer')
    .addColumn('height_px', 'integer')
    .addColumn('source_name', 'text', (c) => c.notNull())
    .addColumn('mime_type', 'text')
    .addColumn('created_at_ms', 'integer', (c) => c.notNull())
    .addColumn('sealed_at_ms', 'integer')
    .execute();
  await db.schema
    .createIndex('recordings_by_company_and_start')
    .on('recordings')
    .columns(['company_id', 'started_at_ms'])
    .execute();
  await db.schema.createIndex('recordings_by_stream').on('recordings').column('stream_id').execute();
  await db.schema.createIndex('recordings_by_state').on('recordings').column('state').execute();
}

async function addProvisionalRecordingsAndParts(db: Kysely<unknown>): Promise<void> {
  const recordings = () => db.schema.alterTable('recordings');
  await recordings()
    .addColumn('is_complete', 'integer', (c) => c.notNull().defaultTo(0))
    .execute();
  await recordings().addColumn('end_reason', 'text').execute();
  await recordings().addColumn('gap_count', 'integer').execute();
  await recordings().addColumn('manifest_path', 'text').execute();
  // Without a manifest nobody can go on with them.
  await sql`update recordings set is_complete = 1 where state = 'sealed'`.execute(db);

  const owner = (c: ColumnDefinitionBuilder) =>
    c.notNull().references('recordings.recording_id').onDelete('cascade');
  await db.schema
    .createTable('recording_parts')
    .modifyEnd(sql`strict`)
    .addColumn('recording_id', 'text', owner)
    .addColumn('part', 'integer', (c) => c.notNull())
    .addColumn('media_path', 'text', (c) => c.notNull())
    .addColumn('media_bytes', 'integer', (c) => c.notNull())
    .addColumn('sha256', 'text', (c) => c.notNull())
    .addColumn('etag', 'text', (c) => c.notNull())
    .addColumn('started_at_ms', 'integer', (c) => c.notNull())
    .addColumn('duration_ms', 'integer', (c) => c.notNull())
    .addPrimaryKeyConstraint('recording_parts_primary_key', ['recording_id', 'part'])
    .execute();
  await db.schema
    .createTable('recording_details')
    .modifyEnd(sql`strict`)
    .addColumn('recording_id', 'text', (c) => owner(c).primaryKey())
    .addColumn('gaps', 'text', (c) => c.notNull())
    .addColumn('events', 'text', (c) => c.notNull())
    .addColumn('event_count', 'integer', (c) => c.notNull())
    .execute();
}

async function createDerivatives(db: Kysely<unknown>): Promise<void> {
  await db.schema
    .createTable('derivatives')
    .modifyEnd(sql`strict`)
    .addColumn('recording_id', 'text', (c) =>
      c.notNull().references('recordings.recording_id').onDelete('cascade'),
    )
    .addColumn('kind', 'text', (c) => c.notNull())
    .addColumn('company_id', 'text', (c) => c.notNull().references('companies.company_id'))
    .addColumn('state', 'text', (c) => c.notNull())
    .addColumn('attempts', 'integer', (c) => c.notNull().defaultTo(0))
    .addColumn('queued_at_ms', 'integer', (c) => c.notNull())
    .addColumn('next_attempt_at_ms', 'integer', (c) => c.notNull())
    .addColumn('failure_code', 'text')
    .addColumn('failure_message', 'text')
    .addColumn('source_chunks', 'integer', (c) => c.notNull())
    .addColumn('path', 'text')
    .addColumn('size_bytes', 'integer')
    .addColumn('details', 'text')
    .addPrimaryKeyConstraint('derivatives_primary_key', ['recording_id', 'kind'])
    .execute();
  await db.schema
    .createIndex('derivatives_by_state')
    .on('derivatives')
    .columns(['state', 'company_id', 'kind', 'next_attempt_at_ms'])
    .execute();
  // The posters that sealing itself has made.
  await sql`
    insert into derivatives (recording_id, kind, company_id, state, queued_at_ms, next_attempt_at_ms, source_chunks, path)
    select recording_id, 'poster', company_id, 'done', created_at_ms, created_at_ms, coalesce(chunk_count, 0), thumbnail_path
    from recordings where thumbnail_path is not null
  `.execute(db);
}

async function createRetention(db: Kysely<unknown>): Promise<void> {
  const createTable = (name: string) => db.schema.createTable(name).modifyEnd(sql`strict`);

  await createTable('retention_policies')
    .addColumn('company_id', 'text', (c) => c.primaryKey().notNull().references('companies.company_id'))
    .addColumn('delete_after_days', 'integer')
    .addColumn('keep_at_least_days', 'integer', (c) => c.notNull())
    .addColumn('set_by', 'text', (c) => c.notNull().references('users.user_id'))
    .addColumn('set_at_ms', 'integer', (c) => c.notNull())
    .execute();

  // Not bound to `recordings`: it outlives that row.
  await createTable('tombstones')
    .addColumn('recording_id', 'text', (c) => c.primaryKey().notNull())
    .addColumn('company_id', 'text', (c) => c.notNull().references('companies.company_id'))
    .addColumn('stream_id', 'text', (c) => c.notNull().references('streams.stream_id'))
    .addColumn('device_id', 'text', (c) => c.notNull().references('devices.device_id'))
    .addColumn('started_at_ms', 'integer', (c) => c.notNull())
    .addColumn('ended_at_ms', 'integer')
    .addColumn('duration_ms', 'integer')
    .addColumn('delete_after_days', 'integer')
    .addColumn('keep_at_least_days', 'integer', (c) => c.notNull())
    .addColumn('deleted_by', 'text', (c) => c.references('users.user_id'))
    .addColumn('deleted_at_ms', 'integer', (c) => c.notNull())
    .addColumn('size_bytes', 'integer', (c) => c.notNull())
    .addColumn('files', 'text', (c) => c.notNull())
    .addColumn('finished_at_ms', 'integer')
    .execute();
  await db.schema
    .createIndex('tombstones_by_company_and_time')
    .on('tombstones')
    .columns(['company_id', 'deleted_at_ms'])
    .execute();
}
