import { CodedError } from '@proofcast/shared';
import { errors } from 'mediasoup';

/**
 * Runs one operation of mediasoup and translates what it throws into what may be told to a client. `doing` completes
 * the sentence "Cannot …". What is not foreseen here is thrown as it is, so that it is logged as a defect.
 */
export async function askMediasoup<T>(doing: string, operation: () => Promise<T>): Promise<T> {
  try {
    return await operation();
  } catch (error) {
    throw translateLoss(error, doing) ?? error;
  }
}

/** As `askMediasoup`, for an operation on parameters of a client: any refusal then says what is wrong with them. */
export async function offerToMediasoup<T>(doing: string, operation: () => Promise<T>): Promise<T> {
  try {
    return await operation();
  } catch (error) {
    throw translateLoss(error, doing) ?? translateRefusal(error, doing);
  }
}

/** What was asked about is gone. */
function translateLoss(cause: unknown, doing: string): CodedError | undefined {
  if (cause instanceof errors.WorkerClosedError) {
    return new CodedError('WORKER_DIED', `Cannot ${doing}: the media worker of the stream is gone.`, {
      cause,
    });
  }
  if (cause instanceof errors.NotFoundError) {
    return new CodedError('TRANSPORT_NOT_FOUND', `Cannot ${doing}: the stream on this connection is over.`, {
      cause,
    });
  }
  return undefined;
}

function translateRefusal(cause: unknown, doing: string): CodedError {
  const code = cause instanceof errors.UnsupportedError ? 'MEDIA_UNSUPPORTED' : 'MESSAGE_INVALID';
  return new CodedError(code, `Cannot ${doing}: ${(cause as Error).message}.`, { cause });
}
