/** Everything that Prometheus is told: gathered when it asks, and at no other time. */
import { collectDefaultMetrics, Counter, Gauge, Registry } from 'prom-client';
import { SFU_METRICS, type SfuMetricValues } from './metric-definitions.ts';
import type { SfuStatistics, ViewerStatistics } from './statistics.ts';

export interface MetricSources {
  readonly statistics: () => SfuStatistics;
  readonly connectionCount: () => number;
  readonly workerDeaths: () => number;
  readonly workerCount: number;
  readonly isReady: () => boolean;
}

/** A viewer who loses more does not see what was sent in time. */
const NOTABLE_LOSS = 0.02;

/** The process's, however many servers run in it, and their monitors cannot be stopped: begun once, with the first. */
let processRegistry: Registry | undefined;

export class SfuMetrics {
  readonly contentType = Registry.PROMETHEUS_CONTENT_TYPE;
  readonly #sources: MetricSources;
  readonly #registry = new Registry();
  readonly #process: Registry;
  readonly #metrics = new Map<keyof SfuMetricValues, Counter | Gauge>();

  constructor(sources: MetricSources) {
    this.#sources = sources;
    this.#process = processRegistry ??= openProcessRegistry();
    for (const name of Object.keys(SFU_METRICS) as (keyof SfuMetricValues)[]) {
      const { type, help } = SFU_METRICS[name];
      const label = labelNameOf(name);
      const options = { name, help, labelNames: label === '' ? [] : [label], registers: [this.#registry] };
      this.#metrics.set(name, type === 'counter' ? new Counter(options) : new Gauge(options));
    }
  }

  /** The text format of Prometheus. */
  async collect(): Promise<string> {
    const values = readMetrics(this.#sources);
    for (const [name, metric] of this.#metrics) {
      const value: number | Readonly<Record<string, number>> = values[name];
      metric.reset();
      if (typeof value === 'number') metric.inc(value);
      else {
        for (const [label, count] of Object.entries(value)) metric.inc({ [labelNameOf(name)]: label }, count);
      }
    }
    return (await this.#registry.metrics()) + (await this.#process.metrics());
  }
}

function readMetrics(sources: MetricSources): SfuMetricValues {
  const { workers, streams } = sources.statistics();
  const viewers = streams.flatMap((stream) => stream.viewers);
  const sent = viewers.filter(({ isPaused }) => !isPaused);
  const watched = streams.filter(({ isWanted }) => isWanted).length;
  const sum = (values: readonly number[]): number => values.reduce((total, value) => total + value, 0);
  return {
    proofcast_sfu_connections: sources.connectionCount(),
    proofcast_sfu_workers: { running: workers.length, replaced: sources.workerCount - workers.length },
    proofcast_sfu_worker_deaths_total: sources.workerDeaths(),
    proofcast_sfu_worker_load: Math.max(0, ...workers.map(({ load }) => load)),
    proofcast_sfu_streams: { watched, unwatched: streams.length - watched },
    proofcast_sfu_viewers: { sent: sent.length, paused: viewers.length - sent.length },
    proofcast_sfu_piped_streams: streams.filter(({ workerCount }) => workerCount > 1).length,
    proofcast_sfu_received_bits_per_second: sum(streams.map(({ received }) => received?.bitrateBps ?? 0)),
    proofcast_sfu_sent_bits_per_second: sum(sent.map((viewer) => viewer.sent?.bitrateBps ?? 0)),
    proofcast_sfu_viewers_with_loss: sent.filter((viewer) => (viewer.sent?.lostFraction ?? 0) > NOTABLE_LOSS)
      .length,
    proofcast_sfu_freezes: sum(viewers.map(({ reading }) => reading?.freezeCount ?? 0)),
    proofcast_sfu_picture_delay_seconds: delaysOf(sent),
    proofcast_sfu_ready: sources.isReady() ? 1 : 0,
  };
}

function delaysOf(viewers: readonly ViewerStatistics[]): { median: number; worst: number } {
  const delays = viewers.flatMap(({ reading }) => reading?.delayMs ?? []).toSorted((a, b) => a - b);
  return { median: (delays[delays.length >> 1] ?? 0) / 1000, worst: (delays.at(-1) ?? 0) / 1000 };
}

function labelNameOf(name: keyof SfuMetricValues): string {
  const definition = SFU_METRICS[name];
  return 'label' in definition ? definition.label.name : '';
}

function openProcessRegistry(): Registry {
  const register = new Registry();
  collectDefaultMetrics({ register });
  return register;
}
