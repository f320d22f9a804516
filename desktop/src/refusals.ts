/** What the refusals of the relay mean for the share that they stop from being recorded; for both processes. */
import type { ErrorCode } from '@proofcast/shared';

/** They are about the device or this app, and another recording would be refused in the same way. */
const ABOUT_DEVICE: readonly ErrorCode[] = [
  'UNAUTHENTICATED',
  'TOKEN_INVALID',
  'TOKEN_EXPIRED',
  'DEVICE_REVOKED',
  'FORBIDDEN',
  'PROTOCOL_UNSUPPORTED',
];

/** Whether a share that was refused with `code` may be recorded in another recording. */
export function isRecordingReplaceable(code: ErrorCode): boolean {
  return !ABOUT_DEVICE.includes(code);
}
