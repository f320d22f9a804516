/**
 * Every metric that is the SFU's, with all values that its label can have: nothing that came from outside is ever a
 * label. docs/operations.md has the same list; a repository test compares the two.
 */
export const SFU_METRICS = {
  proofcast_sfu_connections: { type: 'gauge', help: 'Websockets of the signalling.' },
  proofcast_sfu_workers: {
    type: 'gauge',
    help: 'Media workers, by state.',
    label: { name: 'state', values: ['running', 'replaced'] },
  },
  proofcast_sfu_worker_deaths_total: {
    type: 'counter',
    help: 'Media workers that died or had to be killed.',
  },
  proofcast_sfu_worker_load: {
    type: 'gauge',
    help: 'Transports, producers and consumers on the busiest worker, with its streams.',
  },
  proofcast_sfu_streams: {
    type: 'gauge',
    help: 'Streams that are published, by whether anybody wants them at the moment.',
    label: { name: 'state', values: ['watched', 'unwatched'] },
  },
  proofcast_sfu_viewers: {
    type: 'gauge',
    help: 'Streams that viewers have open, by whether they are sent.',
    label: { name: 'state', values: ['sent', 'paused'] },
  },
  proofcast_sfu_piped_streams: { type: 'gauge', help: 'Streams that more than one worker serves.' },
  proofcast_sfu_received_bits_per_second: { type: 'gauge', help: 'What publishers send, as last sampled.' },
  proofcast_sfu_sent_bits_per_second: { type: 'gauge', help: 'What viewers are sent, as last sampled.' },
  proofcast_sfu_viewers_with_loss: {
    type: 'gauge',
    help: 'Of the viewers that are sent something, those who lost more than 2 % of it when last sampled.',
  },
  proofcast_sfu_freezes: {
    type: 'gauge',
    help: 'Freezes that present viewers have counted since they joined.',
  },
  proofcast_sfu_picture_delay_seconds: {
    type: 'gauge',
    help: 'From the capture to the screen, of the pictures that viewers are sent, as they have reported it last.',
    label: { name: 'of', values: ['median', 'worst'] },
  },
  proofcast_sfu_ready: { type: 'gauge', help: '1 when /readyz says ready, else 0.' },
} as const satisfies Record<string, MetricDefinition>;

interface MetricDefinition {
  readonly type: 'counter' | 'gauge';
  readonly help: string;
  readonly label?: { readonly name: string; readonly values: readonly string[] };
}

type SfuMetricName = keyof typeof SFU_METRICS;

type LabelOf<N extends SfuMetricName> = (typeof SFU_METRICS)[N] extends {
  label: { values: readonly (infer V extends string)[] };
}
  ? V
  : never;

/** What one reading gives: a number for each metric, or one for each value of its label. */
export type SfuMetricValues = {
  readonly [N in SfuMetricName]: [LabelOf<N>] extends [never] ? number : Readonly<Record<LabelOf<N>, number>>;
};
