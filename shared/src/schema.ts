/**
 * Parsing at the edge: what comes in is `unknown`, is checked once against its schema, and is typed afterwards.
 * Schemas are interpreted, not compiled, because a strict Content-Security-Policy forbids generated code.
 */
import type { Static, TSchema } from 'typebox';
import { Value } from 'typebox/value';
import { CodedError, type ErrorCode } from './errors.ts';

/**
 * Returns `value` typed as `schema` describes it.
 * Throws a coded error (`MESSAGE_INVALID` unless told otherwise) that names the first offending place.
 */
export function parseWith<S extends TSchema>(
  schema: S,
  value: unknown,
  what: string,
  code: ErrorCode = 'MESSAGE_INVALID',
): Static<S> {
  if (Value.Check(schema, value)) return value;
  const first = Value.Errors(schema, value)[0];
  const place = first?.instancePath ? first.instancePath : 'its top level';
  throw new CodedError(code, `Cannot accept ${what}: ${place} ${first?.message ?? 'does not match'}.`);
}

/** Parses JSON text; throws `MESSAGE_INVALID` when it is not JSON. */
export function parseJson(text: string, what: string, code: ErrorCode = 'MESSAGE_INVALID'): unknown {
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw new CodedError(code, `Cannot accept ${what}: it is not JSON.`, { cause });
  }
}
