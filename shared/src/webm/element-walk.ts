// Walks the elements of an EBML stream that arrives in pieces (RFC 8794). Knows headers and extents, not meanings:
// the visitor decides for each element whether to enter it, read the start of its data, or pass over it.

import { elementHeaderLength, MAX_ELEMENT_HEADER_BYTES, readElementHeader } from './ebml.ts';

/** Offsets are positions in the stream. `end` is null when the size is unknown (RFC 8794, section 6.2). */
export interface OpenElement {
  id: number;
  start: number;
  dataStart: number;
  end: number | null;
}

export interface ElementVisitor {
  /** Answers 'enter' to get its children next, 'pass' to skip it, or how many bytes of its data are wanted first. */
  begin(element: OpenElement): 'enter' | 'pass' | number;
  /** Gets the bytes wanted, valid during the call. Answers how many it needs altogether: no more, or called again. */
  read(element: OpenElement, data: Uint8Array): number;
  /** The last byte of an element that was not entered has arrived. */
  end(element: OpenElement): void;
}

/** Wanted data up to this size is collected in one buffer that is used again and again. */
const SMALL_DATA_BYTES = 16;

/**
 * - `header`: collecting an element's id and size
 * - `data`: collecting the start of an element's data
 * - `pass`: counting down the rest of it
 */
type Phase = 'header' | 'data' | 'pass';

/** Holds at most one element header and the data that the visitor wants; payloads are only counted. */
export class ElementWalk {
  readonly #visitor: ElementVisitor;
  readonly #headerBuffer = new Uint8Array(MAX_ELEMENT_HEADER_BYTES);
  readonly #smallBuffer = new Uint8Array(SMALL_DATA_BYTES);
  #offset = 0;
  #phase: Phase = 'header';
  #buffer = this.#headerBuffer;
  #buffered = 0;
  #needed = 1;
  #element: OpenElement = { id: 0, start: 0, dataStart: 0, end: 0 };

  constructor(visitor: ElementVisitor) {
    this.#visitor = visitor;
  }

  /** Bytes walked so far. */
  get offset(): number {
    return this.#offset;
  }

  /** Walks the next bytes of the stream. Throws WEBM_INVALID where no element header can be. */
  push(bytes: Uint8Array): void {
    let position = 0;
    while (position < bytes.length) {
      const rest = bytes.length - position;
      if (this.#phase === 'pass') {
        const count = Math.min(this.#left, rest);
        position += count;
        this.#offset += count;
        if (this.#left === 0) this.#end();
      } else {
        const count = Math.min(this.#needed - this.#buffered, rest);
        for (let i = 0; i < count; i++) this.#buffer[this.#buffered + i] = bytes[position + i] ?? 0;
        position += count;
        this.#offset += count;
        this.#buffered += count;
        if (this.#buffered === this.#needed) this.#useBuffer();
      }
    }
  }

  /** Bytes of the element that are still to come. */
  get #left(): number {
    return (this.#element.end ?? this.#offset) - this.#offset;
  }

  #useBuffer(): void {
    if (this.#phase === 'data') return this.#readData();
    const start = this.#offset - this.#buffered;
    this.#needed = elementHeaderLength(this.#buffer, this.#buffered, start);
    if (this.#needed > this.#buffered) return;
    const { id, size } = readElementHeader(this.#buffer, start);
    const end = size === null ? null : this.#offset + size;
    this.#element = { id, start, dataStart: this.#offset, end };
    const wanted = this.#visitor.begin(this.#element);
    if (wanted === 'enter') this.#expectHeader();
    else if (wanted === 'pass') this.#passRest();
    else this.#expectData(wanted);
  }

  #expectHeader(): void {
    this.#phase = 'header';
    this.#buffer = this.#headerBuffer;
    this.#buffered = 0;
    this.#needed = 1;
  }

  #expectData(wanted: number): void {
    this.#phase = 'data';
    this.#buffer = wanted <= SMALL_DATA_BYTES ? this.#smallBuffer : new Uint8Array(wanted);
    this.#buffered = 0;
    this.#needed = wanted;
    if (wanted === 0) this.#readData();
  }

  #readData(): void {
    this.#needed = this.#visitor.read(this.#element, this.#buffer.subarray(0, this.#buffered));
    if (this.#needed <= this.#buffered) this.#passRest();
  }

  #passRest(): void {
    this.#phase = 'pass';
    if (this.#left === 0) this.#end();
  }

  #end(): void {
    this.#visitor.end(this.#element);
    this.#expectHeader();
  }
}
