/**
 * Answers with bytes that can be read at any place, whole or in one range, with validators (RFC 9110, 13 and 14).
 * Browsers keep what they got, but ask each time if they may.
 */
import { Readable } from 'node:stream';
import { CodedError } from '@proofcast/shared';
import type { FastifyReply, FastifyRequest } from 'fastify';
import parseRange from 'range-parser';
import type { ServedBytes } from '../recording/file-bytes.ts';

/** Takes over `bytes` and closes them, whatever happens. Throws `RANGE_UNSATISFIABLE`. */
export function sendBytes(
  { request, reply }: { request: FastifyRequest; reply: FastifyReply },
  bytes: ServedBytes,
  contentType: string,
): FastifyReply {
  const { sizeBytes, etag } = bytes;
  void reply
    .header('accept-ranges', 'bytes')
    .header('etag', etag)
    .header('cache-control', 'private, no-cache');
  if (matchesAny(request.headers['if-none-match'], etag)) {
    bytes.close();
    return reply.code(304).send();
  }
  const range = rangeOf(request, bytes);
  if (range === 'unsatisfiable') {
    bytes.close();
    void reply.header('content-range', `bytes */${sizeBytes}`);
    throw new CodedError('RANGE_UNSATISFIABLE', `The recording has ${sizeBytes} bytes.`, {
      details: { sizeBytes },
    });
  }
  const { start, end } = range ?? { start: 0, end: sizeBytes };
  if (range !== null) {
    void reply.code(206).header('content-range', `bytes ${start}-${end - 1}/${sizeBytes}`);
  }
  void reply.header('content-type', contentType).header('content-length', end - start);
  return reply.send(bodyOf(bytes, request.method === 'HEAD' ? null : { start, end }));
}

/** Null: all of it. Of several ranges none is taken, which RFC 9110, 14.2 leaves to us. */
function rangeOf(
  { method, headers }: FastifyRequest,
  { sizeBytes, etag }: ServedBytes,
): { start: number; end: number } | 'unsatisfiable' | null {
  const { range: header } = headers;
  if (method !== 'GET' || header === undefined) return null;
  // RFC 9110, 13.1.5: only a strong validator that is the same; a date cannot be, because there is none.
  const ifRange = headers['if-range'];
  if (ifRange !== undefined && ifRange !== etag) return null;
  const ranges = parseRange(sizeBytes, header);
  if (ranges === -1) return 'unsatisfiable';
  if (ranges === -2 || ranges.type !== 'bytes') return null;
  const [range, ...others] = ranges;
  return range === undefined || others.length > 0 ? null : { start: range.start, end: range.end + 1 };
}

/** RFC 9110, 13.1.2: the comparison is weak. */
function matchesAny(header: string | undefined, etag: string): boolean {
  if (header === undefined) return false;
  const candidates = header.split(',').map((candidate) => candidate.trim().replace(/^W\//, ''));
  return candidates.includes('*') || candidates.includes(etag);
}

function bodyOf(bytes: ServedBytes, range: { start: number; end: number } | null): Readable {
  const source = range === null ? [] : bytes.read(range.start, range.end);
  const body = Readable.from(source, { objectMode: false });
  // Also when nothing of it was ever read.
  body.once('close', () => bytes.close());
  return body;
}
