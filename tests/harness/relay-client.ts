/** A signed-in user of the relay's HTTP API, as a test needs one: cookies kept, refusals as coded errors. */
import {
  fromErrorBody,
  RELAY_ROUTES,
  routePath,
  type RelayRouteName,
  type RouteBody,
  type RouteQuery,
  type RouteResponse,
} from '@proofcast/shared';

export class RelayUser {
  readonly #relayUrl: string;
  #cookie = '';

  constructor(relayUrl: string) {
    this.#relayUrl = relayUrl;
  }

  static async signIn(
    relayUrl: string,
    credentials: { email: string; password: string },
  ): Promise<RelayUser> {
    const user = new RelayUser(relayUrl);
    await user.call('signIn', { body: credentials });
    return user;
  }

  get cookie(): string {
    return this.#cookie;
  }

  /** Calls a route; throws the coded error that it answers with. */
  async call<N extends RelayRouteName>(
    name: N,
    request: { params?: Record<string, string>; body?: RouteBody<N>; query?: RouteQuery<N> } = {},
  ): Promise<RouteResponse<N>> {
    const response = await this.fetch(name, request);
    const body: unknown = await response.json();
    if (!response.ok) throw fromErrorBody(body as { code: string; message: string });
    return body as RouteResponse<N>;
  }

  /** Calls a route and returns whatever comes, bytes included. */
  async fetch(
    name: RelayRouteName,
    request: {
      params?: Record<string, string>;
      body?: unknown;
      query?: unknown;
      headers?: Record<string, string>;
    } = {},
  ): Promise<Response> {
    const url = new URL(routePath(name, request.params), this.#relayUrl);
    for (const [key, value] of Object.entries(request.query ?? {})) url.searchParams.set(key, String(value));
    const { method } = RELAY_ROUTES[name];
    const response = await fetch(url, {
      method,
      headers: {
        ...(this.#cookie ? { cookie: this.#cookie } : {}),
        ...(method === 'POST' ? { 'content-type': 'application/json' } : {}),
        ...request.headers,
      },
      ...(method === 'POST' ? { body: JSON.stringify(request.body ?? {}) } : {}),
    });
    const [cookie] = response.headers.getSetCookie();
    if (cookie) this.#cookie = cookie.split(';')[0]!;
    return response;
  }
}
