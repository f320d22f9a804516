/** Who may read metrics and statistics: whoever has the token, or, when there is none, programs on the same machine. */
import { hash, timingSafeEqual } from 'node:crypto';
import { CodedError, readBearerToken, requireThisMachine } from '@proofcast/shared';
import type { FastifyRequest } from 'fastify';

/** Throws `UNAUTHENTICATED` or `TOKEN_INVALID`. `token`: the configured one, if there is any. */
export function requireOperator(request: FastifyRequest, token: string | null): void {
  const { headers } = request;
  if (token === null) return requireThisMachine({ headers, address: request.raw.socket.remoteAddress });
  const given = readBearerToken(headers.authorization);
  // Of equal length whatever was given, so that the time it takes tells nothing.
  if (timingSafeEqual(sha256(given), sha256(token))) return;
  throw new CodedError('TOKEN_INVALID', 'The token is not the one that METRICS_TOKEN names.');
}

function sha256(text: string): Buffer {
  return hash('sha256', text, 'buffer');
}
