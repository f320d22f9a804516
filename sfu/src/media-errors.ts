import { CodedError } from '@proofcast/shared';
import { errors } from 'mediasoup';

/**
 * Runs one operation of mediasoup and translates what it throws into what may be told to a client. `doing` completes
 * the sentence "Cannot …". What is not foreseen here is thrown as it is, so that it is logged as a defect.
 */
export async function translateMediaErrors<T>(doing: string, operation: () => Promise<T>): Promise<T> {
  try {
    return await operation();
  } catch (error) {
    throw translate(error, doing);
  }
}

function translate(cause: unknown, doing: string): unknown {
  if (cause instanceof errors.WorkerClosedError) {
    return new CodedError('WORKER_DIED', `Cannot ${doing}: the media worker of the stream is gone.`, { cause });
  }
  if (cause instanceof errors.UnsupportedError) {
    return new CodedError('MEDIA_UNSUPPORTED', `Cannot ${doing}: ${cause.message}.`, { cause });
  }
  if (cause instanceof errors.NotFoundError) {
    return new CodedError('TRANSPORT_NOT_FOUND', `Cannot ${doing}: the stream on this connection is over.`, {
      cause,
    });
  }
  // mediasoup's word for parameters that do not fit together.
  if (cause instanceof TypeError) {
    return new CodedError('MESSAGE_INVALID', `Cannot ${doing}: ${cause.message}.`, { cause });
  }
  return cause;
}
