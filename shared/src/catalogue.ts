/**
 * A message catalogue: every message that one side may send in one direction, as a map from its type to the schema of
 * its data. On the wire a message is `{ "type": …, "data": … }` in one text frame.
 */
import type { Static, TSchema } from 'typebox';
import { CodedError } from './errors.ts';
import { parseJson, parseWith } from './schema.ts';

export type Catalogue = Readonly<Record<string, TSchema>>;

export type MessageOf<C extends Catalogue> = {
  [K in keyof C & string]: { readonly type: K; readonly data: Static<C[K]> };
}[keyof C & string];

/** Text of one message, ready to be sent. */
export function encodeMessage<C extends Catalogue>(_catalogue: C, message: MessageOf<C>): string {
  return JSON.stringify({ type: message.type, data: message.data });
}

/** Parses one text frame; throws `MESSAGE_INVALID` for anything that is not a message of `catalogue`. */
export function parseMessage<C extends Catalogue>(catalogue: C, text: string): MessageOf<C> {
  const value = parseJson(text, 'the message');
  if (typeof value !== 'object' || value === null || !('type' in value) || typeof value.type !== 'string') {
    throw new CodedError('MESSAGE_INVALID', 'Cannot accept the message: it has no type.');
  }
  const schema = Object.hasOwn(catalogue, value.type) ? catalogue[value.type] : undefined;
  if (!schema) {
    throw new CodedError(
      'MESSAGE_INVALID',
      `Cannot accept the message: its type ${quote(value.type)} is unknown.`,
    );
  }
  const data = parseWith(schema, 'data' in value ? value.data : undefined, `message ${quote(value.type)}`);
  return { type: value.type, data } as MessageOf<C>;
}

/** Text from outside as it may stand in an error message: short, and free of control characters. */
function quote(text: string): string {
  return JSON.stringify(text.length > 40 ? `${text.slice(0, 40)}…` : text);
}
