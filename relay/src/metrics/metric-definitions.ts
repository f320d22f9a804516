/**
 * Every metric that is ours, with all values that its label can have: nothing that came from outside (ids, names,
 * addresses) is ever a label. docs/operations.md has the same list; a repository test compares the two.
 */
import { ERRORS, type ErrorCode } from '@proofcast/shared';

interface LabelDefinition {
  readonly name: string;
  readonly values: readonly string[];
}

interface MetricDefinition {
  readonly type: 'counter' | 'gauge' | 'histogram';
  readonly help: string;
  readonly label?: LabelDefinition;
  /** Upper bounds, seconds. */
  readonly buckets?: readonly number[];
}

const QUICK_SECONDS = [0.005, 0.01, 0.02, 0.05, 0.075, 0.1, 0.15, 0.25, 0.5, 1, 2.5, 5, 10] as const;
const SLOW_SECONDS = [0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 1800] as const;
const ERROR_CODES = Object.keys(ERRORS) as readonly ErrorCode[];
const CARRIER = { name: 'carrier', values: ['websocket', 'http'] } as const;

export const RELAY_METRICS = {
  proofcast_streams: {
    type: 'gauge',
    help: 'Streams that somebody publishes, or whose publisher is being waited for.',
    label: { name: 'state', values: ['live', 'capture-stalled', 'reconnecting'] },
  },
  proofcast_publishers: { type: 'gauge', help: 'Connections of publishers.' },
  proofcast_viewers: {
    type: 'gauge',
    help: 'Connections of viewers, by what carries the bytes.',
    label: CARRIER,
  },
  proofcast_received_chunks_total: {
    type: 'counter',
    help: 'Frames with a chunk that publishers have sent.',
  },
  proofcast_received_bytes_total: { type: 'counter', help: 'Bytes of these frames.' },
  proofcast_sent_bytes_total: {
    type: 'counter',
    help: 'Bytes of media frames that were sent to viewers.',
    label: CARRIER,
  },
  proofcast_refusals_total: {
    type: 'counter',
    help: 'Refusals that publishers, viewers and callers of the HTTP API were told.',
    label: { name: 'code', values: ERROR_CODES },
  },
  proofcast_ack_seconds: {
    type: 'histogram',
    help: 'From a chunk being received until it is durable.',
    buckets: QUICK_SECONDS,
  },
  proofcast_commit_seconds: {
    type: 'histogram',
    help: 'One commit of one journal: write and fdatasync, and a new file when they fail.',
    buckets: QUICK_SECONDS,
  },
  proofcast_datasync_seconds: {
    type: 'histogram',
    help: 'One fdatasync of one journal file that succeeded.',
    buckets: QUICK_SECONDS,
  },
  proofcast_journal_lag_bytes: {
    type: 'gauge',
    help: 'Bytes of all recordings that are received and not durable.',
  },
  proofcast_spool_backlog_bytes: {
    type: 'gauge',
    help: 'Bytes that connected publishers say they still have to upload.',
  },
  proofcast_spool_backlog_largest_bytes: { type: 'gauge', help: 'The largest of these backlogs.' },
  proofcast_recordings: {
    type: 'gauge',
    help: 'Recordings, by state in the database.',
    label: { name: 'state', values: ['recording', 'provisional', 'sealing', 'sealed', 'failed'] },
  },
  proofcast_recordings_to_recover: {
    type: 'gauge',
    help: 'Recordings of an earlier run whose journals are still to be read.',
  },
  proofcast_seals: {
    type: 'gauge',
    help: 'Recordings that are being merged into their file, or wait for it.',
    label: { name: 'state', values: ['running', 'waiting'] },
  },
  proofcast_seals_total: {
    type: 'counter',
    help: 'Merges that ended.',
    label: { name: 'result', values: ['sealed', 'failed'] },
  },
  proofcast_seal_seconds: {
    type: 'histogram',
    help: 'One merge that succeeded, with its check.',
    buckets: SLOW_SECONDS,
  },
  proofcast_derivatives: {
    type: 'gauge',
    help: 'Posters, sprites, exports and joined files, by state.',
    label: { name: 'state', values: ['waiting', 'running', 'done', 'failed'] },
  },
  proofcast_deleted_recordings_total: {
    type: 'counter',
    help: 'Recordings that were deleted, by whom.',
    label: { name: 'by', values: ['retention', 'user'] },
  },
  proofcast_deleted_bytes_total: { type: 'counter', help: 'Bytes of the files of these recordings.' },
  proofcast_deletion_failures_total: {
    type: 'counter',
    help: 'Deletions, and sweeps of a company, that failed; the next sweep tries again.',
  },
  proofcast_retention_swept_timestamp_seconds: {
    type: 'gauge',
    help: 'When the last sweep ended, seconds since 1970; 0 before the first.',
  },
  proofcast_disk_free_bytes: { type: 'gauge', help: 'Free space of the data disk.' },
  proofcast_disk_state: {
    type: 'gauge',
    help: '1 for the state of the data disk, 0 for the others.',
    label: { name: 'state', values: ['ok', 'low', 'full'] },
  },
  proofcast_ready: { type: 'gauge', help: '1 when /readyz says ready, else 0.' },
} as const satisfies Record<string, MetricDefinition>;

export type RelayMetricName = keyof typeof RELAY_METRICS;

type HistogramName = {
  [N in RelayMetricName]: (typeof RELAY_METRICS)[N]['type'] extends 'histogram' ? N : never;
}[RelayMetricName];

type LabelOf<N extends RelayMetricName> = (typeof RELAY_METRICS)[N] extends {
  label: { values: readonly (infer V extends string)[] };
}
  ? V
  : never;

/** What one reading gives: a number for each metric, or one for each value of its label. Histograms fill themselves. */
export type MetricValues = {
  readonly [N in Exclude<RelayMetricName, HistogramName>]: [LabelOf<N>] extends [never]
    ? number
    : Readonly<Partial<Record<LabelOf<N>, number>>>;
};
