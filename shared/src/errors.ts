/**
 * The registry of failures that one Proofcast process may show to another. Codes are permanent; messages are for
 * people. `docs/errors.md` lists the same codes, and a repository test holds the two together.
 */

export interface ErrorDefinition {
  /** HTTP status of a response that carries this code (RFC 9110). */
  readonly status: number;
  /** Websocket close code (RFC 6455, 7.4.2: 4000–4999 are the application's). */
  readonly closeCode: number;
  /** Whether the same request may succeed later without anybody changing it. */
  readonly retry: boolean;
  /** What is the case, in one sentence, for the documentation. */
  readonly meaning: string;
}

const define = (status: number, closeCode: number, retry: boolean, meaning: string): ErrorDefinition => ({
  status,
  closeCode,
  retry,
  meaning,
});

export const ERRORS = {
  // Who is asking
  UNAUTHENTICATED: define(401, 4401, false, 'No valid session, token or ticket came with the request.'),
  CREDENTIALS_WRONG: define(401, 4401, false, 'The e-mail address or the password is wrong.'),
  TOKEN_INVALID: define(
    401,
    4401,
    false,
    'The token is not signed by this relay, or not meant for this purpose.',
  ),
  TOKEN_EXPIRED: define(401, 4402, true, 'The token was valid but has expired; fetch a new one.'),
  TICKET_INVALID: define(
    401,
    4401,
    false,
    'The one-time ticket is unknown, used or expired; fetch a new one.',
  ),
  ENROLMENT_CODE_INVALID: define(401, 4401, false, 'The enrolment code is unknown, used or expired.'),
  DEVICE_REVOKED: define(403, 4403, false, 'The device was revoked by an admin of its company.'),
  FORBIDDEN: define(403, 4403, false, 'The role of the caller does not include this action.'),
  ORIGIN_REFUSED: define(403, 4403, false, 'A browser sent the request from a page of another origin.'),
  TOO_MANY_REQUESTS: define(429, 4429, true, 'The caller exceeded a rate limit; wait before trying again.'),

  // What is asked for
  NOT_FOUND: define(404, 4404, false, 'Nothing with this name exists in the company of the caller.'),
  STREAM_NOT_FOUND: define(404, 4404, false, 'No stream with this id exists in the company of the caller.'),
  STREAM_OFFLINE: define(409, 4409, true, 'The stream exists, but nobody publishes it at the moment.'),
  STILL_NOT_FOUND: define(404, 4404, true, 'The stream has no still picture yet; one was asked for.'),
  STREAM_TAKEN: define(409, 4409, true, 'Another connection of the same device took over this stream.'),
  RECORDING_NOT_FOUND: define(
    404,
    4404,
    false,
    'No recording with this id exists in the company of the caller.',
  ),
  RECORDING_NOT_READY: define(409, 4409, true, 'The recording cannot be served in its present state.'),
  SNAPSHOT_GONE: define(410, 4410, false, 'The recording went on; what was made of fewer chunks is gone.'),
  RECORDING_SEALED: define(409, 4409, false, 'The recording is sealed and takes no more chunks.'),
  RECORDING_FULL: define(
    409,
    4409,
    false,
    'The recording has as many chunks, epochs or events as one may have; begin another one.',
  ),
  RECORDING_EMPTY: define(409, 4409, false, 'No picture arrived before the recording ended.'),
  RECORDING_DELETED: define(
    410,
    4410,
    false,
    'The recording was deleted; a tombstone says when and by whom.',
  ),
  RETENTION_KEEPS: define(409, 4409, true, 'The policy of the company still keeps the recording.'),
  RANGE_UNSATISFIABLE: define(416, 4416, false, 'The byte range lies outside the recording.'),
  EMAIL_TAKEN: define(409, 4409, false, 'A user with this e-mail address exists already.'),
  RECORDING_DAMAGED: define(500, 4500, false, 'The file of the recording is not what its manifest says.'),
  MANIFEST_INVALID: define(
    422,
    4422,
    false,
    'The manifest is not what was written, or of a version that is not known.',
  ),

  // How it is asked
  MESSAGE_INVALID: define(
    400,
    4400,
    false,
    'The message or request body does not have the documented shape.',
  ),
  MESSAGE_UNEXPECTED: define(409, 4400, false, 'The message is well formed but not allowed in this state.'),
  MESSAGE_TOO_LARGE: define(413, 4413, false, 'The message exceeds the documented size limit.'),
  PROTOCOL_UNSUPPORTED: define(
    400,
    4400,
    false,
    'The peer speaks a version of the protocol that is not supported.',
  ),

  // Chunks
  CHUNK_FRAME_INVALID: define(
    400,
    4400,
    false,
    'The binary frame is not a chunk frame of a known version and kind.',
  ),
  CHUNK_TOO_LARGE: define(413, 4413, false, 'The payload of one chunk exceeds the limit.'),
  CHUNK_HASH_MISMATCH: define(422, 4422, true, 'The SHA-256 of the payload is not the one in the frame.'),
  CHUNK_CHAIN_MISMATCH: define(422, 4422, false, 'The chain value does not follow from the chunk before.'),
  CHUNK_SEQUENCE_GAP: define(409, 4409, true, 'The chunk skips numbers; continue with the number expected.'),
  CHUNK_EPOCH_INVALID: define(409, 4409, false, 'The epoch is neither the current one nor the next.'),
  EVENT_INVALID: define(
    400,
    4400,
    false,
    'The payload of an event chunk is not an event of the documented shape.',
  ),
  WEBM_INVALID: define(422, 4422, false, 'The bytes of the epoch are not a webm stream.'),
  WEBM_UNSUPPORTED: define(422, 4422, false, 'The webm stream uses a feature that is not supported.'),

  // Media
  MEDIA_UNSUPPORTED: define(400, 4400, false, 'The peer asks for a codec or media kind that is not offered.'),
  TRANSPORT_NOT_FOUND: define(404, 4404, false, 'No transport with this id belongs to the connection.'),
  CONSUMER_NOT_FOUND: define(404, 4404, false, 'No consumer with this id belongs to the connection.'),
  WORKER_DIED: define(503, 4503, true, 'The media worker of the stream died; rebuild the transports.'),
  VIEWER_TOO_SLOW: define(408, 4408, true, 'The viewer did not take its data for longer than is allowed.'),
  LIMIT_REACHED: define(429, 4429, true, 'A configured limit of connections, streams or viewers is reached.'),

  // The state of the service
  STORAGE_FULL: define(507, 4507, true, 'The disk of the relay is too full to start a recording.'),
  STORAGE_FAILED: define(500, 4500, true, 'The disk of the relay refused a write or a sync.'),
  SPOOL_FULL: define(507, 4507, true, 'The spool of the desktop app is full; it takes no more chunks.'),
  SPOOL_FAILED: define(500, 4500, true, 'The disk of the desktop app refused a write, a sync or a read.'),
  DERIVATIVE_FAILED: define(500, 4500, true, 'A poster or another derived file could not be made.'),
  DERIVATIVE_NOT_READY: define(409, 4409, true, 'The derived file is still being made.'),
  SHUTTING_DOWN: define(503, 4503, true, 'The service is shutting down; connect again.'),
  UNAVAILABLE: define(503, 4503, true, 'The service is not ready yet.'),
  TIMEOUT: define(504, 4504, true, 'The other side did not answer in time.'),
  INTERNAL: define(500, 4500, true, 'The service failed in a way that its authors did not foresee.'),
} as const satisfies Record<string, ErrorDefinition>;

export type ErrorCode = keyof typeof ERRORS;

/** Numbers and ids that help the other side to act, such as `{ expected: 40 }`. Never tokens, never media. */
export type ErrorDetails = Readonly<Record<string, string | number | boolean | null>>;

/** The form in which an error crosses a border: an HTTP body, or the `error` of a message. */
export interface ErrorBody {
  readonly code: ErrorCode;
  readonly message: string;
  readonly details?: ErrorDetails;
}

/** A failure with a registered code. The only class of error that may be shown to another process. */
export class CodedError extends Error {
  readonly code: ErrorCode;
  readonly details: ErrorDetails | undefined;

  constructor(code: ErrorCode, message: string, options: { cause?: unknown; details?: ErrorDetails } = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.name = 'CodedError';
    this.code = code;
    this.details = options.details;
  }

  get status(): number {
    return ERRORS[this.code].status;
  }

  get closeCode(): number {
    return ERRORS[this.code].closeCode;
  }

  get isRetryable(): boolean {
    return ERRORS[this.code].retry;
  }

  toBody(): ErrorBody {
    const body = { code: this.code, message: this.message };
    return this.details ? { ...body, details: this.details } : body;
  }
}

/** Whether `value` is one of the registered codes; for codes that arrive from elsewhere. */
export function isErrorCode(value: unknown): value is ErrorCode {
  return typeof value === 'string' && Object.hasOwn(ERRORS, value);
}

/** What may be told about `error`: a coded error as it is, anything else only as `INTERNAL`. */
export function toCodedError(error: unknown): CodedError {
  if (error instanceof CodedError) return error;
  return new CodedError('INTERNAL', 'The service failed unexpectedly; the log of the service tells more.', {
    cause: error,
  });
}

/** Restores an error that arrived as an `ErrorBody`; an unknown code becomes `INTERNAL` with its text kept. */
export function fromErrorBody(body: { code: string; message: string; details?: ErrorDetails }): CodedError {
  const options = body.details ? { details: body.details } : {};
  if (isErrorCode(body.code)) return new CodedError(body.code, body.message, options);
  return new CodedError('INTERNAL', `${body.code}: ${body.message}`, options);
}

/**
 * The reason text of a websocket close frame: the code, a colon and as much of the message as fits.
 * RFC 6455, 5.5: a control frame carries at most 125 bytes, two of which are the close code.
 */
export function toCloseReason(error: CodedError): string {
  const limitBytes = 123;
  const encoder = new TextEncoder();
  let reason = `${error.code}: ${error.message}`;
  while (encoder.encode(reason).length > limitBytes) reason = reason.slice(0, -1);
  return reason;
}
