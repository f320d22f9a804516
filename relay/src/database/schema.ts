/**
 * The tables of the relay as Kysely sees them. Times are integers: `_ms` milliseconds, `_us` microseconds since 1970.
 * Secrets (session cookies, enrolment codes) are stored as hashes only.
 */
import type { ErrorCode, Id, RecordingState, Role } from '@proofcast/shared';
import type { Generated, Selectable } from 'kysely';

export interface CompanyTable {
  company_id: Id;
  name: string;
  created_at_ms: number;
}

export interface UserTable {
  user_id: Id;
  company_id: Id;
  /** Lower case; unique across companies, because it is what a person signs in with. */
  email: string;
  name: string;
  role: Role;
  /** Argon2id in the PHC string format. */
  password_hash: string;
  created_at_ms: number;
}

export interface SessionTable {
  /** SHA-256 of the cookie's value, base64url. */
  session_hash: string;
  user_id: Id;
  created_at_ms: number;
  expires_at_ms: number;
}

export interface DeviceTable {
  device_id: Id;
  company_id: Id;
  name: string;
  /** Ed25519 public key: the `x` of its JWK (RFC 8037). */
  public_key: string;
  platform: string;
  /** JSON of what the machine told about itself when it enrolled. */
  machine: string;
  enrolled_at_ms: number;
  revoked_at_ms: number | null;
}

export interface EnrolmentCodeTable {
  /** SHA-256 of the code in its canonical form, base64url. */
  code_hash: string;
  company_id: Id;
  device_name: string;
  created_at_ms: number;
  expires_at_ms: number;
  used_at_ms: number | null;
}

/** Assertions that devices have used and that have not expired: none is good for a second time. */
export interface UsedAssertionTable {
  device_id: Id;
  jti: string;
  forget_at_ms: number;
}

export interface StreamTable {
  stream_id: Id;
  company_id: Id;
  device_id: Id;
  slot: number;
  source_name: Generated<string>;
  last_live_at_ms: number | null;
  created_at_ms: number;
}

export interface RecordingTable {
  recording_id: Id;
  company_id: Id;
  stream_id: Id;
  device_id: Id;
  state: RecordingState;
  failure_code: ErrorCode | null;
  failure_message: string | null;
  started_at_us: number;
  started_at_ms: number;
  ended_at_ms: number | null;
  duration_ms: number | null;
  chunk_count: number | null;
  journal_bytes: number | null;
  /** Relative to `<dataDir>/recordings`. */
  media_path: string | null;
  media_bytes: number | null;
  thumbnail_path: string | null;
  width_px: number | null;
  height_px: number | null;
  source_name: string;
  mime_type: string | null;
  created_at_ms: number;
  sealed_at_ms: number | null;
}

export interface Schema {
  companies: CompanyTable;
  users: UserTable;
  sessions: SessionTable;
  devices: DeviceTable;
  enrolment_codes: EnrolmentCodeTable;
  used_assertions: UsedAssertionTable;
  streams: StreamTable;
  recordings: RecordingTable;
}

export type UserRow = Selectable<UserTable>;
export type DeviceRow = Selectable<DeviceTable>;
export type StreamRow = Selectable<StreamTable>;
export type RecordingRow = Selectable<RecordingTable>;
