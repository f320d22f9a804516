/**
 * The tables of the relay as Kysely sees them. Times are integers: `_ms` milliseconds, `_us` microseconds since 1970.
 * Secrets (session cookies, enrolment codes) are stored as hashes only.
 */
import type { DerivativeKind, DerivativeState, ErrorCode, Id, RecordingState, Role } from '@proofcast/shared';
import type { Generated, Selectable } from 'kysely';
import type { EndReason } from '../journal/journal-start.ts';

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
  /** 1 when the publisher, or the revocation of its device, ended it for good. */
  is_complete: Generated<number>;
  end_reason: EndReason | null;
  gap_count: number | null;
  /** Relative to `<dataDir>/recordings`. */
  manifest_path: string | null;
}

/** The files of a merged recording, in the order of their parts. */
export interface RecordingPartTable {
  recording_id: Id;
  part: number;
  /** Relative to `<dataDir>/recordings`. */
  media_path: string;
  media_bytes: number;
  /** Hexadecimal. */
  sha256: string;
  etag: string;
  started_at_ms: number;
  duration_ms: number;
}

/** What only the page of one recording needs of it. */
export interface RecordingDetailTable {
  recording_id: Id;
  /** JSON of `Gap[]`. */
  gaps: string;
  /** JSON of `TimedEvent[]`; of very many, the first. */
  events: string;
  event_count: number;
}

/** What ffmpeg makes of a merged recording. */
export interface DerivativeTable {
  recording_id: Id;
  kind: DerivativeKind;
  company_id: Id;
  state: DerivativeState;
  /** Those that failed or were interrupted since somebody asked for it. */
  attempts: Generated<number>;
  queued_at_ms: number;
  next_attempt_at_ms: number;
  /** Why the last attempt failed, also while the next one waits. */
  failure_code: ErrorCode | null;
  failure_message: string | null;
  /** The `chunk_count` of the recording of which the file is made. */
  source_chunks: number;
  /** Relative to `<dataDir>/recordings`. */
  path: string | null;
  size_bytes: number | null;
  /** JSON of `SpriteTiles`, of sprites. */
  details: string | null;
}

export interface RetentionPolicyTable {
  company_id: Id;
  /** Null: never. */
  delete_after_days: number | null;
  keep_at_least_days: number;
  /** The user who did. */
  set_by: Id;
  set_at_ms: number;
}

/** What is kept of a recording that was deleted. Written before the first of its files goes. */
export interface TombstoneTable {
  recording_id: Id;
  company_id: Id;
  stream_id: Id;
  device_id: Id;
  started_at_ms: number;
  ended_at_ms: number | null;
  duration_ms: number | null;
  /** The policy that held. */
  delete_after_days: number | null;
  keep_at_least_days: number;
  /** The user who did; null when the sweep did. */
  deleted_by: Id | null;
  deleted_at_ms: number;
  size_bytes: number;
  /** JSON: kind, name, size and SHA-256 of each file of evidence. */
  files: string;
  /** Null while files are still to be removed. */
  finished_at_ms: number | null;
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
  derivatives: DerivativeTable;
  retention_policies: RetentionPolicyTable;
  tombstones: TombstoneTable;
  recording_parts: RecordingPartTable;
  recording_details: RecordingDetailTable;
}

export type UserRow = Selectable<UserTable>;
export type DeviceRow = Selectable<DeviceTable>;
export type StreamRow = Selectable<StreamTable>;
export type RecordingRow = Selectable<RecordingTable>;
export type RecordingPartRow = Selectable<RecordingPartTable>;
export type DerivativeRow = Selectable<DerivativeTable>;
