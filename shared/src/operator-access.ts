/** Who may read what is for operators: whoever has the token, or, when there is none, programs on the same machine. */
import { CodedError } from './errors.ts';

/** Each says that somebody else than the peer of the connection asks. */
const FORWARDING_HEADERS = [
  'forwarded',
  'via',
  'x-forwarded-for',
  'x-forwarded-host',
  'x-forwarded-proto',
  'x-real-ip',
];

const OCTET = '(?:25[0-5]|2[0-4]\\d|1\\d\\d|[1-9]\\d|\\d)';
/** 127.0.0.0/8 (RFC 1122, 3.2.1.3). */
const LOOPBACK_V4 = new RegExp(`^127(?:\\.${OCTET}){3}$`);

/** The token of an `Authorization` header. Throws `UNAUTHENTICATED` when there is none. */
export function readBearerToken(authorization: string | undefined): string {
  // RFC 6750, 2.1; the name of the scheme is not case-sensitive (RFC 9110, 11.1).
  const [, token] = /^Bearer (\S+)$/i.exec(authorization ?? '') ?? [];
  if (token === undefined) throw new CodedError('UNAUTHENTICATED', 'The request carries no bearer token.');
  return token;
}

/** Throws `UNAUTHENTICATED` when the request comes from elsewhere, or may do so. `address`: the peer of the connection. */
export function requireThisMachine(request: {
  readonly headers: Readonly<Record<string, unknown>> & { readonly host?: string | undefined };
  readonly address: string | undefined;
}): void {
  const { headers, address = '' } = request;
  const isForwarded = FORWARDING_HEADERS.some((name) => headers[name] !== undefined);
  if (isLoopback(address) && isLoopbackHost(headers.host ?? '') && !isForwarded) return;
  throw new CodedError(
    'UNAUTHENTICATED',
    'Metrics are told to programs on this machine only; set METRICS_TOKEN to read them from elsewhere.',
  );
}

/** A page that a browser on this machine has open could otherwise reach the service under a name of its own. */
function isLoopbackHost(host: string): boolean {
  const name = host.replace(/:\d+$/, '').replace(/^\[(.*)\]$/, '$1');
  return name === 'localhost' || isLoopback(name);
}

function isLoopback(address: string): boolean {
  const plain = address.replace(/^::ffff:/i, '');
  return plain === '::1' || LOOPBACK_V4.test(plain);
}
