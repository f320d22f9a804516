import {
  CodedError,
  parseTokenClaims,
  requirePermission,
  TOKEN_ALGORITHM,
  TOKEN_AUDIENCES,
  TOKEN_ISSUER,
  type DevicePrincipal,
  type TokenClaims,
  type UserPrincipal,
} from '@proofcast/shared';
import { errors, jwtVerify, type JWTPayload } from 'jose';
import type { SigningKeys } from './signing-keys.ts';

/** What a connection may do, and until when. */
export interface Grant {
  readonly principal: UserPrincipal | DevicePrincipal;
  readonly expiresAtMs: number;
}

/**
 * Verifies a token that the relay signed for this service. Throws `TOKEN_EXPIRED`; `TOKEN_INVALID` for any other
 * token that proves nothing; `FORBIDDEN` when the role may not watch; `UNAVAILABLE` when no keys could be loaded.
 */
export async function verifyToken(token: string, keys: SigningKeys): Promise<Grant> {
  const claims = parseTokenClaims(await verifySignature(token, keys));
  return { principal: principalOf(claims), expiresAtMs: claims.exp * 1000 };
}

/** Throws `FORBIDDEN` when `next` is not the same bearer with the same purpose as `current`. */
export function requireSameBearer(current: Grant['principal'], next: Grant['principal']): void {
  const isSame =
    current.companyId === next.companyId &&
    (current.kind === 'user'
      ? next.kind === 'user' && next.userId === current.userId
      : next.kind === 'device' && next.deviceId === current.deviceId && next.streamId === current.streamId);
  if (isSame) return;
  throw new CodedError(
    'FORBIDDEN',
    'Cannot renew the token: the new one is of somebody else or for something else.',
  );
}

async function verifySignature(token: string, keys: SigningKeys): Promise<JWTPayload> {
  try {
    const { payload } = await jwtVerify(token, (header, jws) => keys.resolve(header, jws), {
      algorithms: [TOKEN_ALGORITHM],
      audience: TOKEN_AUDIENCES['sfu:view'],
      issuer: TOKEN_ISSUER,
      requiredClaims: ['exp'],
    });
    return payload;
  } catch (cause) {
    if (cause instanceof errors.JWTExpired) {
      throw new CodedError('TOKEN_EXPIRED', 'Cannot accept the token: it has expired.', { cause });
    }
    if (cause instanceof errors.JOSEError) {
      throw new CodedError('TOKEN_INVALID', `Cannot accept the token: ${cause.message}.`, { cause });
    }
    throw cause;
  }
}

function principalOf(claims: TokenClaims): Grant['principal'] {
  const { company: companyId, sub } = claims;
  switch (claims.purpose) {
    case 'sfu:publish':
      return { kind: 'device', companyId, deviceId: sub, streamId: claims.stream };
    case 'sfu:view': {
      const user = { kind: 'user', companyId, userId: sub, role: claims.role } as const;
      requirePermission(user, 'live:watch');
      return user;
    }
    case 'relay:ingest':
      throw new CodedError('TOKEN_INVALID', 'Cannot accept the token: it is for the relay.');
    default:
      return claims satisfies never;
  }
}
