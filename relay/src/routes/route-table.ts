/**
 * Registers the routes of shared/relay-api.ts, and no others: each with its check of origin and access, of what comes in
 * and of what goes out. A handler sees only requests that passed.
 */
import {
  CodedError,
  parseWith,
  RELAY_ROUTES,
  type RelayRouteName,
  type RelayRoutes,
  type RouteAccess,
  type RouteBody,
  type RouteParams,
  type RouteQuery,
  type RouteResponse,
} from '@proofcast/shared';
import type { FastifyInstance, FastifyReply, FastifyRequest, RouteOptions } from 'fastify';
import type { TSchema } from 'typebox';
import { Value } from 'typebox/value';
import type { WebSocket } from 'ws';
import type { AccessGuard, Caller, CallerOf } from './access-guard.ts';
import { requireOwnOrigin } from './origin.ts';

declare module 'fastify' {
  interface FastifyContextConfig {
    /** Who may call the route. A route that does not say cannot be added to the server. */
    access?: RouteAccess;
    isWebsocket?: boolean;
  }
}

export interface RouteCall<N extends RelayRouteName> {
  readonly caller: CallerOf<RelayRoutes[N]['access']>;
  readonly params: RouteParams<N>;
  readonly query: RouteQuery<N>;
  readonly body: RouteBody<N>;
  readonly request: FastifyRequest;
  readonly reply: FastifyReply;
}

/** JSON routes return their answer; those that answer with bytes return the reply that sends them. */
export type RouteHandler<N extends RelayRouteName> = RelayRoutes[N]['kind'] extends 'websocket'
  ? (socket: WebSocket, caller: RouteCall<N>['caller'], request: FastifyRequest) => void
  : RelayRoutes[N]['kind'] extends 'bytes'
    ? (call: RouteCall<N>) => Promise<FastifyReply>
    : (call: RouteCall<N>) => Promise<RouteResponse<N>> | RouteResponse<N>;

/** One handler for every route; a missing one does not compile. */
export type RouteHandlers = { readonly [N in RelayRouteName]: RouteHandler<N> };

/** A route and its handler once the types of the table have done their work. */
interface Route {
  readonly name: string;
  readonly method: 'GET' | 'POST' | 'PUT' | 'DELETE';
  readonly path: string;
  readonly access: RouteAccess;
  readonly kind: 'json' | 'bytes' | 'websocket';
  readonly params?: TSchema;
  readonly query?: TSchema;
  readonly body?: TSchema;
  readonly response?: TSchema;
}
interface AnyCall {
  readonly caller: Caller;
  readonly params: unknown;
  readonly query: unknown;
  readonly body: unknown;
  readonly request: FastifyRequest;
  readonly reply: FastifyReply;
}
type CallHandler = (call: AnyCall) => unknown;
type SocketHandler = (socket: WebSocket, caller: Caller, request: FastifyRequest) => void;

export function registerRoutes(app: FastifyInstance, guard: AccessGuard, handlers: RouteHandlers): void {
  for (const name of Object.keys(RELAY_ROUTES) as RelayRouteName[]) {
    const route: Route = { name, ...RELAY_ROUTES[name] };
    const handler = handlers[name] as CallHandler | SocketHandler;
    if (typeof handler !== 'function')
      throw new TypeError(`Cannot register route ${name}: it has no handler.`);
    registerRoute(app, { route, guard, handler });
  }
}

function registerRoute(
  app: FastifyInstance,
  { route, guard, handler }: { route: Route; guard: AccessGuard; handler: CallHandler | SocketHandler },
): void {
  const callers = new WeakMap<FastifyRequest, Caller>();
  const isBodyNeededForAccess = route.access === 'device-assertion';
  const admit = async (request: FastifyRequest) => {
    callers.set(request, await guard.admit(route.access, request));
  };
  /** Throws when nobody was admitted, which `admit` has prevented: the second lock of the same door. */
  const callerOf = (request: FastifyRequest): Caller => {
    const caller = callers.get(request);
    if (caller === undefined) throw new Error(`Route ${route.name} was reached without its access check.`);
    return caller;
  };

  const shape: Omit<RouteOptions, 'handler'> = {
    method: route.method,
    url: route.path,
    config: { access: route.access, isWebsocket: route.kind === 'websocket' },
    exposeHeadRoute: route.kind !== 'websocket',
    onRequest: async (request) => {
      if (route.method !== 'GET' || route.kind === 'websocket') requireOwnOrigin(request);
      if (!isBodyNeededForAccess) await admit(request);
    },
    preHandler: async (request) => {
      if (isBodyNeededForAccess) await admit(request);
    },
  };
  if (route.kind === 'websocket') {
    app.route({
      ...shape,
      handler: () => refusePlainHttp(route.path),
      wsHandler: (socket, request) => (handler as SocketHandler)(socket, callerOf(request), request),
    });
  } else {
    app.route({
      ...shape,
      handler: (request, reply) =>
        answer(route, handler as CallHandler, { caller: callerOf(request), request, reply }),
    });
  }
}

async function answer(
  route: Route,
  handler: CallHandler,
  { caller, request, reply }: Pick<AnyCall, 'caller' | 'request' | 'reply'>,
): Promise<unknown> {
  const result = await handler({
    caller,
    request,
    reply,
    params: route.params && parseWith(route.params, request.params, 'the path'),
    // Whatever stands in a query is text; numbers are read from it where the schema wants numbers.
    query: route.query && parseWith(route.query, Value.Convert(route.query, request.query), 'the query'),
    body: route.body && parseWith(route.body, request.body, 'the body'),
  });
  if (!route.response) return result;
  void reply.header('cache-control', 'no-store');
  return parseWith(route.response, result, `the answer of route ${route.name}`, 'INTERNAL');
}

function refusePlainHttp(path: string): never {
  throw new CodedError('MESSAGE_INVALID', `Cannot answer here: ${path} is a websocket.`);
}
