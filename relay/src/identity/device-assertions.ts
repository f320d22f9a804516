import { CodedError, DeviceId, parseWith, TOKEN_ALGORITHM, TOKEN_AUDIENCES } from '@proofcast/shared';
import { decodeJwt, importJWK, jwtVerify, type JWTPayload } from 'jose';
import { Type, type Static } from 'typebox';
import type { Clock } from '../clock.ts';
import type { Database } from '../database/database.ts';
import type { DeviceRow } from '../database/schema.ts';
import type { Devices } from './devices.ts';
import { tokenError } from './tokens.ts';

export interface AssertionLimits {
  readonly maxAssertionLifetimeMs: number;
  /** How far the clocks of a device and of the relay may lie apart. */
  readonly maxAssertionClockSkewMs: number;
}

/** Claims (RFC 7523, 3) by which a device says who it is. */
const AssertionClaims = Type.Object({
  iss: DeviceId,
  sub: DeviceId,
  aud: Type.Literal(TOKEN_AUDIENCES['relay:ingest']),
  exp: Type.Integer({ minimum: 0 }),
  jti: Type.String({ minLength: 8, maxLength: 64 }),
});
type AssertionClaims = Static<typeof AssertionClaims>;

/** Recognises a device by a JWT that it signed itself. Each is good for one use. */
export class DeviceAssertions {
  readonly #database: Database;
  readonly #devices: Devices;
  readonly #clock: Clock;
  readonly #limits: AssertionLimits;

  constructor(options: { database: Database; devices: Devices; clock: Clock; limits: AssertionLimits }) {
    this.#database = options.database;
    this.#devices = options.devices;
    this.#clock = options.clock;
    this.#limits = options.limits;
  }

  /**
   * The device that signed `assertion`. Throws `TOKEN_INVALID`, `TOKEN_EXPIRED` or `DEVICE_REVOKED`; the first two tell
   * the relay's clock in `details.relayTimeMs`, because a device whose clock is wrong cannot help itself otherwise.
   */
  async verify(assertion: string): Promise<DeviceRow> {
    try {
      // Unverified: it only says whose key is to be tried.
      const claimed = parseWith(AssertionClaims, decodeJwt(assertion), 'the assertion', 'TOKEN_INVALID');
      const device = await this.#devices.requireActive(claimed.iss);
      const claims = await this.#verifySignature(assertion, device);
      this.#checkTimes(claims);
      await this.#useUp(claims);
      return device;
    } catch (error) {
      throw this.#withRelayTime(tokenError(error, 'the assertion'));
    }
  }

  async #verifySignature(assertion: string, device: DeviceRow): Promise<AssertionClaims> {
    const jwk = { kty: 'OKP', crv: 'Ed25519', x: device.public_key };
    const { payload }: { payload: JWTPayload } = await jwtVerify(
      assertion,
      await importJWK(jwk, TOKEN_ALGORITHM),
      {
        algorithms: [TOKEN_ALGORITHM],
        issuer: device.device_id,
        subject: device.device_id,
        audience: TOKEN_AUDIENCES['relay:ingest'],
        currentDate: new Date(this.#clock.nowMs()),
        clockTolerance: this.#limits.maxAssertionClockSkewMs / 1000,
      },
    );
    return parseWith(AssertionClaims, payload, 'the claims of the assertion', 'TOKEN_INVALID');
  }

  #checkTimes({ exp }: AssertionClaims): void {
    const remainingMs = exp * 1000 - this.#clock.nowMs();
    const { maxAssertionLifetimeMs, maxAssertionClockSkewMs } = this.#limits;
    if (remainingMs <= maxAssertionLifetimeMs + maxAssertionClockSkewMs) return;
    throw new CodedError(
      'TOKEN_INVALID',
      `Cannot accept the assertion: it would be valid for ${remainingMs} ms, the limit is ${maxAssertionLifetimeMs} ms.`,
    );
  }

  /** Remembered on disk, so that a restart of the relay does not make an assertion good again. */
  async #useUp({ iss, jti, exp }: AssertionClaims): Promise<void> {
    const forgetAtMs = exp * 1000 + this.#limits.maxAssertionClockSkewMs;
    await this.#database
      .deleteFrom('used_assertions')
      .where('forget_at_ms', '<', this.#clock.nowMs())
      .execute();
    const inserted = await this.#database
      .insertInto('used_assertions')
      .values({ device_id: iss, jti, forget_at_ms: forgetAtMs })
      .onConflict((conflict) => conflict.columns(['device_id', 'jti']).doNothing())
      .returning('jti')
      .executeTakeFirst();
    if (!inserted) throw new CodedError('TOKEN_INVALID', 'Cannot accept the assertion: it was used before.');
  }

  #withRelayTime(error: unknown): unknown {
    if (!(error instanceof CodedError)) return error;
    if (error.code !== 'TOKEN_INVALID' && error.code !== 'TOKEN_EXPIRED') return error;
    const details = { relayTimeMs: this.#clock.nowMs() };
    return new CodedError(error.code, error.message, { cause: error, details });
  }
}
