/**
 * A time stamp that is burnt into a picture: 64 black or white cells in two rows of 32 across the top ninth of the
 * screen. 8 bits say that this is a stamp, 44 carry milliseconds since 1970, 12 a checksum. What is read back from a
 * captured, encoded and decoded picture tells when exactly that picture was drawn.
 *
 * The functions that run inside a page are handed over as source text, so they refer to nothing outside themselves.
 */

export const STAMP_COLUMNS = 32;
export const STAMP_ROWS = 2;
/** Part of the picture's height that the stamp covers. */
export const STAMP_HEIGHT_FRACTION = 1 / 9;
/** The size to which the stamp is scaled before its cells are read: ten by ten pixels a cell. */
export const STAMP_SAMPLE = { widthPx: 320, heightPx: 20 } as const;

const CELL_PX = 10;
const MARKER = 0b1011_0010;
const MARKER_BITS = 8;
const TIME_BITS = 44;
const CHECKSUM_BITS = 12;

/** The 64 cells of a stamp, true is white. */
export function encodeStamp(timeMs: number): boolean[] {
  return [
    ...toBits(MARKER, MARKER_BITS),
    ...toBits(timeMs, TIME_BITS),
    ...toBits(checksum(timeMs), CHECKSUM_BITS),
  ];
}

/**
 * Reads a stamp from grey values of a picture of `STAMP_SAMPLE` size, one byte a pixel, row after row.
 * Returns milliseconds since 1970, or null when there is no intact stamp.
 */
export function decodeStamp(grey: Uint8Array): number | null {
  const bits: boolean[] = [];
  for (let row = 0; row < STAMP_ROWS; row++) {
    for (let column = 0; column < STAMP_COLUMNS; column++) {
      const x = column * CELL_PX + CELL_PX / 2;
      const y = row * CELL_PX + CELL_PX / 2;
      const value = grey[y * STAMP_SAMPLE.widthPx + x];
      if (value === undefined) return null;
      bits.push(value > 127);
    }
  }
  return decodeCells(bits);
}

/** The same from the 64 cells themselves, true is white. */
export function decodeCells(bits: readonly boolean[]): number | null {
  if (fromBits(bits.slice(0, MARKER_BITS)) !== MARKER) return null;
  const timeMs = fromBits(bits.slice(MARKER_BITS, MARKER_BITS + TIME_BITS));
  return fromBits(bits.slice(MARKER_BITS + TIME_BITS)) === checksum(timeMs) ? timeMs : null;
}

function toBits(value: number, count: number): boolean[] {
  return Array.from({ length: count }, (_, index) => Math.floor(value / 2 ** (count - 1 - index)) % 2 === 1);
}

function fromBits(bits: readonly boolean[]): number {
  return bits.reduce((value, bit) => value * 2 + (bit ? 1 : 0), 0);
}

/** Not all zero for a black picture, not all ones for a white one. */
function checksum(timeMs: number): number {
  return (timeMs % 4093) ^ 0b1010_0110_0101;
}
