import type { RelayMetrics } from '../metrics/relay-metrics.ts';
import type { RouteHandlers } from './route-table.ts';

/** What Prometheus scrapes. */
export function metricsRoutes({ metrics }: { metrics: RelayMetrics }): Pick<RouteHandlers, 'metrics'> {
  return {
    metrics: async ({ reply }) => {
      const text = await metrics.collect();
      return reply.header('content-type', metrics.contentType).header('cache-control', 'no-store').send(text);
    },
  };
}
