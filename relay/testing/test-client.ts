import { once } from 'node:events';
import {
  fromErrorBody,
  RELAY_ROUTES,
  routePath,
  type CodedError,
  type ErrorBody,
  type RelayRouteName,
  type RouteBody,
  type RouteResponse,
} from '@proofcast/shared';
import { WebSocket } from 'ws';

export interface TestRequest {
  readonly params?: Readonly<Record<string, string>>;
  readonly query?: Readonly<Record<string, string>>;
  readonly body?: unknown;
  readonly headers?: Readonly<Record<string, string>>;
  readonly method?: string;
}

/** One client of the HTTP API, which keeps its cookie as a browser does. */
export class TestClient {
  readonly relayUrl: string;
  cookie = '';

  constructor(relayUrl: string) {
    this.relayUrl = relayUrl;
  }

  /** Calls a route and returns its answer; throws the coded error that it answers with. */
  async call<N extends RelayRouteName>(
    name: N,
    request: Omit<TestRequest, 'body'> & { readonly body?: RouteBody<N> } = {},
  ): Promise<RouteResponse<N>> {
    const response = await this.fetch(name, request);
    if (!response.ok) throw await codedErrorOf(response);
    return (await response.json()) as RouteResponse<N>;
  }

  /** The coded error with which a route refuses; throws when it does not. */
  async refusal(name: RelayRouteName, request: TestRequest = {}): Promise<CodedError> {
    const response = await this.fetch(name, request);
    if (response.ok) throw new Error(`Route ${name} did not refuse, it answered ${response.status}.`);
    return codedErrorOf(response);
  }

  async fetch(name: RelayRouteName, request: TestRequest = {}): Promise<Response> {
    return this.get(this.#pathOf(name, request), { method: RELAY_ROUTES[name].method, ...request });
  }

  async get(path: string, { method = 'GET', body, headers = {} }: TestRequest = {}): Promise<Response> {
    const response = await fetch(new URL(path, this.relayUrl), {
      method,
      headers: {
        ...(this.cookie ? { cookie: this.cookie } : {}),
        ...(body === undefined ? {} : { 'content-type': 'application/json' }),
        ...headers,
      },
      ...(body === undefined ? {} : { body: typeof body === 'string' ? body : JSON.stringify(body) }),
    });
    const [setCookie] = response.headers.getSetCookie();
    if (setCookie !== undefined) this.cookie = setCookie.split(';', 1)[0] ?? '';
    return response;
  }

  /** Opens a websocket; throws the coded error when the upgrade is refused. */
  async open(name: 'view' | 'ingest', request: TestRequest = {}): Promise<WebSocket> {
    const url = new URL(this.#pathOf(name, request), this.relayUrl.replace('http', 'ws'));
    const socket = new WebSocket(url, { headers: { ...request.headers } });
    const refused = new Promise<never>((_, reject) => {
      socket.on('unexpected-response', (_request, response) => {
        let text = '';
        response.setEncoding('utf8');
        response.on('data', (part: string) => (text += part));
        response.on('end', () => reject(fromErrorBody(JSON.parse(text) as ErrorBody)));
      });
    });
    await Promise.race([once(socket, 'open'), refused]);
    return socket;
  }

  #pathOf(name: RelayRouteName, { params = {}, query = {} }: TestRequest): string {
    const search = new URLSearchParams(query).toString();
    return routePath(name, params) + (search && `?${search}`);
  }
}

async function codedErrorOf(response: Response): Promise<CodedError> {
  const body = (await response.json()) as ErrorBody;
  const error = fromErrorBody(body);
  if (error.status !== response.status) {
    throw new Error(`${body.code} came with status ${response.status} instead of ${error.status}.`);
  }
  return error;
}

/** The code with which the relay closes the socket, and its reason. */
export async function closeOf(socket: WebSocket): Promise<{ code: number; reason: string }> {
  const [code, reason] = (await once(socket, 'close')) as [number, Buffer];
  return { code, reason: reason.toString() };
}
