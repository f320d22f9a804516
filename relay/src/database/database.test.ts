import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { createId } from '@proofcast/shared';
import { sql } from 'kysely';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { openDatabase, type Database } from './database.ts';

let directory: string;
let path: string;
let database: Database;

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'proofcast-database-'));
  path = join(directory, 'new-folder', 'relay.sqlite');
  database = await openDatabase(path);
});

afterEach(async () => {
  await database.destroy();
  await rm(directory, { recursive: true });
});

const company = (name: string) => ({ company_id: createId('company'), name, created_at_ms: 1 });
const countCompanies = async (on: Database) =>
  (
    await on
      .selectFrom('companies')
      .select(sql<number>`count(*)`.as('n'))
      .executeTakeFirstOrThrow()
  ).n;

describe('openDatabase', () => {
  it('keeps what was written when it is closed and opened again', async () => {
    const row = company('Acme');
    await database.insertInto('companies').values(row).execute();
    await database.destroy();
    database = await openDatabase(path);
    expect(await database.selectFrom('companies').selectAll().execute()).toEqual([row]);
  });

  it('writes ahead, syncs every commit and enforces foreign keys', async () => {
    const pragma = async (name: string) => {
      const { rows } = await sql<Record<string, unknown>>`pragma ${sql.raw(name)}`.execute(database);
      return Object.values(rows[0] ?? {})[0];
    };
    expect(await pragma('journal_mode')).toBe('wal');
    expect(await pragma('synchronous')).toBe(2);
    expect(await pragma('foreign_keys')).toBe(1);
  });

  it('refuses a row that refers to nothing, and a value of the wrong type', async () => {
    const orphan = { session_hash: 'x', user_id: createId('user'), created_at_ms: 1, expires_at_ms: 2 };
    await expect(database.insertInto('sessions').values(orphan).execute()).rejects.toThrow(/FOREIGN KEY/);
    await expect(
      database
        .insertInto('companies')
        .values({ ...company('Acme'), created_at_ms: 1.5 })
        .execute(),
    ).rejects.toThrow(/REAL value in INTEGER column/);
  });

  it('keeps queries from outside out of a running transaction, and rolls a failed one back', async () => {
    const transaction = database.transaction().execute(async (trx) => {
      await trx.insertInto('companies').values(company('Acme')).execute();
      const outside = countCompanies(database);
      await trx.insertInto('companies').values(company('Beta')).execute();
      // Not awaited inside: it waits for this transaction.
      return { outside };
    });
    expect(await (await transaction).outside).toBe(2);

    const failing = database.transaction().execute(async (trx) => {
      await trx.insertInto('companies').values(company('Gamma')).execute();
      throw new Error('on purpose');
    });
    const parallel = database.insertInto('companies').values(company('Delta')).execute();
    await expect(failing).rejects.toThrow('on purpose');
    await parallel;
    const names = await database.selectFrom('companies').select('name').orderBy('name').execute();
    expect(names.map(({ name }) => name)).toEqual(['Acme', 'Beta', 'Delta']);
  });

  it('tells rows that were returned from rows that were only affected', async () => {
    const inserted = await database
      .insertInto('companies')
      .values([company('Acme'), company('Beta')])
      .returning('name')
      .execute();
    expect(inserted).toHaveLength(2);
    const updated = await database.updateTable('companies').set({ name: 'Same' }).executeTakeFirstOrThrow();
    expect(updated.numUpdatedRows).toBe(2n);
  });

  it('says that the disk is full, alone and in a transaction, and goes on when there is room', async () => {
    const pages = await sql<{ page_count: number }>`pragma page_count`.execute(database);
    await sql`pragma max_page_count = ${sql.raw(String(pages.rows[0]?.page_count))}`.execute(database);
    const fill = async (on: Database) => {
      for (let n = 0; n < 1000; n++) {
        await on
          .insertInto('companies')
          .values(company('x'.repeat(2000)))
          .execute();
      }
    };
    await expect(fill(database)).rejects.toMatchObject({ code: 'STORAGE_FULL' });
    const before = await countCompanies(database);
    await expect(database.transaction().execute(fill)).rejects.toMatchObject({ code: 'STORAGE_FULL' });
    expect(await countCompanies(database)).toBe(before);
    await sql`pragma max_page_count = 1000000`.execute(database);
    await database.insertInto('companies').values(company('Acme')).execute();
    expect(await countCompanies(database)).toBe(before + 1);
  });

  it('leaves no half-made tables behind when a migration fails', async () => {
    // The first table is missing and the history says that none is there: the migration makes it, then fails.
    await sql`drop table companies`.execute(database);
    await sql`drop table kysely_migration`.execute(database);
    await database.destroy();
    await expect(openDatabase(path)).rejects.toThrow(path);

    const sqlite = new DatabaseSync(path);
    const tables = sqlite.prepare("select name from sqlite_master where name = 'companies'").all();
    sqlite.close();
    expect(tables).toEqual([]);
  });

  it('says which file it cannot open', async () => {
    await expect(openDatabase(directory)).rejects.toThrow(`Cannot open the database ${directory}`);
  });

  it('refuses queries after it was closed', async () => {
    await database.destroy();
    await database.destroy();
    await expect(countCompanies(database)).rejects.toThrow(/destroyed/);
  });
});
