import type { FastifyInstance } from 'fastify';
import type { RateLimit, RelayConfig } from '../config.ts';
import type { Database } from '../database/database.ts';
import type { Identity } from '../identity/identity.ts';
import type { MediaClock } from '../media-clock.ts';
import type { RelayMetrics } from '../metrics/relay-metrics.ts';
import type { Retention } from '../retention/retention.ts';
import { AccessGuard } from './access-guard.ts';
import { serveDashboard } from './dashboard.ts';
import { derivativeRoutes } from './derivatives.ts';
import { deviceRoutes } from './devices.ts';
import { healthRoutes } from './health.ts';
import { metricsRoutes } from './metrics.ts';
import type { Media } from './media.ts';
import { RateLimiter } from './rate-limiter.ts';
import { recordingRoutes } from './recordings.ts';
import { retentionRoutes } from './retention.ts';
import { registerRoutes } from './route-table.ts';
import { SessionSockets } from './session-sockets.ts';
import { sessionRoutes } from './sessions.ts';
import { streamRoutes } from './streams.ts';
import { userRoutes } from './users.ts';

export interface AllRoutesOptions {
  readonly config: RelayConfig;
  readonly database: Database;
  readonly identity: Identity;
  readonly media: Media;
  readonly retention: Retention;
  readonly metrics: RelayMetrics;
  readonly clock: MediaClock;
}

/** Gives every route of the API its handler, and the dashboard the rest. */
export function registerAllRoutes(app: FastifyInstance, options: AllRoutesOptions): void {
  const { config, database, identity, media, retention, metrics, clock } = options;
  const { limits } = config;
  const limiter = (limit: RateLimit) => new RateLimiter({ limit, clock });
  const sockets = new SessionSockets({ clock });
  const guard = new AccessGuard({
    ...identity,
    assertionsByAddress: limiter(limits.publishTokensPerAddress),
    metrics: {
      token: config.metricsToken,
      failuresByAddress: limiter(limits.failedMetricsReadsPerAddress),
    },
  });

  registerRoutes(app, guard, {
    ...healthRoutes({ database, media, tokens: identity.tokens }),
    ...sessionRoutes({
      ...identity,
      sockets,
      secureCookies: config.secureCookies,
      failuresByAddress: limiter(limits.failedSignInsPerAddress),
      failuresByAccount: limiter(limits.failedSignInsPerAccount),
    }),
    ...streamRoutes({ ...identity, media, sockets, sfu: config }),
    ...recordingRoutes({ media }),
    ...derivativeRoutes({ media }),
    ...retentionRoutes({ retention }),
    ...metricsRoutes({ metrics }),
    ...userRoutes(identity),
    ...deviceRoutes({
      ...identity,
      media,
      sfu: config,
      enrolmentFailuresByAddress: limiter(limits.failedEnrolmentsPerAddress),
    }),
  });
  serveDashboard(app, { directory: config.dashboardDir, sfu: config });
}
