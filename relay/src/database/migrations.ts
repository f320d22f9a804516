/** The history of the tables. A migration that has been released is never changed; the next one follows it. */
import { sql, type Kysely } from 'kysely';
import type { Migration, MigrationProvider } from 'kysely/migration';

/** Migrations run in the order of their names. */
const MIGRATIONS: Record<string, Migration> = {
  '0001_identity_streams_recordings': { up: createIdentityStreamsRecordings },
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
