/**
 * The HTTP API of the relay as typed calls. It owns how a request is made and how every failure becomes a coded error;
 * what an answer means is for the callers.
 */
import {
  CodedError,
  fromErrorBody,
  isErrorCode,
  parseWith,
  RELAY_ROUTES,
  routePath,
  type ErrorCode,
  type ErrorDetails,
  type RelayRouteName,
  type RelayRoutes,
  type RouteBody,
  type RouteParams,
  type RouteQuery,
  type RouteResponse,
} from '@proofcast/shared';
import { REQUEST_TIMEOUT_MS } from './config.ts';

type Schema = Parameters<typeof parseWith>[0];

/** Routes whose answers are not JSON but bytes that are read here. */
export type BytesRouteName = 'streamLive' | 'streamStill';

export type JsonRouteName = {
  [N in RelayRouteName]: RelayRoutes[N] extends { kind: 'json'; response: Schema } ? N : never;
}[RelayRouteName];

type Part<N extends RelayRouteName, P extends string, T> =
  RelayRoutes[N] extends Record<P, Schema> ? T : unknown;
type CallInput<N extends RelayRouteName> = Part<N, 'body', { body: RouteBody<N> }> &
  Part<N, 'params', { params: RouteParams<N> }> &
  Part<N, 'query', { query: RouteQuery<N> }> & { signal?: AbortSignal };
type CallArguments<N extends RelayRouteName> =
  Partial<CallInput<N>> extends CallInput<N> ? [input?: CallInput<N>] : [input: CallInput<N>];

export interface BytesInput {
  readonly params: Record<string, string>;
  readonly query?: Record<string, number | undefined>;
  readonly signal: AbortSignal;
}

export interface RelayClientOptions {
  readonly fetch: typeof fetch;
  /** Called after each request: whether the server could be reached at all. */
  readonly onReached: (isReached: boolean) => void;
  /** Called when the server says that there is no session any more. */
  readonly onUnauthenticated: () => void;
}

export class RelayClient {
  readonly #options: RelayClientOptions;

  constructor(options: RelayClientOptions) {
    this.#options = options;
  }

  /**
   * Calls one route. Throws the server's coded error; `UNAVAILABLE` when it cannot be reached; `TIMEOUT`; and the
   * abort reason of `signal` as it is.
   */
  async call<N extends JsonRouteName>(name: N, ...[input]: CallArguments<N>): Promise<RouteResponse<N>> {
    const { body, params, query, signal } = (input ?? {}) as RawInput;
    const route = RELAY_ROUTES[name];
    const response = await this.#send(routePath(name, params) + queryText(query), {
      method: route.method,
      headers: body === undefined ? {} : { 'content-type': 'application/json' },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      ...(signal ? { signal } : {}),
    });
    const text = await response.text();
    // `readyz` says "unready" with a status for load balancers and its ordinary body for people.
    const isAnswer = response.ok || (name === 'readyz' && isFromRelay(response));
    if (!isAnswer) throw this.#noteRefusal(errorFromResponse(response, text));
    return parseWith(
      route.response as Schema,
      parseAnswer(text, route.path),
      `the answer of ${route.path}`,
      'INTERNAL',
    ) as RouteResponse<N>;
  }

  /**
   * Asks for bytes. Resolves with the head of the answer; its body flows for as long as `signal` lets it. Throws as
   * `call` does.
   */
  async open(name: BytesRouteName, { params, query, signal }: BytesInput): Promise<Response> {
    const { method, path } = RELAY_ROUTES[name];
    const timeout = new AbortController();
    const timer = setTimeout(() => timeout.abort(), REQUEST_TIMEOUT_MS);
    let response: Response;
    try {
      const address = routePath(name, params) + queryText(query);
      response = await this.#fetch(address, { method }, { cancelled: signal, timeout: timeout.signal });
    } finally {
      clearTimeout(timer);
    }
    if (response.ok) return response;
    throw this.#noteRefusal(errorFromResponse(response, await textOf(response, path)));
  }

  #send(path: string, request: RequestInit & { signal?: AbortSignal }): Promise<Response> {
    const timeout = AbortSignal.timeout(REQUEST_TIMEOUT_MS);
    return this.#fetch(path, request, { timeout, ...(request.signal ? { cancelled: request.signal } : {}) });
  }

  async #fetch(
    path: string,
    request: RequestInit,
    { cancelled, timeout }: { cancelled?: AbortSignal; timeout: AbortSignal },
  ): Promise<Response> {
    const signal = cancelled ? AbortSignal.any([cancelled, timeout]) : timeout;
    try {
      const response = await this.#options.fetch(path, { ...request, signal, credentials: 'same-origin' });
      this.#options.onReached(isFromRelay(response));
      return response;
    } catch (cause) {
      if (cancelled?.aborted) throw cause;
      this.#options.onReached(false);
      if (timeout.aborted) {
        throw new CodedError('TIMEOUT', 'The server did not answer in time.', { cause });
      }
      throw new CodedError('UNAVAILABLE', 'The server cannot be reached.', { cause });
    }
  }

  #noteRefusal(error: CodedError): CodedError {
    if (error.code === 'UNAUTHENTICATED') this.#options.onUnauthenticated();
    return error;
  }
}

interface RawInput {
  body?: unknown;
  params?: Record<string, string>;
  query?: Record<string, string | number | undefined>;
  signal?: AbortSignal;
}

/** Of a refusal; a connection that breaks off inside of it is a server that cannot be reached. */
async function textOf(response: Response, path: string): Promise<string> {
  try {
    return await response.text();
  } catch (cause) {
    throw new CodedError('UNAVAILABLE', `The answer of ${path} broke off.`, { cause });
  }
}

function queryText(query: RawInput['query']): string {
  const search = new URLSearchParams();
  for (const [key, value] of Object.entries(query ?? {})) {
    if (value !== undefined) search.set(key, String(value));
  }
  return search.size > 0 ? `?${search.toString()}` : '';
}

/** A proxy in front answers for a relay that is down, and not in JSON. */
function isFromRelay(response: Response): boolean {
  if (![502, 503, 504].includes(response.status)) return true;
  return response.headers.get('content-type')?.startsWith('application/json') ?? false;
}

function parseAnswer(text: string, path: string): unknown {
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw new CodedError('INTERNAL', `The answer of ${path} is not JSON.`, { cause });
  }
}

/** What a refusal without a body of ours means: it came from a proxy, not from the relay. */
const CODE_OF_STATUS: Readonly<Record<number, ErrorCode>> = {
  400: 'MESSAGE_INVALID',
  401: 'UNAUTHENTICATED',
  403: 'FORBIDDEN',
  404: 'NOT_FOUND',
  413: 'MESSAGE_TOO_LARGE',
  429: 'TOO_MANY_REQUESTS',
  502: 'UNAVAILABLE',
  503: 'UNAVAILABLE',
  504: 'TIMEOUT',
};

function errorFromResponse(response: Response, text: string): CodedError {
  const retryAfter = retryAfterDetails(response);
  const body = readErrorBody(text);
  if (body) {
    return fromErrorBody({ ...body, ...(retryAfter ? { details: { ...body.details, ...retryAfter } } : {}) });
  }
  const code = CODE_OF_STATUS[response.status] ?? 'INTERNAL';
  const message = `The server answered with status ${response.status}.`;
  return new CodedError(code, message, retryAfter ? { details: retryAfter } : {});
}

function readErrorBody(text: string): { code: string; message: string; details?: ErrorDetails } | undefined {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return undefined; // Not ours; the status tells what it can.
  }
  if (typeof value !== 'object' || value === null) return undefined;
  const { code, message, details } = value as Record<string, unknown>;
  if (!isErrorCode(code) || typeof message !== 'string') return undefined;
  return typeof details === 'object' && details !== null
    ? { code, message, details: details as ErrorDetails }
    : { code, message };
}

/** RFC 9110, 10.2.3; only the form in seconds. */
function retryAfterDetails(response: Response): { retryAfterS: number } | undefined {
  const seconds = Number(response.headers.get('retry-after') ?? Number.NaN);
  return Number.isInteger(seconds) && seconds > 0 ? { retryAfterS: seconds } : undefined;
}
