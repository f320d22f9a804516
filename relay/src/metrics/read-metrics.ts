import type { Database } from '../database/database.ts';
import type { RetentionSchedule } from '../retention/retention-schedule.ts';
import type { Retention } from '../retention/retention.ts';
import type { MediaCounts } from './media-counts.ts';
import type { MediaMeasurements } from './media-measurements.ts';
import { RELAY_METRICS, type MetricValues } from './metric-definitions.ts';

export interface MetricSources {
  readonly database: Database;
  readonly media: { measure(): MediaMeasurements; isReady(): readonly string[] };
  readonly counts: MediaCounts;
  readonly retention: Pick<Retention, 'counts'>;
  readonly schedule: Pick<RetentionSchedule, 'sweptAtMs'>;
}

/** The values of all metrics at this moment. */
export async function readMetrics(sources: MetricSources): Promise<MetricValues> {
  const { database, media, counts, retention, schedule } = sources;
  const now = media.measure();
  const [recordings, derivatives] = await Promise.all([
    countStates(database, 'recordings', RELAY_METRICS.proofcast_recordings.label.values),
    countStates(database, 'derivatives', RELAY_METRICS.proofcast_derivatives.label.values),
  ]);
  const codes = RELAY_METRICS.proofcast_refusals_total.label.values;
  const diskStates = RELAY_METRICS.proofcast_disk_state.label.values;
  return {
    proofcast_streams: now.streams,
    proofcast_publishers: now.publishers,
    proofcast_viewers: now.viewers,
    proofcast_received_chunks_total: counts.receivedChunks,
    proofcast_received_bytes_total: counts.receivedBytes,
    proofcast_sent_bytes_total: counts.sentBytes,
    proofcast_refusals_total: countsOf(codes, (code) => counts.refusals[code] ?? 0),
    proofcast_journal_lag_bytes: now.undurableBytes,
    proofcast_spool_backlog_bytes: sum(now.backlogs),
    proofcast_spool_backlog_largest_bytes: Math.max(0, ...now.backlogs),
    proofcast_recordings: recordings,
    proofcast_recordings_to_recover: now.toRecover,
    proofcast_seals: now.seals,
    proofcast_seals_total: counts.seals,
    proofcast_derivatives: derivatives,
    proofcast_deleted_recordings_total: {
      retention: retention.counts.byRetention,
      user: retention.counts.byUser,
    },
    proofcast_deleted_bytes_total: retention.counts.deletedBytes,
    proofcast_deletion_failures_total: retention.counts.failures,
    proofcast_retention_swept_timestamp_seconds: (schedule.sweptAtMs ?? 0) / 1000,
    proofcast_disk_free_bytes: now.disk.freeBytes,
    proofcast_disk_state: countsOf(diskStates, (state) => (state === now.disk.state ? 1 : 0)),
    proofcast_ready: media.isReady().length === 0 ? 1 : 0,
  };
}

async function countStates<S extends string>(
  database: Database,
  table: 'recordings' | 'derivatives',
  states: readonly S[],
): Promise<Record<S, number>> {
  const rows = await database
    .selectFrom(table)
    .select(({ fn }) => ['state', fn.countAll<number>().as('count')])
    .groupBy('state')
    .execute();
  return countsOf(states, (state) => rows.find((row) => row.state === state)?.count ?? 0);
}

function countsOf<S extends string>(states: readonly S[], countOf: (state: S) => number): Record<S, number> {
  return Object.fromEntries(states.map((state) => [state, countOf(state)])) as Record<S, number>;
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((total, number) => total + number, 0);
}
