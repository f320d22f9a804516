/** Who may read the metrics: whoever has the token, or, when there is none, programs on the same machine. */
import { hash, timingSafeEqual } from 'node:crypto';
import { CodedError, readBearerToken, requireThisMachine } from '@proofcast/shared';
import type { FastifyRequest } from 'fastify';
import { countFailures, type RateLimiter } from './rate-limiter.ts';

export interface MetricsAccess {
  /** The configured one, if there is any. */
  readonly token: string | null;
  readonly failuresByAddress: RateLimiter;
}

/** Throws `UNAUTHENTICATED`, `TOKEN_INVALID` or `TOO_MANY_REQUESTS`. */
export async function requireMetricsAccess(
  request: FastifyRequest,
  { token, failuresByAddress }: MetricsAccess,
): Promise<void> {
  const { headers } = request;
  if (token === null) return requireThisMachine({ headers, address: request.raw.socket.remoteAddress });
  const given = readBearerToken(headers.authorization);
  await countFailures([{ limiter: failuresByAddress, key: request.ip }], async () => {
    // Of equal length whatever was given, so that the time it takes tells nothing.
    if (timingSafeEqual(sha256(given), sha256(token))) return;
    throw new CodedError('TOKEN_INVALID', 'The token is not the one that METRICS_TOKEN names.');
  });
}

function sha256(text: string): Buffer {
  return hash('sha256', text, 'buffer');
}
