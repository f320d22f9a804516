import fastifyWebsocket from '@fastify/websocket';
import fastify, { LogController, type FastifyBaseLogger, type FastifyInstance } from 'fastify';
import { pino, type Logger } from 'pino';
import type { SfuConfig } from './config.ts';
import { LiveStreams } from './live-streams.ts';
import { SfuMetrics } from './metrics.ts';
import { registerRoutes, sendError } from './routes.ts';
import { Signaling } from './signaling.ts';
import { SigningKeys } from './signing-keys.ts';
import type { SfuStatistics } from './statistics.ts';
import { StreamSampler } from './stream-sampler.ts';
import { verifyToken } from './tokens.ts';
import { TurnCredentials } from './turn-credentials.ts';
import { Workers } from './workers.ts';

export interface Sfu {
  /** `http://…`; the signalling is at `SFU_PATH` of it. */
  readonly url: string;
  /** Process ids of the media workers that run. */
  readonly workerPids: readonly number[];
  /** What is known of workers and streams at the moment. */
  statistics(): SfuStatistics;
  /** Tells all clients `SHUTTING_DOWN`, then ends everything; resolves when it has ended. Idempotent. */
  close(): Promise<void>;
}

/** Starts the SFU; rejects when a worker or the port cannot be had. The relay may be down. */
export async function startSfu(
  config: SfuConfig,
  log: Logger = pino({ level: config.logLevel }),
): Promise<Sfu> {
  const { limits } = config;
  const workers = await Workers.open({
    count: config.workerCount,
    firstPort: config.mediaPort,
    mediaAddress: config.mediaAddress,
    announcedAddress: config.announcedAddress,
    limits,
    log,
  });
  const keys = new SigningKeys({ source: config.keySource, limits, log });
  const streams = new LiveStreams({ workers, limits, log });
  const signaling = new Signaling({
    verifyToken: (token) => verifyToken(token, keys),
    streams,
    turn: new TurnCredentials(config.turn),
    limits,
    log,
  });
  const sampler = new StreamSampler({ streams, workers, limits, log });
  const loggerInstance: FastifyBaseLogger = log;
  const app: FastifyInstance = fastify({
    loggerInstance,
    frameworkErrors: sendError,
    logController: new LogController({ disableRequestLogging: true }),
  });
  let closing: Promise<void> | undefined;

  const closeAll = async (): Promise<void> => {
    const sampled = sampler.close();
    streams.close();
    await signaling.close();
    await app.close();
    keys.close();
    await workers.close();
    await sampled;
  };

  const unreadyReasons = (): string[] => {
    if (closing) return ['the SFU is shutting down'];
    const keyReason = keys.unreadyReason();
    return [...workers.unreadyReasons(), ...(keyReason ? [keyReason] : [])];
  };

  try {
    await app.register(fastifyWebsocket, {
      options: { maxPayload: limits.maxMessageBytes },
      // `Connection` listens for errors itself; the default would cut the close frame off that tells the client why.
      errorHandler: () => {},
    });
    registerRoutes(app, {
      signaling,
      unreadyReasons,
      statistics: () => sampler.read(),
      metrics: new SfuMetrics({
        statistics: () => sampler.read(),
        connectionCount: () => signaling.connectionCount,
        workerDeaths: () => workers.deaths,
        workerCount: config.workerCount,
        isReady: () => unreadyReasons().length === 0,
      }),
      metricsToken: config.metricsToken,
    });
    const url = await app.listen({ host: config.host, port: config.port });
    return {
      url,
      get workerPids() {
        return workers.pids;
      },
      statistics: () => sampler.read(),
      close: () => (closing ??= closeAll()),
    };
  } catch (error) {
    await closeAll();
    throw error;
  }
}
