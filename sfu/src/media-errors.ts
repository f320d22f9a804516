import { CodedError } from '@proofcast/shared';
import { errors } from 'mediasoup';

/**
 * Runs one operation of mediasoup; when its worker is gone, throws `WORKER_DIED`. Any other error is thrown as it is:
 * whoever knows what was asked for knows what it means, or it is a defect. `doing` completes the sentence "Cannot …".
 */
export async function askMediasoup<T>(doing: string, operation: () => Promise<T>): Promise<T> {
  try {
    return await operation();
  } catch (cause) {
    if (!(cause instanceof errors.WorkerClosedError)) throw cause;
    throw new CodedError('WORKER_DIED', `Cannot ${doing}: the media worker of the stream is gone.`, {
      cause,
    });
  }
}

/** What mediasoup says against parameters of a client, as it may be told to that client. */
export function toRefusal(cause: unknown, doing: string): CodedError {
  const code = cause instanceof errors.UnsupportedError ? 'MEDIA_UNSUPPORTED' : 'MESSAGE_INVALID';
  return new CodedError(code, `Cannot ${doing}: ${(cause as Error).message}.`, { cause });
}
