/** The derivatives in the database: what is to be made, what was, and the state that survives a restart. */
import { sql, type ExpressionBuilder } from 'kysely';
import type { CodedError, DerivativeKind, Id, SpriteTiles } from '@proofcast/shared';
import type { Database } from '../database/database.ts';
import type { DerivativeRow, Schema } from '../database/schema.ts';
import type { DerivativeSource } from './derivative-source.ts';

/** Long work that only people ask for, or that only some recordings need. */
export const EXPORT_KINDS: readonly DerivativeKind[] = ['mp4', 'joined'];
/** Of which a company may have a limited number under way: a recording gets what else there is by itself, once. */
const LIMITED_KIND: DerivativeKind = 'mp4';
/** Every recording has them. */
export const STANDARD_KINDS: readonly DerivativeKind[] = ['poster', 'sprite'];

export interface FinishedFile {
  /** Relative to the folder of recordings. */
  readonly path: string;
  readonly sizeBytes: number;
  readonly tiles: SpriteTiles | null;
  /** Of how many chunks it is made. */
  readonly sourceChunks: number;
}

export class DerivativeCatalogue {
  readonly #database: Database;

  constructor(database: Database) {
    this.#database = database;
  }

  /**
   * Puts `kinds` into the queue where they are missing, and again whatever is of an earlier merge; with `retryFailed`
   * also what has failed.
   */
  async ensure(
    source: DerivativeSource,
    { kinds, retryFailed, nowMs }: { kinds: readonly DerivativeKind[]; retryFailed: boolean; nowMs: number },
  ): Promise<void> {
    const { recordingId, chunkCount } = source;
    await this.#database.transaction().execute(async (transaction) => {
      await transaction
        .updateTable('derivatives')
        .set({ ...freshlyQueued(nowMs), source_chunks: chunkCount })
        .where('recording_id', '=', recordingId)
        .where('state', '!=', 'running')
        .where((eb) =>
          eb.or([
            eb('source_chunks', '!=', chunkCount),
            ...(retryFailed ? [eb('state', '=', 'failed')] : []),
          ]),
        )
        .execute();
      // One that runs notices at its end that this is not what it was made of.
      await transaction
        .updateTable('derivatives')
        .set({ source_chunks: chunkCount })
        .where('recording_id', '=', recordingId)
        .where('state', '=', 'running')
        .execute();
      for (const kind of kinds) await insertMissing(transaction, source, { kind, nowMs });
    });
  }

  /** Puts one into the queue if it is missing; false when it is an MP4 and `maxExports` of the company are in it. */
  async add(
    source: DerivativeSource,
    kind: DerivativeKind,
    { maxExports, nowMs }: { maxExports: number; nowMs: number },
  ): Promise<boolean> {
    return this.#database.transaction().execute(async (transaction) => {
      if (await isFull(transaction, { kind, companyId: source.companyId, maxExports })) return false;
      await insertMissing(transaction, source, { kind, nowMs });
      return true;
    });
  }

  /** Queues one that failed again, as if it had never been tried; false as for `add`. */
  async askAgain(
    row: DerivativeRow,
    { maxExports, nowMs }: { maxExports: number; nowMs: number },
  ): Promise<boolean> {
    return this.#database.transaction().execute(async (transaction) => {
      const { kind, company_id: companyId } = row;
      if (await isFull(transaction, { kind, companyId, maxExports })) return false;
      await transaction
        .updateTable('derivatives')
        .set(freshlyQueued(nowMs))
        .where(isRow(row))
        .where('state', '=', 'failed')
        .execute();
      return true;
    });
  }

  async find(recordingId: Id, kind: DerivativeKind): Promise<DerivativeRow | null> {
    const row = await this.#database
      .selectFrom('derivatives')
      .selectAll()
      .where('recording_id', '=', recordingId)
      .where('kind', '=', kind)
      .executeTakeFirst();
    return row ?? null;
  }

  async list(recordingId: Id): Promise<DerivativeRow[]> {
    return this.#database
      .selectFrom('derivatives')
      .selectAll()
      .where('recording_id', '=', recordingId)
      .orderBy('queued_at_ms')
      .orderBy('kind')
      .execute();
  }

  /** Merged recordings that lack a standard kind, or have one of an earlier merge; after `afterId`, in order of ids. */
  async recordingsThatLack(afterId: Id, limit: number): Promise<Id[]> {
    const rows = await this.#database
      .selectFrom('recordings')
      .select('recording_id')
      .where('recording_id', '>', afterId)
      .where('media_path', 'is not', null)
      .where((eb) =>
        eb(
          eb
            .selectFrom('derivatives')
            .select(({ fn }) => fn.countAll<number>().as('count'))
            .whereRef('derivatives.recording_id', '=', 'recordings.recording_id')
            .where('derivatives.source_chunks', '=', sql<number>`coalesce(recordings.chunk_count, 0)`)
            .where('kind', 'in', STANDARD_KINDS),
          '<',
          STANDARD_KINDS.length,
        ),
      )
      .orderBy('recording_id')
      .limit(limit)
      .execute();
    return rows.map((row) => row.recording_id);
  }

  /** Companies for which one of `kinds` could be begun now. */
  async companiesWaiting(kinds: readonly DerivativeKind[], nowMs: number): Promise<Id[]> {
    const rows = await this.#database
      .selectFrom('companies')
      .select('company_id')
      .where((eb) =>
        eb.exists(
          eb
            .selectFrom('derivatives')
            .select('derivatives.kind')
            .whereRef('derivatives.company_id', '=', 'companies.company_id')
            .where(isWaiting(kinds))
            .where('next_attempt_at_ms', '<=', nowMs),
        ),
      )
      .execute();
    return rows.map((row) => row.company_id);
  }

  /** Takes the next one of the company into work, what is quickly made first. Null when there is none. */
  async claim(companyId: Id, kinds: readonly DerivativeKind[], nowMs: number): Promise<DerivativeRow | null> {
    return this.#database.transaction().execute(async (transaction) => {
      for (const kind of [...STANDARD_KINDS, ...EXPORT_KINDS]) {
        if (!kinds.includes(kind)) continue;
        const row = await transaction
          .selectFrom('derivatives')
          .selectAll()
          .where(isWaiting([kind]))
          .where('company_id', '=', companyId)
          .where('next_attempt_at_ms', '<=', nowMs)
          .orderBy('next_attempt_at_ms')
          .limit(1)
          .executeTakeFirst();
        if (row === undefined) continue;
        const taken = { state: 'running', attempts: row.attempts + 1 } as const;
        await transaction.updateTable('derivatives').set(taken).where(isRow(row)).execute();
        return { ...row, ...taken };
      }
      return null;
    });
  }

  /** When the next one of `kinds` that still has to wait may be begun; null when none waits. */
  async nextDueMs(kinds: readonly DerivativeKind[]): Promise<number | null> {
    const { due } = await this.#database
      .selectFrom('derivatives')
      .select(({ fn }) => fn.min('next_attempt_at_ms').as('due'))
      .where(isWaiting(kinds))
      .executeTakeFirstOrThrow();
    return due;
  }

  /**
   * Notes the file. `outdated` when the recording has gone on since: it is to be made again; `removed` when nobody wants
   * it any more.
   */
  async markDone(
    row: DerivativeRow,
    file: FinishedFile,
    nowMs: number,
  ): Promise<'done' | 'outdated' | 'removed'> {
    return this.#database.transaction().execute(async (transaction) => {
      const current = await transaction
        .selectFrom('derivatives')
        .select('source_chunks')
        .where(isRow(row))
        .where('state', '=', 'running')
        .executeTakeFirst();
      if (current === undefined) return 'removed';
      const { path, sizeBytes, tiles, sourceChunks } = file;
      const isCurrent = current.source_chunks === sourceChunks;
      await transaction
        .updateTable('derivatives')
        .set({
          ...(isCurrent ? { state: 'done' } : freshlyQueued(nowMs)),
          failure_code: null,
          failure_message: null,
          path,
          size_bytes: sizeBytes,
          details: tiles === null ? null : JSON.stringify(tiles),
        })
        .where(isRow(row))
        .execute();
      if (row.kind === 'poster') {
        await transaction
          .updateTable('recordings')
          .set({ thumbnail_path: path })
          .where('recording_id', '=', row.recording_id)
          .execute();
      }
      return isCurrent ? 'done' : 'outdated';
    });
  }

  /** `nextAttemptAtMs` is null when there is to be no other. */
  async markFailed(row: DerivativeRow, error: CodedError, nextAttemptAtMs: number | null): Promise<void> {
    await this.#database
      .updateTable('derivatives')
      .set({
        state: nextAttemptAtMs === null ? 'failed' : 'waiting',
        failure_code: error.code,
        failure_message: error.message.slice(0, 1000),
        ...(nextAttemptAtMs === null ? {} : { next_attempt_at_ms: nextAttemptAtMs }),
      })
      .where(isRow(row))
      .where('state', '=', 'running')
      .execute();
  }

  /** Puts one back that was ended by the relay, not by a failure of its own. */
  async putBack(row: DerivativeRow): Promise<void> {
    await this.#database
      .updateTable('derivatives')
      .set({ state: 'waiting', attempts: row.attempts - 1 })
      .where(isRow(row))
      .where('state', '=', 'running')
      .execute();
  }

  /** What ran when the relay was killed waits again; what has been interrupted too often has failed. */
  async recover(maxAttempts: number): Promise<void> {
    const running = this.#database.updateTable('derivatives').where('state', '=', 'running');
    await running
      .set({
        state: 'failed',
        failure_code: 'DERIVATIVE_FAILED',
        failure_message: `It was interrupted: the relay ended during each of ${maxAttempts} attempts.`,
      })
      .where('attempts', '>=', maxAttempts)
      .execute();
    await running.set({ state: 'waiting' }).execute();
  }

  async remove(recordingId: Id): Promise<void> {
    await this.#database.deleteFrom('derivatives').where('recording_id', '=', recordingId).execute();
  }
}

async function insertMissing(
  database: Database,
  { recordingId, companyId, chunkCount }: DerivativeSource,
  { kind, nowMs }: { kind: DerivativeKind; nowMs: number },
): Promise<void> {
  await database
    .insertInto('derivatives')
    .values({
      recording_id: recordingId,
      kind,
      company_id: companyId,
      source_chunks: chunkCount,
      ...freshlyQueued(nowMs),
    })
    .onConflict((conflict) => conflict.columns(['recording_id', 'kind']).doNothing())
    .execute();
}

/** Whether the company may not have another one of `kind` in the queue. */
async function isFull(
  database: Database,
  { kind, companyId, maxExports }: { kind: DerivativeKind; companyId: Id; maxExports: number },
): Promise<boolean> {
  if (kind !== LIMITED_KIND) return false;
  const { count } = await database
    .selectFrom('derivatives')
    .select(({ fn }) => fn.countAll<number>().as('count'))
    .where('company_id', '=', companyId)
    .where('state', 'in', ['waiting', 'running'])
    .where('kind', '=', LIMITED_KIND)
    .executeTakeFirstOrThrow();
  return count >= maxExports;
}

function freshlyQueued(nowMs: number) {
  return {
    state: 'waiting',
    attempts: 0,
    queued_at_ms: nowMs,
    next_attempt_at_ms: nowMs,
    failure_code: null,
    failure_message: null,
  } as const;
}

function isRow({ recording_id, kind }: Pick<DerivativeRow, 'recording_id' | 'kind'>) {
  return (eb: ExpressionBuilder<Schema, 'derivatives'>) =>
    eb.and([eb('recording_id', '=', recording_id), eb('kind', '=', kind)]);
}

/** Waits, of a recording that has a file; one that goes on has none until it is merged again. */
function isWaiting(kinds: readonly DerivativeKind[]) {
  return (eb: ExpressionBuilder<Schema, 'derivatives'>) =>
    eb.and([
      eb('derivatives.state', '=', 'waiting'),
      eb('derivatives.kind', 'in', kinds),
      eb.exists(
        eb
          .selectFrom('recordings')
          .select('recordings.recording_id')
          .whereRef('recordings.recording_id', '=', 'derivatives.recording_id')
          .where('recordings.media_path', 'is not', null),
      ),
    ]);
}
