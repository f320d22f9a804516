import { describe, expect, it } from 'vitest';
import { decodeStamp, encodeStamp, STAMP_COLUMNS, STAMP_SAMPLE } from './stamp.ts';

function paint(cells: readonly boolean[]): Uint8Array {
  const grey = new Uint8Array(STAMP_SAMPLE.widthPx * STAMP_SAMPLE.heightPx);
  for (let y = 0; y < STAMP_SAMPLE.heightPx; y++) {
    for (let x = 0; x < STAMP_SAMPLE.widthPx; x++) {
      const cell = Math.floor(y / 10) * STAMP_COLUMNS + Math.floor(x / 10);
      grey[y * STAMP_SAMPLE.widthPx + x] = cells[cell] ? 230 : 25;
    }
  }
  return grey;
}

describe('stamps', () => {
  it.each([0, 1, 1_790_000_000_123, 2 ** 44 - 1])('of %d are read back', (timeMs) => {
    expect(decodeStamp(paint(encodeStamp(timeMs)))).toBe(timeMs);
  });

  it('with one wrong cell are no stamps', () => {
    const cells = encodeStamp(1_790_000_000_123);
    for (let index = 0; index < cells.length; index++) {
      const damaged = cells.with(index, !cells[index]);
      expect(decodeStamp(paint(damaged)), `cell ${index}`).toBeNull();
    }
  });

  it('are not seen in pictures of one colour', () => {
    expect(decodeStamp(new Uint8Array(6400))).toBeNull();
    expect(decodeStamp(new Uint8Array(6400).fill(255))).toBeNull();
  });
});
