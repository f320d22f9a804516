import { createId, type Id } from '@proofcast/shared';
import type { Clock } from '../clock.ts';
import type { Database } from '../database/database.ts';

export interface Company {
  readonly companyId: Id;
  readonly name: string;
}

/** The tenants. Everything else belongs to exactly one of them. */
export class Companies {
  readonly #database: Database;
  readonly #clock: Clock;

  constructor({ database, clock }: { database: Database; clock: Clock }) {
    this.#database = database;
    this.#clock = clock;
  }

  async create(name: string): Promise<Company> {
    const companyId = createId('company');
    await this.#database
      .insertInto('companies')
      .values({ company_id: companyId, name, created_at_ms: this.#clock.nowMs() })
      .execute();
    return { companyId, name };
  }

  async get(companyId: Id): Promise<Company> {
    const { name } = await this.#database
      .selectFrom('companies')
      .select('name')
      .where('company_id', '=', companyId)
      .executeTakeFirstOrThrow();
    return { companyId, name };
  }

  /** The company that was created first, if any. */
  async first(): Promise<Company | undefined> {
    const row = await this.#database
      .selectFrom('companies')
      .select(['company_id', 'name'])
      .orderBy('created_at_ms')
      .limit(1)
      .executeTakeFirst();
    return row && { companyId: row.company_id, name: row.name };
  }
}
