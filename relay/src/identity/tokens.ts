import { randomUUID } from 'node:crypto';
import {
  CodedError,
  parseTokenClaims,
  TOKEN_ALGORITHM,
  TOKEN_AUDIENCES,
  TOKEN_ISSUER,
  type DevicePrincipal,
  type TokenPurpose,
  type UserPrincipal,
} from '@proofcast/shared';
import { errors, jwtVerify, SignJWT, type JWTPayload } from 'jose';
import type { Clock } from '../clock.ts';
import type { SigningKey } from './signing-key.ts';

export interface SignedToken {
  readonly token: string;
  readonly expiresAtMs: number;
}

/** The short-lived tokens (RFC 7519) that this relay signs; each is bound to one purpose and one company. */
export class Tokens {
  readonly #key: SigningKey;
  readonly #clock: Clock;
  readonly #lifetimeMs: number;

  constructor({ key, clock, lifetimeMs }: { key: SigningKey; clock: Clock; lifetimeMs: number }) {
    this.#key = key;
    this.#clock = clock;
    this.#lifetimeMs = lifetimeMs;
  }

  /** The public keys that verify the tokens (RFC 7517). */
  get jwks(): { keys: unknown[] } {
    return { keys: [this.#key.publicJwk] };
  }

  /** Lets a device publish its stream: on the SFU, or to the ingest of this relay. */
  signForDevice(purpose: 'sfu:publish' | 'relay:ingest', device: DevicePrincipal): Promise<SignedToken> {
    return this.#sign(purpose, {
      sub: device.deviceId,
      company: device.companyId,
      stream: device.streamId,
    });
  }

  /** Lets a user watch the streams of its company on the SFU. */
  signForViewer(user: UserPrincipal): Promise<SignedToken> {
    return this.#sign('sfu:view', { sub: user.userId, company: user.companyId, role: user.role });
  }

  /**
   * The device that an ingest token speaks for, as it was when the token was signed: whether the device has been revoked
   * since is for the caller to ask. Throws `TOKEN_EXPIRED` or `TOKEN_INVALID`.
   */
  async verifyIngest(token: string): Promise<DevicePrincipal> {
    const claims = parseTokenClaims(await this.#verify(token, TOKEN_AUDIENCES['relay:ingest']));
    if (claims.purpose !== 'relay:ingest') {
      throw new CodedError('TOKEN_INVALID', `Cannot use the token here: its purpose is ${claims.purpose}.`);
    }
    return { kind: 'device', deviceId: claims.sub, companyId: claims.company, streamId: claims.stream };
  }

  async #sign(purpose: TokenPurpose, claims: JWTPayload & { sub: string }): Promise<SignedToken> {
    // NumericDate counts whole seconds (RFC 7519, 2).
    const issuedAtS = Math.floor(this.#clock.nowMs() / 1000);
    const expiresAtS = issuedAtS + Math.floor(this.#lifetimeMs / 1000);
    const token = await new SignJWT({ ...claims, purpose })
      .setProtectedHeader({ alg: TOKEN_ALGORITHM, typ: 'JWT', kid: this.#key.keyId })
      .setIssuer(TOKEN_ISSUER)
      .setAudience(TOKEN_AUDIENCES[purpose])
      .setJti(randomUUID())
      .setIssuedAt(issuedAtS)
      .setExpirationTime(expiresAtS)
      .sign(this.#key.privateKey);
    return { token, expiresAtMs: expiresAtS * 1000 };
  }

  async #verify(token: string, audience: string): Promise<JWTPayload> {
    try {
      const { payload } = await jwtVerify(token, this.#key.publicKey, {
        algorithms: [TOKEN_ALGORITHM],
        issuer: TOKEN_ISSUER,
        audience,
        currentDate: new Date(this.#clock.nowMs()),
      });
      return payload;
    } catch (cause) {
      throw tokenError(cause, 'the token');
    }
  }
}

/** Translates what jose throws about a token that came from outside; anything else is a defect and stays as it is. */
export function tokenError(error: unknown, what: string): unknown {
  if (error instanceof errors.JWTExpired) {
    return new CodedError('TOKEN_EXPIRED', `Cannot accept ${what}: it has expired; use a new one.`, {
      cause: error,
    });
  }
  if (error instanceof errors.JOSEError) {
    return new CodedError('TOKEN_INVALID', `Cannot accept ${what}: ${error.message}.`, { cause: error });
  }
  return error;
}
