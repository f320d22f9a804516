/** How the tiles of the wall are laid out: pure arithmetic. */
import { MAX_TILES_PER_PAGE } from './config.ts';

export const GRID_SIZES = ['auto', 1, 4, 9, 16, 25, 49] as const;
export type GridSize = (typeof GRID_SIZES)[number];

export interface WallGrid {
  readonly columns: number;
  readonly tileWidthPx: number;
  readonly perPage: number;
}

export interface WallSpace {
  readonly widthPx: number;
  readonly heightPx: number;
  readonly gapPx: number;
  /** Height of what stands under the picture of a tile. */
  readonly captionPx: number;
}

const ASPECT = 16 / 9;
/** Tiles that would have to be smaller than this to be in sight all at once scroll instead. */
const MIN_FITTED_TILE_PX = 200;
/** Narrower than this nobody recognises a screen. */
const MIN_TILE_PX = 150;
/** What a tile should have where the page scrolls anyway. */
const SCROLLED_TILE_PX = 280;

/** As large as the tiles can be so that a whole page of them is in sight; on small screens they scroll. */
export function layOutWall(count: number, size: GridSize, space: WallSpace): WallGrid {
  const perPage = size === 'auto' ? Math.min(Math.max(1, count), MAX_TILES_PER_PAGE) : size;
  const columns = size === 'auto' ? autoColumns(perPage, space) : Math.sqrt(size);
  return { perPage, ...fit(Math.min(columns, columnsOf(MIN_TILE_PX, space)), perPage, space) };
}

function autoColumns(shown: number, space: WallSpace): number {
  const candidates = Array.from({ length: shown }, (_, index) => index + 1);
  const best = Math.max(...candidates.map((columns) => fittedWidth(columns, shown, space)));
  if (best < MIN_FITTED_TILE_PX) return Math.min(shown, columnsOf(SCROLLED_TILE_PX, space));
  return candidates.find((columns) => fittedWidth(columns, shown, space) === best) ?? 1;
}

function fit(columns: number, shown: number, space: WallSpace): { columns: number; tileWidthPx: number } {
  const fitted = fittedWidth(columns, shown, space);
  return {
    columns,
    tileWidthPx: Math.floor(fitted >= MIN_FITTED_TILE_PX ? fitted : widthIn(columns, space)),
  };
}

function widthIn(columns: number, { widthPx, gapPx }: WallSpace): number {
  return Math.max(0, (widthPx - gapPx * (columns - 1)) / columns);
}

/** The width of a tile when all rows have to be in sight. */
function fittedWidth(columns: number, shown: number, space: WallSpace): number {
  const rows = Math.ceil(shown / columns);
  const rowPx = (space.heightPx - space.gapPx * (rows - 1)) / rows;
  return Math.min(widthIn(columns, space), (rowPx - space.captionPx) * ASPECT);
}

function columnsOf(tilePx: number, { widthPx, gapPx }: WallSpace): number {
  return Math.max(1, Math.floor((widthPx + gapPx) / (tilePx + gapPx)));
}
