import { CodedError, SFU_PATH, toCodedError } from '@proofcast/shared';
import type { FastifyError, FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import type { Signaling } from './signaling.ts';

export interface RoutesOptions {
  readonly signaling: Signaling;
  /** Why the SFU cannot serve everybody at the moment; empty when it can. */
  readonly unreadyReasons: () => string[];
}

/** All that the SFU answers over HTTP: its health, and the websocket of the signalling. */
export function registerRoutes(app: FastifyInstance, { signaling, unreadyReasons }: RoutesOptions): void {
  app.get('/healthz', async () => ({ status: 'ok' }));

  app.get('/readyz', async (_request, reply) => {
    const reasons = unreadyReasons();
    if (reasons.length > 0) reply.code(503);
    return { status: reasons.length > 0 ? 'unready' : 'ready', reasons };
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
