import { describe, expect, it } from 'vitest';
import { layOutWall, type WallSpace } from './wall-grid.ts';

const space = (widthPx: number, heightPx: number): WallSpace => ({
  widthPx,
  heightPx,
  gapPx: 12,
  captionPx: 56,
});
const DESK = space(1320, 800);
const PHONE = space(336, 0);

/** How high all rows of one page are. */
const wallHeight = (count: number, columns: number, tileWidthPx: number) => {
  const rows = Math.ceil(count / columns);
  return rows * ((tileWidthPx * 9) / 16 + 56) + (rows - 1) * 12;
};

describe('auto', () => {
  it.each([1, 2, 3, 4, 5, 7, 9, 12, 16])(
    'shows all of %i tiles at once on a desk, as large as they can be',
    (count) => {
      const { columns, tileWidthPx, perPage } = layOutWall(count, 'auto', DESK);
      expect(perPage).toBe(count);
      expect(wallHeight(count, columns, tileWidthPx)).toBeLessThanOrEqual(DESK.heightPx);
      expect(columns * tileWidthPx + (columns - 1) * 12).toBeLessThanOrEqual(DESK.widthPx);
      for (let other = 1; other <= count; other += 1) {
        const wider = tileWidthPx + 2;
        const fitsInWidth = other * wider + (other - 1) * 12 <= DESK.widthPx;
        expect(fitsInWidth && wallHeight(count, other, wider) <= DESK.heightPx).toBe(false);
      }
    },
  );

  it('puts the rest on further pages when there are many', () => {
    expect(layOutWall(50, 'auto', DESK).perPage).toBe(16);
  });

  it('scrolls in one column on a phone', () => {
    expect(layOutWall(5, 'auto', PHONE)).toEqual({ columns: 1, perPage: 5, tileWidthPx: 336 });
  });

  it('lays out an empty wall', () => {
    expect(layOutWall(0, 'auto', DESK).perPage).toBe(1);
  });
});

describe('a chosen size', () => {
  it.each([25, 49] as const)(
    'of %i keeps its columns and scrolls, where its tiles would be too small',
    (size) => {
      const { columns, tileWidthPx, perPage } = layOutWall(size, size, DESK);
      expect([columns, perPage]).toEqual([Math.sqrt(size), size]);
      expect(columns * tileWidthPx + (columns - 1) * 12).toBeLessThanOrEqual(DESK.widthPx);
      expect(tileWidthPx).toBeGreaterThan(150);
    },
  );

  it.each([1, 4, 9, 16] as const)('of %i is a square that fits a desk', (size) => {
    const { columns, tileWidthPx, perPage } = layOutWall(3, size, DESK);
    expect(perPage).toBe(size);
    expect(columns).toBe(Math.sqrt(size));
    expect(wallHeight(size, columns, tileWidthPx)).toBeLessThanOrEqual(DESK.heightPx);
  });

  it('has fewer columns where a screen could not be recognised', () => {
    expect(layOutWall(16, 16, PHONE)).toMatchObject({ columns: 2, perPage: 16 });
  });
});
