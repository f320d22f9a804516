/** Finds a picture in the image of all small pictures of a recording. Pure. */
import type { SpriteTiles } from '@proofcast/shared';

/** Where its left upper corner lies in the image. */
export interface Tile {
  readonly leftPx: number;
  readonly topPx: number;
}

/** The last picture that is not later; null before the first one. */
export function findTile(
  { tileWidthPx, tileHeightPx, columns, timesMs }: SpriteTiles,
  timeMs: number,
): Tile | null {
  const index = timesMs.findLastIndex((tileMs) => tileMs <= timeMs);
  if (index === -1) return null;
  return { leftPx: (index % columns) * tileWidthPx, topPx: Math.floor(index / columns) * tileHeightPx };
}
