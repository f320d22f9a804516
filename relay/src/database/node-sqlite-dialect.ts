/**
 * Kysely's own SQLite dialect on top of `node:sqlite`. Kysely speaks better-sqlite3's interface, so all that is ours is
 * a face of that shape. One connection serves everything; Kysely queues queries and whole transactions for it, because
 * the adapter says that there is only one.
 */
import type { DatabaseSync, SQLInputValue, StatementSync } from 'node:sqlite';
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
    prepare: (sql) => asBetterStatement(sqlite.prepare(sql)),
  };
}

function asBetterStatement(statement: StatementSync): SqliteStatement {
  return {
    // A statement that yields rows has columns; `insert … returning` does, a plain `insert` does not.
    reader: statement.columns().length > 0,
    all: (parameters) => statement.all(...asInput(parameters)),
    run: (parameters) => statement.run(...asInput(parameters)),
    iterate: (parameters) => statement.iterate(...asInput(parameters)),
  };
}

/** `node:sqlite` throws for what SQLite cannot store, so nothing is coerced silently. */
function asInput(parameters: readonly unknown[]): SQLInputValue[] {
  return parameters as SQLInputValue[];
}
