/** Every failure leaves the relay as `{ code, message }` of a registered code, whoever threw it. */
import { CodedError, toCodedError, type ErrorCode } from '@proofcast/shared';
import type { FastifyError, FastifyReply, FastifyRequest } from 'fastify';

declare module 'fastify' {
  interface FastifyReply {
    /** What the request was refused with; null when it was not. */
    refusalCode: ErrorCode | null;
  }
}

export function answerError(error: unknown, request: FastifyRequest, reply: FastifyReply): FastifyReply {
  const coded = translate(error);
  reply.refusalCode = coded.code;
  if (coded.code === 'INTERNAL') request.log.error({ err: error }, 'request failed unforeseen');
  else if (coded.status >= 500) request.log.warn({ err: error, code: coded.code }, 'request failed');
  const retryAfterMs = coded.details?.['retryAfterMs'];
  // RFC 9110, 10.2.3: whole seconds.
  if (typeof retryAfterMs === 'number') void reply.header('retry-after', Math.ceil(retryAfterMs / 1000));
  const contentRange = contentRangeOf(error);
  if (contentRange) void reply.header('content-range', contentRange);
  return (
    reply
      .code(coded.status)
      .header('cache-control', 'no-store')
      // A handler that failed while sending a file has named the type of the file.
      .type('application/json; charset=utf-8')
      .send(coded.toBody())
  );
}

export function answerNotFound(request: FastifyRequest, reply: FastifyReply): FastifyReply {
  const message = `Nothing is here: ${request.method} ${pathOf(request)}.`;
  return answerError(new CodedError('NOT_FOUND', message), request, reply);
}

/** The path without its query, which may hold a ticket. */
export function pathOf(request: FastifyRequest): string {
  return request.url.split('?', 1)[0] ?? '';
}

/** The length that a range has missed, as the sender of files reports it (RFC 9110, 15.5.17). */
function contentRangeOf(error: unknown): string | undefined {
  return error instanceof Error && 'headers' in error
    ? (error.headers as Record<string, string>)['Content-Range']
    : undefined;
}

function translate(error: unknown): CodedError {
  const code = codeByFastify(error);
  if (code) return new CodedError(code, (error as Error).message, { cause: error });
  return toCodedError(error);
}

/** The code for what Fastify and its plugins refuse before a handler is reached; undefined when it is not theirs. */
function codeByFastify(error: unknown): ErrorCode | undefined {
  if (error instanceof CodedError || !(error instanceof Error)) return undefined;
  const { statusCode = 500 } = error as Partial<FastifyError>;
  if (statusCode >= 500) return undefined;
  switch (statusCode) {
    case 403:
    case 404:
      return 'NOT_FOUND';
    case 413:
      return 'MESSAGE_TOO_LARGE';
    case 416:
      return 'RANGE_UNSATISFIABLE';
    default:
      return 'MESSAGE_INVALID';
  }
}
