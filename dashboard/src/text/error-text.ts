/** Coded errors in words that tell the reader what to do. Codes without an entry speak with their own message. */
import { CodedError, toCodedError, type ErrorCode } from '@proofcast/shared';
import { formatExact } from './time-text.ts';

const TEXTS: Partial<Record<ErrorCode, string>> = {
  CREDENTIALS_WRONG: 'The e-mail address or the password is not right.',
  UNAUTHENTICATED: 'Your session has ended. Sign in again.',
  FORBIDDEN: 'Your role does not include this.',
  UNAVAILABLE: 'The server cannot be reached. We keep trying.',
  TIMEOUT: 'The server did not answer in time. Try again.',
  SHUTTING_DOWN: 'The server is restarting. We keep trying.',
  EMAIL_TAKEN: 'A user with this e-mail address exists already.',
  RECORDING_NOT_FOUND: 'This recording does not exist, or belongs to another company.',
  RECORDING_NOT_READY:
    'This cannot be done while the recording is being made or its device is expected back.',
  RECORDING_DELETED: 'This recording was deleted.',
  SNAPSHOT_GONE: 'The recording went on meanwhile. Load it again.',
  STREAM_OFFLINE: 'Nobody shares this screen at the moment.',
  STREAM_NOT_FOUND: 'This screen does not exist, or belongs to another company.',
  INTERNAL: 'Something failed on our side. Try again; the server has logged why.',
};

/** One sentence or two for a person. */
export function errorText(error: unknown): string {
  const coded = toCodedError(error);
  if (coded.code === 'TOO_MANY_REQUESTS') return tooManyRequestsText(coded);
  if (coded.code === 'RETENTION_KEEPS') return retentionKeepsText(coded);
  return TEXTS[coded.code] ?? coded.message;
}

function retentionKeepsText(error: CodedError): string {
  const keepUntilMs = error.details?.['keepUntilMs'];
  if (typeof keepUntilMs !== 'number') return error.message;
  return `The retention policy of your company keeps it until ${formatExact(keepUntilMs)}. Before that nobody can delete it.`;
}

function tooManyRequestsText(error: CodedError): string {
  const seconds = error.details?.['retryAfterS'];
  if (typeof seconds !== 'number') return 'Too many attempts. Wait a minute and try again.';
  return seconds < 90
    ? `Too many attempts. Try again in ${seconds} seconds.`
    : `Too many attempts. Try again in ${Math.ceil(seconds / 60)} minutes.`;
}
