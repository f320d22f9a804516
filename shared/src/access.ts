/**
 * Who may do what. A permission names an action; a role is a set of permissions; a token carries a purpose. Everything
 * that is not granted here is refused.
 */
import { Type, type Static } from 'typebox';
import { CodedError } from './errors.ts';
import { CompanyId, DeviceId, StreamId, UserId, type Id } from './ids.ts';
import { parseWith } from './schema.ts';

export const ROLES = ['admin', 'viewer', 'auditor', 'ops'] as const;
export const Role = Type.Enum(ROLES);
export type Role = (typeof ROLES)[number];

/** `ops` has none of these: it looks after health and never sees content. */
export const PERMISSIONS = {
  'live:watch': ['admin', 'viewer'],
  'recordings:read': ['admin', 'auditor'],
  'devices:manage': ['admin'],
  'users:manage': ['admin'],
  'retention:manage': ['admin'],
} as const satisfies Record<string, readonly Role[]>;

export type Permission = keyof typeof PERMISSIONS;

export interface UserPrincipal {
  readonly kind: 'user';
  readonly userId: Id;
  readonly companyId: Id;
  readonly role: Role;
}

export interface DevicePrincipal {
  readonly kind: 'device';
  readonly deviceId: Id;
  readonly companyId: Id;
  /** The one stream that the token of the device is bound to. */
  readonly streamId: Id;
}

/** Whether `role` includes `permission`. */
export function hasPermission(role: Role, permission: Permission): boolean {
  return (PERMISSIONS[permission] as readonly Role[]).includes(role);
}

/** Throws `FORBIDDEN` unless the role of the user includes `permission`. */
export function requirePermission(principal: UserPrincipal, permission: Permission): void {
  if (hasPermission(principal.role, permission)) return;
  throw new CodedError('FORBIDDEN', `The role ${principal.role} does not include ${permission}.`);
}

/**
 * What a token may be used for; a token for one purpose is worth nothing for another.
 * The audience (`aud`) of each is the service that accepts it.
 */
export const TOKEN_AUDIENCES = {
  'sfu:publish': 'proofcast-sfu',
  'sfu:view': 'proofcast-sfu',
  'relay:ingest': 'proofcast-relay',
} as const;

export type TokenPurpose = keyof typeof TOKEN_AUDIENCES;

export const TOKEN_ISSUER = 'proofcast-relay';
/** RFC 8037: EdDSA with Ed25519. The only algorithm that is signed or accepted. */
export const TOKEN_ALGORITHM = 'EdDSA';

const RegisteredClaims = {
  iss: Type.Literal(TOKEN_ISSUER),
  iat: Type.Integer(),
  exp: Type.Integer(),
  jti: Type.String({ minLength: 8, maxLength: 64 }),
  company: CompanyId,
};

/** Claims (RFC 7519) of the tokens that the relay signs. */
export const TokenClaims = Type.Union([
  Type.Object({
    ...RegisteredClaims,
    purpose: Type.Literal('sfu:publish'),
    aud: Type.Literal('proofcast-sfu'),
    sub: DeviceId,
    stream: StreamId,
  }),
  Type.Object({
    ...RegisteredClaims,
    purpose: Type.Literal('relay:ingest'),
    aud: Type.Literal('proofcast-relay'),
    sub: DeviceId,
    stream: StreamId,
  }),
  Type.Object({
    ...RegisteredClaims,
    purpose: Type.Literal('sfu:view'),
    aud: Type.Literal('proofcast-sfu'),
    sub: UserId,
    role: Role,
  }),
]);
export type TokenClaims = Static<typeof TokenClaims>;

/** Types the payload of a token whose signature was verified; throws `TOKEN_INVALID` when its claims are not ours. */
export function parseTokenClaims(payload: unknown): TokenClaims {
  return parseWith(TokenClaims, payload, 'the claims of the token', 'TOKEN_INVALID');
}
