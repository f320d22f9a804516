import { CodedError, createId, type Device, type DevicePrincipal, type Id } from '@proofcast/shared';
import type { Clock } from '../clock.ts';
import type { Database } from '../database/database.ts';
import type { DeviceRow } from '../database/schema.ts';

/** Enrolled desktop apps and the streams that they may publish. */
export class Devices {
  readonly #database: Database;
  readonly #clock: Clock;

  constructor({ database, clock }: { database: Database; clock: Clock }) {
    this.#database = database;
    this.#clock = clock;
  }

  /** Devices of the company, revoked ones included, newest first. */
  async list(companyId: Id): Promise<Device[]> {
    const rows = await this.#database
      .selectFrom('devices')
      .selectAll()
      .where('company_id', '=', companyId)
      .orderBy('enrolled_at_ms', 'desc')
      .orderBy('device_id')
      .execute();
    return rows.map(toDevice);
  }

  /**
   * Takes the identity of the device away for good; doing it twice keeps the first time.
   * Throws `NOT_FOUND` when the company has no such device.
   */
  async revoke(companyId: Id, deviceId: Id): Promise<Device> {
    const row = await this.#database
      .updateTable('devices')
      .set((sets) => ({
        revoked_at_ms: sets.fn.coalesce(sets.ref('revoked_at_ms'), sets.val(this.#clock.nowMs())),
      }))
      .where('company_id', '=', companyId)
      .where('device_id', '=', deviceId)
      .returningAll()
      .executeTakeFirst();
    if (!row) throw new CodedError('NOT_FOUND', `Cannot revoke device ${deviceId}: there is none.`);
    return toDevice(row);
  }

  /** The device, if its identity is good: throws `TOKEN_INVALID` when it never was, `DEVICE_REVOKED` when no more. */
  async requireActive(deviceId: Id): Promise<DeviceRow> {
    const row = await this.#database
      .selectFrom('devices')
      .selectAll()
      .where('device_id', '=', deviceId)
      .executeTakeFirst();
    if (!row) throw new CodedError('TOKEN_INVALID', `No device with the id ${deviceId} is enrolled here.`);
    if (row.revoked_at_ms !== null) {
      throw new CodedError('DEVICE_REVOKED', `Device ${deviceId} was revoked; enrol it again to go on.`);
    }
    return row;
  }

  /** Checks that what a token once said about a device still holds. Throws as `requireActive` does. */
  async requireStream({ deviceId, companyId, streamId }: DevicePrincipal): Promise<void> {
    await this.requireActive(deviceId);
    const row = await this.#database
      .selectFrom('streams')
      .select('stream_id')
      .where('stream_id', '=', streamId)
      .where('device_id', '=', deviceId)
      .where('company_id', '=', companyId)
      .executeTakeFirst();
    if (!row) throw new CodedError('TOKEN_INVALID', `Stream ${streamId} does not belong to ${deviceId}.`);
  }

  /** The stream of one slot of the device, made when it is asked for the first time. */
  async openStream(device: DeviceRow, slot: number): Promise<{ stream: DevicePrincipal; isNew: boolean }> {
    const { device_id: deviceId, company_id: companyId } = device;
    const inserted = await this.#database
      .insertInto('streams')
      .values({
        stream_id: createId('stream'),
        company_id: companyId,
        device_id: deviceId,
        slot,
        last_live_at_ms: null,
        created_at_ms: this.#clock.nowMs(),
      })
      .onConflict((conflict) => conflict.columns(['device_id', 'slot']).doNothing())
      .returning('stream_id')
      .executeTakeFirst();
    const { stream_id: streamId } =
      inserted ??
      (await this.#database
        .selectFrom('streams')
        .select('stream_id')
        .where('device_id', '=', deviceId)
        .where('slot', '=', slot)
        .executeTakeFirstOrThrow());
    return { stream: { kind: 'device', deviceId, companyId, streamId }, isNew: inserted !== undefined };
  }
}

function toDevice(row: DeviceRow): Device {
  return {
    deviceId: row.device_id,
    name: row.name,
    platform: row.platform,
    enrolledAtMs: row.enrolled_at_ms,
    revokedAtMs: row.revoked_at_ms,
  };
}
