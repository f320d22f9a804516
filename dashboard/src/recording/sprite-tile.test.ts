import { expect, it } from 'vitest';
import { findTile } from './sprite-tile.ts';

const tiles = { tileWidthPx: 160, tileHeightPx: 90, columns: 2, timesMs: [40, 1_000, 5_000] };

it('the picture of a time is the last that is not later', () => {
  expect(findTile(tiles, 39)).toBeNull();
  expect(findTile(tiles, 40)).toEqual({ leftPx: 0, topPx: 0 });
  expect(findTile(tiles, 4_999)).toEqual({ leftPx: 160, topPx: 0 });
  expect(findTile(tiles, 900_000)).toEqual({ leftPx: 0, topPx: 90 });
});
