/**
 * Identifiers: a prefix that says what is named, and 20 letters of a 32-letter alphabet (100 random bits).
 * They are safe as file names and in URLs, which is why paths are built from ids and from nothing else.
 */
import { Type, type Static } from 'typebox';

export const ID_PREFIXES = {
  company: 'cmp',
  user: 'usr',
  device: 'dev',
  stream: 'str',
  recording: 'rec',
} as const;

export type IdKind = keyof typeof ID_PREFIXES;

const ALPHABET = '0123456789abcdefghjkmnpqrstvwxyz';
const RANDOM_LENGTH = 20;

const idSchema = (kind: IdKind) =>
  Type.String({
    pattern: `^${ID_PREFIXES[kind]}_[${ALPHABET}]{${RANDOM_LENGTH}}$`,
    description: `Id of a ${kind}`,
  });

export const CompanyId = idSchema('company');
export const UserId = idSchema('user');
export const DeviceId = idSchema('device');
export const StreamId = idSchema('stream');
export const RecordingId = idSchema('recording');
export type Id = Static<typeof CompanyId>;

export type FillRandom = (bytes: Uint8Array<ArrayBuffer>) => Uint8Array<ArrayBuffer>;

const secureRandom: FillRandom = (bytes) => globalThis.crypto.getRandomValues(bytes);

/** Makes a new id. `fillRandom` is replaced only by tests that must hold the randomness. */
export function createId(kind: IdKind, fillRandom: FillRandom = secureRandom): Id {
  return `${ID_PREFIXES[kind]}_${randomLetters(RANDOM_LENGTH, fillRandom)}`;
}

/** `length` letters of the id alphabet, five random bits each; also used for codes that people type. */
export function randomLetters(length: number, fillRandom: FillRandom = secureRandom): string {
  const bytes = fillRandom(new Uint8Array(length));
  // 256 is a multiple of 32, so taking five bits of each byte is uniform.
  return Array.from(bytes, (byte) => ALPHABET[byte & 31]).join('');
}
