import { randomUUID } from 'node:crypto';
import type { Ed25519PublicJwk, Id, RouteResponse } from '@proofcast/shared';
import { exportJWK, generateKeyPair, SignJWT, type CryptoKey, type JWTPayload } from 'jose';
import type { TestClient } from './test-client.ts';

const MACHINE = { hostName: 'desk-1', platform: 'linux', osVersion: '6.1', userName: 'sam' };

/** An enrolled device with a real key, as the desktop app has one. */
export class TestDevice {
  readonly deviceId: Id;
  readonly #privateKey: CryptoKey;

  private constructor(deviceId: Id, privateKey: CryptoKey) {
    this.deviceId = deviceId;
    this.#privateKey = privateKey;
  }

  /** Enrols through `admin`, who makes the code. */
  static async enrol(admin: TestClient, deviceName = 'Desk 1'): Promise<TestDevice> {
    const { code } = await admin.call('createEnrolmentCode', { body: { deviceName } });
    const { publicKey, privateKey } = await createDeviceKey();
    const body = { code, publicKey, machine: MACHINE };
    const { deviceId } = await admin.call('enrol', { body });
    return new TestDevice(deviceId, privateKey);
  }

  /** An assertion as it should be, but for the claims that are given. */
  async assertion({
    nowMs = Date.now(),
    claims = {},
  }: { nowMs?: number; claims?: JWTPayload } = {}): Promise<string> {
    return new SignJWT({
      iss: this.deviceId,
      sub: this.deviceId,
      aud: 'proofcast-relay',
      jti: randomUUID(),
      exp: Math.floor(nowMs / 1000) + 60,
      ...claims,
    })
      .setProtectedHeader({ alg: 'EdDSA' })
      .sign(this.#privateKey);
  }

  async publishTokens(
    client: TestClient,
    { slot = 0, nowMs = Date.now() } = {},
  ): Promise<RouteResponse<'createPublishTokens'>> {
    return client.call('createPublishTokens', { body: { assertion: await this.assertion({ nowMs }), slot } });
  }
}

export async function createDeviceKey(): Promise<{ publicKey: Ed25519PublicJwk; privateKey: CryptoKey }> {
  const { publicKey, privateKey } = await generateKeyPair('EdDSA', { crv: 'Ed25519', extractable: true });
  const { x } = await exportJWK(publicKey);
  return { publicKey: { kty: 'OKP', crv: 'Ed25519', x: x ?? '' }, privateKey };
}

export function enrolmentBody(code: string, publicKey: Ed25519PublicJwk) {
  return { code, publicKey, machine: MACHINE };
}
