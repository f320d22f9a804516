import { CodedError, SFU_PATH, toCodedError } from '@proofcast/shared';
import type { FastifyError, FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import type { SfuMetrics } from './metrics.ts';
import { requireOperator } from './operator-access.ts';
import type { Signaling } from './signaling.ts';
import type { SfuStatistics } from './statistics.ts';

export interface RoutesOptions {
  readonly signaling: Signaling;
  /** Why the SFU cannot serve everybody at the moment; empty when it can. */
  readonly unreadyReasons: () => string[];
  readonly statistics: () => SfuStatistics;
  readonly metrics: SfuMetrics;
  readonly metricsToken: string | null;
}

/** All that the SFU answers over HTTP: its health, what operators read, and the websocket of the signalling. */
export function registerRoutes(app: FastifyInstance, options: RoutesOptions): void {
  const { signaling, unreadyReasons, statistics, metrics, metricsToken } = options;

  app.get('/healthz', async () => ({ status: 'ok' }));

  app.get('/readyz', async (_request, reply) => {
    const reasons = unreadyReasons();
    if (reasons.length > 0) reply.code(503);
    return { status: reasons.length > 0 ? 'unready' : 'ready', reasons };
  });

  app.get('/metrics', async (request, reply) => {
    requireOperator(request, metricsToken);
    return reply
      .header('content-type', metrics.contentType)
      .header('cache-control', 'no-store')
      .send(await metrics.collect());
  });

  app.get('/statistics', async (request, reply) => {
    requireOperator(request, metricsToken);
    return reply.header('cache-control', 'no-store').send(statistics());
  });

  app.route({
    method: 'GET',
    url: SFU_PATH,
    exposeHeadRoute: false,
    handler: async () => {
      throw new CodedError('MESSAGE_INVALID', `Cannot answer: ${SFU_PATH} is for websockets.`);
    },
    wsHandler: (socket, request) => signaling.accept(socket, request.ip),
  });

  app.setNotFoundHandler(async (request) => {
    throw new CodedError('NOT_FOUND', `Cannot find ${request.method} ${request.url.split('?')[0]}.`);
  });

  app.setErrorHandler(sendError);
}

/** Answers with the code of `error`, or with `INTERNAL` when it has none. Also for requests that match no route. */
export function sendError(error: unknown, request: FastifyRequest, reply: FastifyReply): void {
  const coded = isUnreadable(error) ? new CodedError('MESSAGE_INVALID', error.message) : toCodedError(error);
  if (coded.code === 'INTERNAL') request.log.error({ err: error }, 'request failed unexpectedly');
  void reply.code(coded.status).send(coded.toBody());
}

/** Fastify's own word for a request that it cannot read. */
function isUnreadable(error: unknown): error is FastifyError {
  if (!(error instanceof Error) || !('statusCode' in error)) return false;
  return Number(error.statusCode) >= 400 && Number(error.statusCode) < 500;
}
