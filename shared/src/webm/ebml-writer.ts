// EBML's data types as bytes (RFC 8794): the counterpart of ebml.ts. Each function returns new bytes, or, for what is
// written many times, fills in bytes that are there.

/** Size and integer fields that have to hold any value have this length. */
export const WIDE_BYTES = 8;

/** 2001-01-01T00:00:00 UTC, microseconds since 1970: where EBML dates count from (RFC 8794, section 7.6). */
const DATE_EPOCH_US = 978_307_200_000_000;

/** An element with its size in as few bytes as it takes, and `data` behind one another. */
export function encodeElement(id: number, ...data: readonly Uint8Array[]): Uint8Array<ArrayBuffer> {
  const size = data.reduce((sum, part) => sum + part.length, 0);
  return concatBytes([encodeElementHeader(id, size), ...data]);
}

/** An element's id and size, this in `sizeLength` bytes: for data that is written apart. */
export function encodeElementHeader(
  id: number,
  size: number,
  sizeLength: number = sizeBytes(size),
): Uint8Array {
  const idLength = unsignedBytes(id);
  const header = new Uint8Array(idLength + sizeLength);
  writeUnsigned(header, { at: 0, length: idLength, value: id });
  writeSize(header, { at: idLength, length: sizeLength, value: size });
  return header;
}

/** An unsigned integer element in as few bytes as it takes, or in `length`. */
export function encodeUnsigned(id: number, value: number, length: number = unsignedBytes(value)): Uint8Array {
  const data = new Uint8Array(length);
  writeUnsigned(data, { at: 0, length, value });
  return encodeElement(id, data);
}

export function encodeFloat64(id: number, value: number): Uint8Array {
  const data = new Uint8Array(8);
  new DataView(data.buffer).setFloat64(0, value);
  return encodeElement(id, data);
}

/** A string element; `value` is ASCII. */
export function encodeString(id: number, value: string): Uint8Array {
  return encodeElement(
    id,
    Uint8Array.from(value, (character) => character.charCodeAt(0)),
  );
}

/** A date element; `timeUs` are microseconds since 1970. */
export function encodeDate(id: number, timeUs: number): Uint8Array {
  const data = new Uint8Array(8);
  new DataView(data.buffer).setBigInt64(0, BigInt(Math.round(timeUs - DATE_EPOCH_US)) * 1000n);
  return encodeElement(id, data);
}

/** How many bytes hold this whole number. */
export function unsignedBytes(value: number): number {
  let length = 1;
  for (let rest = Math.floor(value / 256); rest > 0; rest = Math.floor(rest / 256)) length++;
  return length;
}

export function writeUnsigned(
  target: Uint8Array,
  { at, length, value }: { at: number; length: number; value: number },
): void {
  let rest = value;
  for (let i = length - 1; i >= 0; i--) {
    target[at + i] = rest % 256;
    rest = Math.floor(rest / 256);
  }
}

/** Writes a size as a variable-size integer of `length` bytes (RFC 8794, section 4). */
export function writeSize(
  target: Uint8Array,
  { at, length, value }: { at: number; length: number; value: number },
): void {
  if (length < sizeBytes(value)) throw new Error(`The size ${value} does not fit into ${length} bytes.`);
  writeUnsigned(target, { at, length, value });
  target[at] = (target[at] ?? 0) | (0x80 >> (length - 1));
}

export function concatBytes(parts: readonly Uint8Array[]): Uint8Array<ArrayBuffer> {
  const whole = new Uint8Array(parts.reduce((length, part) => length + part.length, 0));
  let position = 0;
  for (const part of parts) {
    whole.set(part, position);
    position += part.length;
  }
  return whole;
}

/** The value whose bits are all ones stands for "unknown", and is not used. */
function sizeBytes(size: number): number {
  let length = 1;
  while (length < WIDE_BYTES && size >= 2 ** (7 * length) - 1) length++;
  return length;
}
