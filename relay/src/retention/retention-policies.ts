import { CodedError, type Id, type RetentionPolicy } from '@proofcast/shared';
import type { Clock } from '../clock.ts';
import type { Database } from '../database/database.ts';

/** Until an admin says otherwise. */
const KEEP_EVERYTHING: RetentionPolicy = { deleteAfterDays: null, keepAtLeastDays: 0 };

/** How long each company keeps its recordings. */
export class RetentionPolicies {
  readonly #database: Database;
  readonly #clock: Clock;

  constructor({ database, clock }: { database: Database; clock: Clock }) {
    this.#database = database;
    this.#clock = clock;
  }

  async get(companyId: Id): Promise<RetentionPolicy> {
    const row = await this.#database
      .selectFrom('retention_policies')
      .select(['delete_after_days', 'keep_at_least_days'])
      .where('company_id', '=', companyId)
      .executeTakeFirst();
    if (row === undefined) return KEEP_EVERYTHING;
    return { deleteAfterDays: row.delete_after_days, keepAtLeastDays: row.keep_at_least_days };
  }

  /** Throws `MESSAGE_INVALID` when the two contradict each other. */
  async set(companyId: Id, policy: RetentionPolicy, setBy: Id): Promise<void> {
    checkPolicy(policy);
    const values = {
      delete_after_days: policy.deleteAfterDays,
      keep_at_least_days: policy.keepAtLeastDays,
      set_by: setBy,
      set_at_ms: this.#clock.nowMs(),
    };
    await this.#database
      .insertInto('retention_policies')
      .values({ company_id: companyId, ...values })
      .onConflict((conflict) => conflict.column('company_id').doUpdateSet(values))
      .execute();
  }

  /** Companies whose recordings are deleted by themselves. */
  async companiesThatDelete(): Promise<Id[]> {
    const rows = await this.#database
      .selectFrom('retention_policies')
      .select('company_id')
      .where('delete_after_days', 'is not', null)
      .orderBy('company_id')
      .execute();
    return rows.map((row) => row.company_id);
  }
}

/** Throws `MESSAGE_INVALID` when recordings would have to be deleted before they may be. */
export function checkPolicy({ deleteAfterDays, keepAtLeastDays }: RetentionPolicy): void {
  if (deleteAfterDays === null || deleteAfterDays >= keepAtLeastDays) return;
  throw new CodedError(
    'MESSAGE_INVALID',
    `Cannot delete recordings after ${deleteAfterDays} days and keep them for at least ${keepAtLeastDays}; delete them later, or keep them for less.`,
  );
}
