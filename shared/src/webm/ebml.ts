// EBML's data types (RFC 8794): variable-size integers, element headers and values, read from bytes that are
// all there. The scanner, which gets its bytes in pieces, collects what one of these needs and then calls it.

import { CodedError, type ErrorDetails } from '../errors.ts';
import { formatId } from './elements.ts';

/** The longest element header that Matroska allows: a 4-byte id and an 8-byte size (RFC 9559, section 5.1.1). */
export const MAX_ELEMENT_HEADER_BYTES = 12;

/** The longest integer or float value (RFC 8794, section 7). */
export const MAX_NUMBER_BYTES = 8;

/** Far above any document type or codec name. */
const MAX_STRING_BYTES = 256;

export interface ElementHeader {
  id: number;
  /** Bytes of the element's data; null when the size is unknown (RFC 8794, section 6.2). */
  size: number | null;
  /** Bytes of id and size together. */
  length: number;
}

export interface Element {
  id: number;
  data: Uint8Array;
}

export function invalid(message: string, details: ErrorDetails): CodedError {
  return new CodedError('WEBM_INVALID', message, { details });
}

export function unsupported(message: string, details: ErrorDetails): CodedError {
  return new CodedError('WEBM_UNSUPPORTED', message, { details });
}

/** Length in bytes of the variable-size integer that begins with this byte, 1 to 8; 9 for a zero byte, which begins none. */
export function vintLength(firstByte: number): number {
  return Math.clz32(firstByte) - 23;
}

/**
 * Length of the element header of which `bytes[0, length)` is known, as far as these tell: the answer grows
 * until it is covered. `offset` is only for the error.
 */
export function elementHeaderLength(bytes: Uint8Array, length: number, offset: number): number {
  if (length === 0) return 1;
  const idLength = vintLength(byteAt(bytes, 0));
  if (idLength > 4) {
    throw invalid(
      `No element begins at byte ${offset}: an id cannot start with ${formatId(byteAt(bytes, 0))}.`,
      {
        offset,
      },
    );
  }
  if (length <= idLength) return idLength + 1;
  const sizeLength = vintLength(byteAt(bytes, idLength));
  if (sizeLength > 8) {
    throw invalid(`The element at byte ${offset} has no valid size: it starts with a zero byte.`, { offset });
  }
  return idLength + sizeLength;
}

/** Reads the element header at the start of `bytes`, which must hold all of it. `offset` is only for the error. */
export function readElementHeader(bytes: Uint8Array, offset: number): ElementHeader {
  const idLength = vintLength(byteAt(bytes, 0));
  let id = 0;
  for (let i = 0; i < idLength; i++) id = id * 256 + byteAt(bytes, i);
  if (!isShortestId(id, idLength)) {
    throw invalid(`The id ${formatId(id)} at byte ${offset} is reserved or not in its shortest form.`, {
      offset,
    });
  }
  const sizeLength = vintLength(byteAt(bytes, idLength));
  const size = readVint(bytes, idLength, sizeLength);
  if (size !== null && size > Number.MAX_SAFE_INTEGER) {
    throw invalid(`The element ${formatId(id)} at byte ${offset} claims more than 2^53 bytes.`, {
      offset,
      id,
    });
  }
  return { id, size, length: idLength + sizeLength };
}

/** The value of a variable-size integer; null when all its data bits are ones, which stands for "unknown". */
export function readVint(bytes: Uint8Array, start: number, length: number): number | null {
  const mask = 0xff >> length;
  let value = byteAt(bytes, start) & mask;
  let isAllOnes = value === mask;
  for (let i = start + 1; i < start + length; i++) {
    const byte = byteAt(bytes, i);
    value = value * 256 + byte;
    isAllOnes &&= byte === 0xff;
  }
  return isAllOnes ? null : value;
}

/** An unsigned integer element's value (RFC 8794, section 7.2): zero bytes mean 0. */
export function readUnsigned(data: Uint8Array, name: string): number {
  if (data.length > MAX_NUMBER_BYTES) throw numberTooLong(name, data.length);
  let value = 0;
  for (const byte of data) value = value * 256 + byte;
  if (value > Number.MAX_SAFE_INTEGER) throw invalid(`${name} is above 2^53.`, { name });
  return value;
}

/** A float element's value (RFC 8794, section 7.3). */
export function readFloat(data: Uint8Array, name: string): number {
  const view = new DataView(data.buffer, data.byteOffset, data.byteLength);
  if (data.length === 0) return 0;
  if (data.length === 4) return view.getFloat32(0);
  if (data.length === 8) return view.getFloat64(0);
  throw numberTooLong(name, data.length);
}

/** A string element's value (RFC 8794, section 7.4): ASCII, cut at the first zero byte. */
export function readString(data: Uint8Array, name: string): string {
  const zero = data.indexOf(0);
  const length = zero === -1 ? data.length : zero;
  if (length > MAX_STRING_BYTES) throw invalid(`${name} cannot be ${length} bytes long.`, { name, length });
  return String.fromCharCode(...data.subarray(0, length));
}

/** The elements in `bytes`, which must be the whole data of their parent. `offset` is where that data stands in the stream. */
export function* readElements(bytes: Uint8Array, offset: number): Generator<Element> {
  let position = 0;
  while (position < bytes.length) {
    const rest = bytes.subarray(position, position + MAX_ELEMENT_HEADER_BYTES);
    const at = offset + position;
    if (elementHeaderLength(rest, rest.length, at) > rest.length) {
      throw invalid(`The element at byte ${at} is cut off.`, { offset: at });
    }
    const { id, size, length } = readElementHeader(rest, at);
    const start = position + length;
    if (size === null || start + size > bytes.length) {
      throw invalid(`The element ${formatId(id)} at byte ${at} does not end inside its parent.`, {
        offset: at,
        id,
      });
    }
    yield { id, data: bytes.subarray(start, start + size) };
    position = start + size;
  }
}

/** RFC 8794, section 5: an id's data bits are neither all zeros nor all ones, and do not fit in fewer bytes. */
function isShortestId(id: number, length: number): boolean {
  const data = id & (2 ** (7 * length) - 1);
  const largestOfShorter = 2 ** (7 * (length - 1)) - 2;
  const isAllOnes = data === 2 ** (7 * length) - 1;
  return data !== 0 && !isAllOnes && data > largestOfShorter;
}

function numberTooLong(name: string, length: number): CodedError {
  return invalid(`${name} cannot be ${length} bytes long.`, { name, length });
}

function byteAt(bytes: Uint8Array, index: number): number {
  return bytes[index] ?? 0;
}
