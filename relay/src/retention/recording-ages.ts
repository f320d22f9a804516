/** How old recordings are, and which of them a policy would delete. The one place that knows what age means. */
import { CodedError, type Id, type RetentionPolicy } from '@proofcast/shared';
import { sql } from 'kysely';
import type { Database } from '../database/database.ts';
import type { RecordingRow } from '../database/schema.ts';
import { isNotBuried, recordingNotFound } from '../recording/catalogue.ts';

const DAY_MS = 24 * 60 * 60 * 1000;
/** Recordings that are read from the database at once. */
const PAGE = 500;
/** The others have a publisher, or wait for one. */
const SETTLED = ['provisional', 'sealing', 'sealed', 'failed'] as const;

export type AgedRecording = Pick<
  RecordingRow,
  'recording_id' | 'company_id' | 'stream_id' | 'device_id' | 'started_at_ms' | 'ended_at_ms' | 'duration_ms'
> & {
  device_name: string;
  /** From when on its age counts, relay's clock. */
  age_from_ms: number;
};

export class RecordingAges {
  readonly #database: Database;

  constructor(database: Database) {
    this.#database = database;
  }

  /** Throws `RECORDING_NOT_FOUND`, also for recordings of other companies, and `RECORDING_NOT_READY`. */
  async find(companyId: Id, recordingId: Id, nowMs: number): Promise<AgedRecording> {
    const row = await this.#select(companyId, nowMs)
      .select('state')
      .where('recordings.recording_id', '=', recordingId)
      .executeTakeFirst();
    if (row === undefined) throw recordingNotFound(recordingId);
    const { state, ...recording } = row;
    if ((SETTLED as readonly string[]).includes(state)) return recording;
    throw new CodedError('RECORDING_NOT_READY', 'Cannot delete the recording: it is still being made.', {
      details: { state },
    });
  }

  /** What the policy deletes at this moment, oldest first. What the caller deletes meanwhile does no harm. */
  async *due(companyId: Id, policy: RetentionPolicy, nowMs: number): AsyncGenerator<AgedRecording> {
    if (policy.deleteAfterDays === null) return;
    const latest = nowMs - policy.deleteAfterDays * DAY_MS;
    let last: AgedRecording | undefined;
    for (;;) {
      const ageFrom = ageFromMs(nowMs);
      let select = this.#select(companyId, nowMs)
        .where('recordings.state', 'in', SETTLED)
        .where(ageFrom, '<=', latest)
        .orderBy('age_from_ms')
        .orderBy('recordings.recording_id')
        .limit(PAGE);
      if (last !== undefined) {
        const { age_from_ms, recording_id } = last;
        select = select.where(
          sql<boolean>`(${ageFrom}, recordings.recording_id) > (${age_from_ms}, ${recording_id})`,
        );
      }
      const page = await select.execute();
      yield* page;
      last = page.at(-1);
      if (page.length < PAGE) return;
    }
  }

  /** Without those that are deleted and of which only the files are left. */
  #select(companyId: Id, nowMs: number) {
    return this.#database
      .selectFrom('recordings')
      .innerJoin('devices', 'devices.device_id', 'recordings.device_id')
      .select([
        'recordings.recording_id',
        'recordings.company_id',
        'recordings.stream_id',
        'recordings.device_id',
        'recordings.started_at_ms',
        'recordings.ended_at_ms',
        'recordings.duration_ms',
        'devices.name as device_name',
        ageFromMs(nowMs).as('age_from_ms'),
      ])
      .where('recordings.company_id', '=', companyId)
      .where(isNotBuried);
  }
}

/** Throws `RETENTION_KEEPS` when the recording is younger than the policy demands. */
export function checkMayDelete(recording: AgedRecording, policy: RetentionPolicy, nowMs: number): void {
  const keepUntilMs = recording.age_from_ms + policy.keepAtLeastDays * DAY_MS;
  if (nowMs >= keepUntilMs) return;
  throw new CodedError(
    'RETENTION_KEEPS',
    `Cannot delete the recording: the policy keeps recordings for ${policy.keepAtLeastDays} days, this one until ${new Date(keepUntilMs).toISOString()}.`,
    { details: { keepUntilMs } },
  );
}

/**
 * The end of the recording by the publisher's clock; but not before the relay heard of it, nor after it was sealed, so
 * that the wrong clock of a device neither deletes a recording early nor keeps it for ever.
 */
function ageFromMs(nowMs: number) {
  return sql<number>`max(recordings.created_at_ms,
    min(coalesce(recordings.ended_at_ms, recordings.created_at_ms), coalesce(recordings.sealed_at_ms, ${nowMs})))`;
}
