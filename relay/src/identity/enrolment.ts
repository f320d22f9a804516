import {
  CodedError,
  createId,
  randomLetters,
  TOKEN_ALGORITHM,
  type Ed25519PublicJwk,
  type Id,
  type MachineInfo,
} from '@proofcast/shared';
import { importJWK } from 'jose';
import type { Clock } from '../clock.ts';
import type { Database } from '../database/database.ts';
import { hashSecret } from './secrets.ts';

export interface EnrolmentRequest {
  readonly code: string;
  readonly publicKey: Ed25519PublicJwk;
  readonly machine: MachineInfo;
}

export interface EnrolledDevice {
  readonly deviceId: Id;
  readonly deviceName: string;
  readonly companyId: Id;
}

/** Twelve letters of 32: sixty random bits for a quarter of an hour, behind a rate limit. */
const CODE_GROUPS = 3;
const CODE_GROUP_LENGTH = 4;

/** How a device gets its identity: an admin hands out a one-time code, the device trades it in with its public key. */
export class Enrolment {
  readonly #database: Database;
  readonly #clock: Clock;
  readonly #codeLifetimeMs: number;

  constructor(options: { database: Database; clock: Clock; codeLifetimeMs: number }) {
    this.#database = options.database;
    this.#clock = options.clock;
    this.#codeLifetimeMs = options.codeLifetimeMs;
  }

  /** Makes a code for a device that will carry this name. Codes that have expired are forgotten on the way. */
  async createCode(companyId: Id, deviceName: string): Promise<{ code: string; expiresAtMs: number }> {
    const nowMs = this.#clock.nowMs();
    const code = randomLetters(CODE_GROUPS * CODE_GROUP_LENGTH);
    const expiresAtMs = nowMs + this.#codeLifetimeMs;
    await this.#database.deleteFrom('enrolment_codes').where('expires_at_ms', '<=', nowMs).execute();
    await this.#database
      .insertInto('enrolment_codes')
      .values({
        code_hash: hashSecret(code),
        company_id: companyId,
        device_name: deviceName,
        created_at_ms: nowMs,
        expires_at_ms: expiresAtMs,
        used_at_ms: null,
      })
      .execute();
    return { code: inGroups(code), expiresAtMs };
  }

  /** Throws `ENROLMENT_CODE_INVALID`, or `MESSAGE_INVALID` when the key is none; the code is not used up then. */
  async enrol({ code, publicKey, machine }: EnrolmentRequest): Promise<EnrolledDevice> {
    await requireUsableKey(publicKey);
    const nowMs = this.#clock.nowMs();
    const deviceId = createId('device');
    return this.#database.transaction().execute(async (transaction) => {
      const used = await transaction
        .updateTable('enrolment_codes')
        .set({ used_at_ms: nowMs })
        .where('code_hash', '=', hashSecret(canonicalCode(code)))
        .where('used_at_ms', 'is', null)
        .where('expires_at_ms', '>', nowMs)
        .returning(['company_id', 'device_name'])
        .executeTakeFirst();
      if (!used) {
        throw new CodedError(
          'ENROLMENT_CODE_INVALID',
          'Cannot enrol the device: the code is unknown, used or expired; ask an admin for a new one.',
        );
      }
      await transaction
        .insertInto('devices')
        .values({
          device_id: deviceId,
          company_id: used.company_id,
          name: used.device_name,
          public_key: publicKey.x,
          platform: machine.platform,
          machine: JSON.stringify(machine),
          enrolled_at_ms: nowMs,
          revoked_at_ms: null,
        })
        .execute();
      return { deviceId, deviceName: used.device_name, companyId: used.company_id };
    });
  }
}

function inGroups(code: string): string {
  const groups = Array.from({ length: CODE_GROUPS }, (_, index) =>
    code.slice(index * CODE_GROUP_LENGTH, (index + 1) * CODE_GROUP_LENGTH),
  );
  return groups.join('-').toUpperCase();
}

/**
 * A code as it was made, from a code as somebody typed it: case and dashes do not matter, and the letters that the
 * alphabet leaves out are read as the digits that they look like (https://www.crockford.com/base32.html).
 */
function canonicalCode(typed: string): string {
  return typed.toLowerCase().replaceAll(/[\s-]/g, '').replaceAll('o', '0').replaceAll(/[il]/g, '1');
}

async function requireUsableKey(publicKey: Ed25519PublicJwk): Promise<void> {
  try {
    await importJWK(publicKey, TOKEN_ALGORITHM);
  } catch (cause) {
    throw new CodedError(
      'MESSAGE_INVALID',
      'Cannot enrol the device: its public key is not an Ed25519 key.',
      {
        cause,
      },
    );
  }
}
