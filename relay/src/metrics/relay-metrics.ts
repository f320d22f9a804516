/** Everything that Prometheus is told: gathered when it asks, and at no other time. */
import { collectDefaultMetrics, Counter, Gauge, Registry } from 'prom-client';
import type { MediaCounts } from './media-counts.ts';
import { RELAY_METRICS, type MetricValues, type RelayMetricName } from './metric-definitions.ts';

export interface RelayMetricsOptions {
  readonly counts: MediaCounts;
  /** Asked once for each reading. */
  readonly read: () => Promise<MetricValues>;
}

/**
 * Memory, CPU, garbage collection and event-loop delay. They are the process's, however many relays run in it, and
 * their monitors cannot be stopped, so they are begun once, with the first.
 */
let processRegistry: Registry | undefined;

export class RelayMetrics {
  readonly contentType = Registry.PROMETHEUS_CONTENT_TYPE;
  readonly #read: () => Promise<MetricValues>;
  readonly #registry = new Registry();
  readonly #process: Registry;
  readonly #metrics = new Map<RelayMetricName, Counter | Gauge>();
  #reading: Promise<string> | null = null;

  constructor({ counts, read }: RelayMetricsOptions) {
    this.#read = read;
    this.#process = processRegistry ??= openProcessRegistry();
    const { ackSeconds, commitSeconds, datasyncSeconds, sealSeconds } = counts;
    for (const histogram of [ackSeconds, commitSeconds, datasyncSeconds, sealSeconds]) {
      this.#registry.registerMetric(histogram);
    }
    for (const name of Object.keys(RELAY_METRICS) as RelayMetricName[]) this.#define(name);
  }

  /** The text format of Prometheus. Those who ask at the same time get the same answer. */
  collect(): Promise<string> {
    this.#reading ??= this.#collectNow().finally(() => {
      this.#reading = null;
    });
    return this.#reading;
  }

  async #collectNow(): Promise<string> {
    const values = await this.#read();
    for (const [name, metric] of this.#metrics) {
      const value: number | Readonly<Record<string, number>> = values[name as keyof MetricValues];
      metric.reset();
      if (typeof value === 'number') add(metric, {}, value);
      else {
        for (const [label, count] of Object.entries(value)) {
          add(metric, { [labelNameOf(name)]: label }, count);
        }
      }
    }
    return (await this.#registry.metrics()) + (await this.#process.metrics());
  }

  #define(name: RelayMetricName): void {
    const { type, help } = RELAY_METRICS[name];
    const label = labelNameOf(name);
    const options = { name, help, labelNames: label === '' ? [] : [label], registers: [this.#registry] };
    if (type === 'counter') this.#metrics.set(name, new Counter(options));
    else if (type === 'gauge') this.#metrics.set(name, new Gauge(options));
  }
}

/** A counter is filled anew for each reading, from the number that was counted. */
function add(metric: Counter | Gauge, labels: Record<string, string>, value: number): void {
  if (metric instanceof Counter) metric.inc(labels, value);
  else metric.set(labels, value);
}

function labelNameOf(name: RelayMetricName): string {
  const definition = RELAY_METRICS[name];
  return 'label' in definition ? definition.label.name : '';
}

function openProcessRegistry(): Registry {
  const register = new Registry();
  collectDefaultMetrics({ register });
  return register;
}
