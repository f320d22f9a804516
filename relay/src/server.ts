/** Wires the relay. Whoever started it closes it. */
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import type { ErrorCode } from '@proofcast/shared';
import type { FastifyInstance } from 'fastify';
import { pino, type Logger } from 'pino';
import type { RelayConfig } from './config.ts';
import { lockDataDir } from './data-dir-lock.ts';
import { openDatabase, type Database } from './database/database.ts';
import { createHttpApp } from './http-app.ts';
import { prepareFirstRun, type FirstRun } from './identity/first-run.ts';
import { openIdentity, type Identity } from './identity/identity.ts';
import { systemMediaClock, type MediaClock } from './media-clock.ts';
import { MediaService } from './media-service.ts';
import { MediaCounts } from './metrics/media-counts.ts';
import { readMetrics } from './metrics/read-metrics.ts';
import { RelayMetrics } from './metrics/relay-metrics.ts';
import { RetentionSchedule } from './retention/retention-schedule.ts';
import { Retention } from './retention/retention.ts';
import { registerAllRoutes } from './routes/all-routes.ts';

export interface Relay {
  /** `http://host:port`, without a path. */
  readonly url: string;
  /** The credentials of the admin when this start was the first; null ever after. */
  readonly firstRun: FirstRun | null;
  readonly identity: Identity;
  readonly media: MediaService;
  readonly database: Database;
  /** Tells all peers, puts everything on disk and ends. Idempotent. */
  close(): Promise<void>;
}

export interface StartOptions {
  /** Replaced only by tests that must hold time. */
  readonly clock?: MediaClock;
  readonly log?: Logger;
}

/** Secrets have no business in a log; should one get near it, it is cut out here. */
const REDACTED = ['authorization', 'cookie', 'password', 'ticket', 'token', 'assertion'];

/** Resolves when the relay listens. When it cannot start, it has closed again what it had opened. */
export async function startRelay(
  config: RelayConfig,
  { clock = systemMediaClock, log = createLogger(config) }: StartOptions = {},
): Promise<Relay> {
  const closers: (() => void | Promise<void>)[] = [];
  let closing: Promise<void> | undefined;
  const close = () => (closing ??= closeInReverse(closers, log));
  try {
    const lock = await lockDataDir(config.dataDir);
    closers.push(() => lock.release());
    const database = await openDatabase(join(config.dataDir, 'proofcast.sqlite'));
    closers.push(() => database.destroy());
    const identity = await openIdentity({
      database,
      keysDir: join(config.dataDir, 'keys'),
      limits: config.limits,
      clock,
    });
    const counts = new MediaCounts();
    const media = await MediaService.open({
      database,
      dataDir: config.dataDir,
      reconnectGraceMs: config.reconnectGraceMs,
      ffmpegPath: config.ffmpegPath,
      limits: config.mediaLimits,
      counts,
      log,
      clock,
    });
    closers.push(() => media.close());
    const { retentionIntervalMs: intervalMs, maxPreviewedRecordings } = config.mediaLimits;
    const retention = new Retention({ database, media, clock, log, maxPreviewedRecordings });
    const schedule = new RetentionSchedule({ retention, clock, intervalMs, log });
    closers.push(() => schedule.close());
    const sources = { database, media, counts, retention, schedule };
    const metrics = new RelayMetrics({ counts, read: () => readMetrics(sources) });
    const isClosing = (): boolean => closing !== undefined;
    const onRefused = (code: ErrorCode): void => counts.refuse(code);
    const app = await createHttpApp({ config, log, isClosing, onRefused });
    closers.push(() => closeHttpApp(app, config.limits.shutdownGraceMs));
    registerAllRoutes(app, { config, database, identity, media, retention, metrics, clock });
    await app.listen({ host: config.host, port: config.port });
    // Peers hear why they are cut off before the server ends their connections.
    closers.push(async () => void (await Promise.all([media.close(), retention.close()])));
    schedule.begin();
    // Last, because a password that was made up is lost when the start fails after it.
    const firstRun = await prepareFirstRun({ ...identity, ...config });
    return { url: urlOf(config.host, app), firstRun, identity, media, database, close };
  } catch (error) {
    await close();
    throw error;
  }
}

function createLogger({ logLevel }: RelayConfig): Logger {
  return pino({
    name: 'relay',
    level: logLevel,
    redact: [...REDACTED, ...REDACTED.map((name) => `*.${name}`)],
  });
}

async function closeInReverse(closers: readonly (() => void | Promise<void>)[], log: Logger): Promise<void> {
  for (const close of closers.toReversed()) {
    try {
      await close();
    } catch (error) {
      // The rest still has to be closed.
      log.error({ err: error }, 'closing failed');
    }
  }
}

/** Gives peers and requests the time to end by themselves, then ends them. */
async function closeHttpApp(app: FastifyInstance, graceMs: number): Promise<void> {
  const { clients } = app.websocketServer;
  const timer = setTimeout(() => {
    for (const socket of clients) socket.terminate();
    app.server.closeAllConnections();
  }, graceMs);
  try {
    await app.close();
  } finally {
    clearTimeout(timer);
  }
}

function urlOf(host: string, app: FastifyInstance): string {
  const { port } = app.server.address() as AddressInfo;
  // An address that means "all" is none to connect to.
  const reachable = host === '0.0.0.0' || host === '::' ? 'localhost' : host;
  return `http://${reachable.includes(':') ? `[${reachable}]` : reachable}:${port}`;
}
