import { CodedError } from '@proofcast/shared';
import type { FastifyRequest } from 'fastify';
import type { CookieSerializeOptions } from '@fastify/cookie';
import type { RelayConfig } from '../config.ts';
import { hashSecret } from '../identity/secrets.ts';
import type { Sessions } from '../identity/sessions.ts';
import { normaliseEmail, type Users } from '../identity/users.ts';
import { SESSION_COOKIE } from './access-guard.ts';
import { countFailures, type RateLimiter } from './rate-limiter.ts';
import type { RouteHandlers } from './route-table.ts';
import type { SessionSockets } from './session-sockets.ts';

/** Signing in and out, and who one is. */
export function sessionRoutes({
  users,
  sessions,
  sockets,
  secureCookies,
  failuresByAddress,
  failuresByAccount,
}: {
  users: Users;
  sessions: Sessions;
  sockets: SessionSockets;
  secureCookies: RelayConfig['secureCookies'];
  failuresByAddress: RateLimiter;
  failuresByAccount: RateLimiter;
}): Pick<RouteHandlers, 'signIn' | 'signOut' | 'me'> {
  const end = async (sessionHash: string) => {
    await sessions.end(sessionHash);
    sockets.closeAll(sessionHash, new CodedError('UNAUTHENTICATED', 'The session was ended; sign in again.'));
  };
  const cookieOptions = (request: FastifyRequest): CookieSerializeOptions => ({
    path: '/',
    httpOnly: true,
    sameSite: 'strict',
    secure: secureCookies === 'on' || (secureCookies === 'auto' && request.protocol === 'https'),
  });

  return {
    signIn: async ({ body, request, reply }) => {
      const userId = await countFailures(
        [
          { limiter: failuresByAddress, key: request.ip },
          { limiter: failuresByAccount, key: normaliseEmail(body.email) },
        ],
        () => users.verifyCredentials(body.email, body.password),
      );
      // The browser can hold one session only; the one before would linger until it expires.
      const cookieBefore = request.cookies[SESSION_COOKIE];
      if (cookieBefore) await end(hashSecret(cookieBefore));
      const { cookie, expiresAtMs } = await sessions.create(userId);
      void reply.setCookie(SESSION_COOKIE, cookie, {
        ...cookieOptions(request),
        expires: new Date(expiresAtMs),
      });
      return users.me(userId);
    },
    signOut: async ({ caller, request, reply }) => {
      await end(caller.sessionHash);
      void reply.clearCookie(SESSION_COOKIE, cookieOptions(request));
      return {};
    },
    me: ({ caller }) => users.me(caller.user.userId),
  };
}
