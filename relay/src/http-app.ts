/** The HTTP server before it knows any route: limits, headers, logging, and how failures look. */
import cookie from '@fastify/cookie';
import helmet from '@fastify/helmet';
import fastifyStatic from '@fastify/static';
import websocket from '@fastify/websocket';
import { CodedError, toCloseReason, toCodedError, type ErrorCode } from '@proofcast/shared';
import fastify, { LogController, type FastifyBaseLogger, type FastifyInstance } from 'fastify';
import type { Logger } from 'pino';
import type { RelayConfig } from './config.ts';
import { MAX_SOCKET_FRAME_BYTES } from './media-limits.ts';
import { answerError, pathOf } from './routes/error-handler.ts';

const HSTS_SECONDS = 365 * 24 * 60 * 60;

export interface HttpAppOptions {
  readonly config: Pick<RelayConfig, 'trustProxy' | 'limits'>;
  readonly log: Logger;
  /** Once true, every request is refused with `SHUTTING_DOWN`. */
  readonly isClosing: () => boolean;
  /** Hears the code of every refused request. */
  readonly onRefused: (code: ErrorCode) => void;
}

export async function createHttpApp(options: HttpAppOptions): Promise<FastifyInstance> {
  const { config, log, isClosing, onRefused } = options;
  const loggerInstance: FastifyBaseLogger = log;
  const app = fastify({
    loggerInstance,
    // Its lines would hold the query, hence tickets; ours are below.
    logController: new LogController({ disableRequestLogging: true }),
    requestTimeout: config.limits.requestTimeoutMs,
    bodyLimit: config.limits.maxBodyBytes,
    trustProxy: typeof config.trustProxy === 'boolean' ? config.trustProxy : [...config.trustProxy],
    return503OnClosing: false,
    frameworkErrors: (error, request, reply) => void answerError(error, request, reply),
  });
  app.decorateReply('refusalCode', null);
  app.setErrorHandler(answerError);
  app.addHook('onRoute', ({ url, config: route }) => {
    if (!route?.access) throw new Error(`Cannot add route ${url}: it does not say who may call it.`);
  });
  acceptJsonOnly(app);

  await app.register(helmet, {
    // For answers that are no pages. Pages have a policy of their own, see routes/dashboard.ts.
    contentSecurityPolicy: {
      useDefaults: false,
      directives: { defaultSrc: ["'none'"], frameAncestors: ["'none'"], baseUri: ["'none'"] },
    },
    frameguard: { action: 'deny' },
    // Set below, only where the request came by https.
    hsts: false,
  });
  await app.register(cookie);
  await app.register(fastifyStatic, { serve: false });
  await app.register(websocket, {
    options: { maxPayload: MAX_SOCKET_FRAME_BYTES, perMessageDeflate: false },
    errorHandler(error, socket, request) {
      request.log.warn({ err: error, path: pathOf(request) }, 'websocket failed');
      const coded = toCodedError(error);
      socket.close(coded.closeCode, toCloseReason(coded));
    },
  });

  app.addHook('onRequest', async (request, reply) => {
    if (request.protocol === 'https') {
      void reply.header('strict-transport-security', `max-age=${HSTS_SECONDS}`);
    }
    if (isClosing()) throw new CodedError('SHUTTING_DOWN', 'The relay is shutting down; try again soon.');
    // @fastify/websocket would open the socket first and close it afterwards.
    if (request.ws && request.routeOptions.config.isWebsocket !== true) {
      throw new CodedError('NOT_FOUND', `There is no websocket at ${pathOf(request)}.`);
    }
  });
  app.addHook('onResponse', async (request, reply) => {
    const { method, ip } = request;
    const { statusCode: status, refusalCode } = reply;
    const durationMs = Math.round(reply.elapsedTime);
    const refusal = refusalCode === null ? {} : { code: refusalCode };
    request.log.info({ method, path: pathOf(request), status, ...refusal, ip, durationMs }, 'answered');
    if (refusalCode !== null) onRefused(refusalCode);
  });
  return app;
}

/** Forms and plain text, which a page of another origin could send without asking, are not understood at all. */
function acceptJsonOnly(app: FastifyInstance): void {
  const parseJson = app.getDefaultJsonParser('error', 'error');
  app.removeAllContentTypeParsers();
  app.addContentTypeParser('application/json', { parseAs: 'string' }, (request, body, done) => {
    // Clients that always name the type of their body send none to routes that need none.
    if (body === '') done(null, undefined);
    else void parseJson(request, body as string, done);
  });
}
