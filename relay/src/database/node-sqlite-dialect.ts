/**
 * Kysely's own SQLite dialect on top of `node:sqlite`. Kysely speaks better-sqlite3's interface, so all that is ours is
 * a face of that shape. One connection serves everything; Kysely queues queries and whole transactions for it, because
 * the adapter says that there is only one.
 */
import type { DatabaseSync, SQLInputValue, StatementSync } from 'node:sqlite';
import { CodedError } from '@proofcast/shared';
import {
  SqliteAdapter,
  SqliteDialect,
  type Dialect,
  type SqliteDatabase,
  type SqliteStatement,
} from 'kysely';

/** The returned dialect owns `sqlite` and closes it when the Kysely instance is destroyed. */
export function nodeSqliteDialect(sqlite: DatabaseSync): Dialect {
  const dialect = new SqliteDialect({ database: asBetterSqlite(sqlite) });
  return {
    createAdapter: () => new TransactionalDdlAdapter(),
    createDriver: () => dialect.createDriver(),
    createIntrospector: (db) => dialect.createIntrospector(db),
    createQueryCompiler: () => dialect.createQueryCompiler(),
  };
}

/**
 * SQLite rolls DDL back like anything else (https://sqlite.org/lang_transaction.html), so migrations run in one
 * transaction and a crash in the middle leaves none of them half done. Kysely's default does without.
 */
class TransactionalDdlAdapter extends SqliteAdapter {
  override get supportsTransactionalDdl(): boolean {
    return true;
  }
}

function asBetterSqlite(sqlite: DatabaseSync): SqliteDatabase {
  return {
    close: () => sqlite.close(),
    prepare: (sql) => (sql === 'rollback' ? rollbackOf(sqlite) : asBetterStatement(sqlite.prepare(sql))),
  };
}

/** SQLite rolls back by itself when the disk is full (https://sqlite.org/lang_transaction.html#immediate); once is enough. */
function rollbackOf(sqlite: DatabaseSync): SqliteStatement {
  const statement = asBetterStatement(sqlite.prepare('rollback'));
  const nothing = { changes: 0, lastInsertRowid: 0 };
  return { ...statement, run: (parameters) => (sqlite.isTransaction ? statement.run(parameters) : nothing) };
}

function asBetterStatement(statement: StatementSync): SqliteStatement {
  return {
    // A statement that yields rows has columns; `insert … returning` does, a plain `insert` does not.
    reader: statement.columns().length > 0,
    all: (parameters) => codingDiskErrors(() => statement.all(...asInput(parameters))),
    run: (parameters) => codingDiskErrors(() => statement.run(...asInput(parameters))),
    iterate: (parameters) => statement.iterate(...asInput(parameters)),
  };
}

/** Primary result codes (https://sqlite.org/rescode.html); the extended ones carry them in their lowest byte. */
const SQLITE_IOERR = 10;
const SQLITE_FULL = 13;

/** What the disk refuses is told as such to whoever asked, who can come again; all else is thrown as it is. */
function codingDiskErrors<T>(run: () => T): T {
  try {
    return run();
  } catch (cause) {
    switch (((cause as { errcode?: number }).errcode ?? 0) & 0xff) {
      case SQLITE_FULL:
        throw new CodedError('STORAGE_FULL', 'The relay cannot note this: its disk is full.', { cause });
      case SQLITE_IOERR:
        throw new CodedError('STORAGE_FAILED', 'The relay cannot note this: its disk refused it.', { cause });
      default:
        throw cause;
    }
  }
}

/** `node:sqlite` throws for what SQLite cannot store, so nothing is coerced silently. */
function asInput(parameters: readonly unknown[]): SQLInputValue[] {
  return parameters as SQLInputValue[];
}
