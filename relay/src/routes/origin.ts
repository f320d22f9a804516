/** Keeps pages of other origins from acting with the cookie of a signed-in user (CSRF). */
import { CodedError } from '@proofcast/shared';
import type { FastifyRequest } from 'fastify';

/**
 * Throws `ORIGIN_REFUSED` when a browser says that the request comes from a page of another origin: by `Origin`
 * (RFC 6454) or by `Sec-Fetch-Site` (W3C Fetch Metadata). Clients that are no browsers send neither.
 */
export function requireOwnOrigin(request: FastifyRequest): void {
  const { origin, 'sec-fetch-site': site } = request.headers;
  if (site !== undefined && site !== 'same-origin' && site !== 'none') {
    throw new CodedError(
      'ORIGIN_REFUSED',
      'Cannot accept the request: it comes from a page of another site.',
    );
  }
  if (origin !== undefined && !isOwnOrigin(origin, request)) {
    throw new CodedError(
      'ORIGIN_REFUSED',
      'Cannot accept the request: it comes from a page of another origin.',
    );
  }
}

/** Only host and port are compared: behind a proxy that ends TLS the scheme seen here is not that of the browser. */
function isOwnOrigin(origin: string, request: FastifyRequest): boolean {
  if (!URL.canParse(origin)) return false;
  const { protocol, host } = new URL(origin);
  const own = `${protocol}//${request.host}`;
  return URL.canParse(own) && new URL(own).host === host;
}
