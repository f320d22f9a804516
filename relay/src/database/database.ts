import { mkdir } from 'node:fs/promises';
import { dirname } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { Kysely } from 'kysely';
import { Migrator } from 'kysely/migration';
import { migrationProvider } from './migrations.ts';
import { nodeSqliteDialect } from './node-sqlite-dialect.ts';
import type { Schema } from './schema.ts';

/** Queries against the relay's metadata. Whoever opened it closes it with `destroy()`. */
export type Database = Kysely<Schema>;

/** How long a query waits for a lock of another process (a backup, an ops shell) before it fails. */
const BUSY_TIMEOUT_MS = 5_000;

/**
 * Opens the SQLite file at `path` (created with its folder when missing) and brings its tables up to date. Commits are
 * on disk when they resolve (`synchronous=FULL`). Throws when the file cannot be opened or a migration fails.
 */
export async function openDatabase(path: string): Promise<Database> {
  let sqlite: DatabaseSync | undefined;
  try {
    await mkdir(dirname(path), { recursive: true, mode: 0o700 });
    sqlite = new DatabaseSync(path, { enableForeignKeyConstraints: true, timeout: BUSY_TIMEOUT_MS });
    sqlite.exec('pragma journal_mode = wal; pragma synchronous = full;');
    const database = new Kysely<Schema>({ dialect: nodeSqliteDialect(sqlite) });
    const { error } = await new Migrator({ db: database, provider: migrationProvider }).migrateToLatest();
    if (error) throw error;
    return database;
  } catch (cause) {
    if (sqlite?.isOpen) sqlite.close();
    throw new Error(`Cannot open the database ${path} and bring its tables up to date.`, { cause });
  }
}
