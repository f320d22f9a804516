/** The one place that decides whether a request may go on to its handler. Whatever is not named here is refused. */
import {
  CodedError,
  parseWith,
  RELAY_ROUTES,
  requirePermission,
  type DevicePrincipal,
  type Permission,
  type RouteAccess,
} from '@proofcast/shared';
import type { FastifyRequest } from 'fastify';
import type { DeviceRow } from '../database/schema.ts';
import type { DeviceAssertions } from '../identity/device-assertions.ts';
import type { Devices } from '../identity/devices.ts';
import type { Session, Sessions } from '../identity/sessions.ts';
import type { Tickets } from '../identity/tickets.ts';
import type { Tokens } from '../identity/tokens.ts';
import { requireMetricsAccess, type MetricsAccess } from './metrics-access.ts';
import type { RateLimiter } from './rate-limiter.ts';

export const SESSION_COOKIE = 'proofcast_session';

/** Who a handler may rely on having been called by. */
export type CallerOf<A extends RouteAccess> = A extends 'public' | 'metrics'
  ? null
  : A extends 'device-token'
    ? DevicePrincipal
    : A extends 'device-assertion'
      ? DeviceRow
      : Session;
export type Caller = CallerOf<RouteAccess>;

export interface AccessGuardOptions {
  readonly sessions: Sessions;
  readonly tickets: Tickets;
  readonly tokens: Tokens;
  readonly devices: Devices;
  readonly assertions: DeviceAssertions;
  readonly assertionsByAddress: RateLimiter;
  readonly metrics: MetricsAccess;
}

export class AccessGuard {
  readonly #options: AccessGuardOptions;

  constructor(options: AccessGuardOptions) {
    this.#options = options;
  }

  /** Who is calling, if a route with this access lets it; throws a coded error otherwise. */
  async admit(access: RouteAccess, request: FastifyRequest): Promise<Caller> {
    switch (access) {
      case 'public':
        return null;
      case 'session':
        return this.#requireSession(request);
      case 'view-ticket':
        return this.#redeemTicket(request);
      case 'device-token':
        return this.#requireDeviceToken(request);
      case 'device-assertion':
        return this.#requireAssertion(request);
      case 'metrics':
        await requireMetricsAccess(request, this.#options.metrics);
        return null;
      case 'live:watch':
      case 'recordings:read':
      case 'devices:manage':
      case 'users:manage':
      case 'retention:manage':
        return permit(await this.#requireSession(request), access);
      default:
        throw new CodedError('FORBIDDEN', `Nobody may call a route with access ${String(access)}.`);
    }
  }

  async #requireSession(request: FastifyRequest): Promise<Session> {
    const cookie = request.cookies[SESSION_COOKIE];
    if (!cookie) throw new CodedError('UNAUTHENTICATED', 'Nobody is signed in; sign in first.');
    return this.#options.sessions.authenticate(cookie);
  }

  /** A ticket is worth what its session is worth at this moment, no more. */
  async #redeemTicket(request: FastifyRequest): Promise<Session> {
    const { ticket } = parseWith(RELAY_ROUTES.view.query, request.query, 'the query', 'TICKET_INVALID');
    const sessionHash = this.#options.tickets.redeem(ticket);
    return permit(await this.#options.sessions.find(sessionHash), RELAY_ROUTES.createViewTicket.access);
  }

  async #requireDeviceToken(request: FastifyRequest): Promise<DevicePrincipal> {
    // RFC 6750, 2.1; the name of the scheme is not case-sensitive (RFC 9110, 11.1).
    const [, token] = /^Bearer ([\w.~+/-]+=*)$/i.exec(request.headers.authorization ?? '') ?? [];
    if (!token) throw new CodedError('UNAUTHENTICATED', 'The request carries no bearer token.');
    const device = await this.#options.tokens.verifyIngest(token);
    await this.#options.devices.requireStream(device);
    return device;
  }

  async #requireAssertion(request: FastifyRequest): Promise<DeviceRow> {
    this.#options.assertionsByAddress.take(request.ip);
    const { assertion } = parseWith(RELAY_ROUTES.createPublishTokens.body, request.body, 'the body');
    return this.#options.assertions.verify(assertion);
  }
}

function permit(session: Session, permission: Permission): Session {
  requirePermission(session.user, permission);
  return session;
}
