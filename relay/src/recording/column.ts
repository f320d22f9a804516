/** One column of a table of numbers in memory: a typed array that grows by little, because there may be many of them. */

type NumberArray = Float64Array | Uint32Array | Int16Array | Uint8Array;

const FIRST_CAPACITY = 32;
/** Small enough to waste little, large enough that copying stays cheap: eight copies a value over the whole life. */
const GROWTH = 1.125;

export class Column {
  readonly #make: (capacity: number) => NumberArray;
  #values: NumberArray;

  constructor(make: (capacity: number) => NumberArray) {
    this.#make = make;
    this.#values = make(FIRST_CAPACITY);
  }

  get byteLength(): number {
    return this.#values.byteLength;
  }

  /** Zero where nothing was ever set. */
  get(row: number): number {
    return this.#values[row] ?? 0;
  }

  set(row: number, value: number): void {
    if (row >= this.#values.length) {
      const grown = this.#make(Math.ceil(Math.max(row + 1, this.#values.length * GROWTH)));
      grown.set(this.#values);
      this.#values = grown;
    }
    this.#values[row] = value;
  }
}

/** For offsets and times, which exceed 32 bits: whole numbers up to 2^53. */
export const float64 = (): Column => new Column((capacity) => new Float64Array(capacity));
export const uint32 = (): Column => new Column((capacity) => new Uint32Array(capacity));
export const int16 = (): Column => new Column((capacity) => new Int16Array(capacity));
export const uint8 = (): Column => new Column((capacity) => new Uint8Array(capacity));
