/** Who may read metrics and statistics: whoever has the token, or, when there is none, programs on the same machine. */
import { hash, timingSafeEqual } from 'node:crypto';
import { isIP } from 'node:net';
import { CodedError } from '@proofcast/shared';
import type { FastifyRequest } from 'fastify';

/** Each says that somebody else than the peer of the connection asks. */
const FORWARDING_HEADERS = [
  'forwarded',
  'via',
  'x-forwarded-for',
  'x-forwarded-host',
  'x-forwarded-proto',
  'x-real-ip',
];

/** Throws `UNAUTHENTICATED` or `TOKEN_INVALID`. `token`: the configured one, if there is any. */
export function requireOperator(request: FastifyRequest, token: string | null): void {
  if (token === null) return requireThisMachine(request);
  // RFC 6750, 2.1; the name of the scheme is not case-sensitive (RFC 9110, 11.1).
  const [, given] = /^Bearer (\S+)$/i.exec(request.headers.authorization ?? '') ?? [];
  if (given === undefined) throw new CodedError('UNAUTHENTICATED', 'The request carries no bearer token.');
  // Of equal length whatever was given, so that the time it takes tells nothing.
  if (timingSafeEqual(sha256(given), sha256(token))) return;
  throw new CodedError('TOKEN_INVALID', 'The token is not the one that METRICS_TOKEN names.');
}

function requireThisMachine(request: FastifyRequest): void {
  const { headers } = request;
  const isForwarded = FORWARDING_HEADERS.some((name) => headers[name] !== undefined);
  const isLocal = isLoopback(request.raw.socket.remoteAddress ?? '') && isLoopbackHost(headers.host ?? '');
  if (isLocal && !isForwarded) return;
  throw new CodedError(
    'UNAUTHENTICATED',
    'Metrics are told to programs on this machine only; set METRICS_TOKEN to read them from elsewhere.',
  );
}

/** A page that a browser on this machine has open could otherwise reach the SFU under a name of its own. */
function isLoopbackHost(host: string): boolean {
  const name = host.replace(/:\d+$/, '').replace(/^\[(.*)\]$/, '$1');
  return name === 'localhost' || isLoopback(name);
}

function isLoopback(address: string): boolean {
  const plain = address.replace(/^::ffff:/i, '');
  return isIP(plain) === 4 ? plain.startsWith('127.') : plain === '::1';
}

function sha256(text: string): Buffer {
  return hash('sha256', text, 'buffer');
}
