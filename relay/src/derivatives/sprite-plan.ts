/** Of which moments a sprite has pictures, and how they lie. Pure. */
import type { DerivativeSource } from './derivative-source.ts';

/** However long the recording is. */
export const MAX_TILES = 100;
/** Key pictures do not come closer to each other. */
const MIN_STEP_MS = 2_000;
const TILE_WIDTH_PX = 160;
const MIN_TILE_HEIGHT_PX = 16;
const MAX_TILE_HEIGHT_PX = 320;
const MAX_COLUMNS = 10;

export interface TileGrid {
  readonly tileWidthPx: number;
  readonly tileHeightPx: number;
  readonly columns: number;
  readonly rows: number;
}

/** For each part the times in its file that are wanted, ascending: evenly over the recording, none within a gap. */
export function planTileTimes({ durationMs, parts, gaps }: DerivativeSource): number[][] {
  const count = Math.min(MAX_TILES, Math.max(1, Math.ceil(durationMs / MIN_STEP_MS)));
  const times = Array.from({ length: count }, (_, index) => (index * durationMs) / count);
  const wanted = times.filter(
    (timeMs, index) => index === 0 || !gaps.some(({ fromMs, toMs }) => timeMs > fromMs && timeMs < toMs),
  );
  return parts.map(({ offsetMs, durationMs: partMs }) =>
    wanted
      .filter((timeMs) => timeMs >= offsetMs && timeMs <= offsetMs + partMs)
      .map((timeMs) => timeMs - offsetMs),
  );
}

/** The shape of the picture is kept as far as a strip of tiles can bear it. */
export function planGrid(tileCount: number, picture: { widthPx: number; heightPx: number }): TileGrid {
  const idealPx = (TILE_WIDTH_PX * picture.heightPx) / Math.max(1, picture.widthPx);
  const evenPx = Math.round(idealPx / 2) * 2;
  const columns = Math.min(MAX_COLUMNS, tileCount);
  return {
    tileWidthPx: TILE_WIDTH_PX,
    tileHeightPx: Math.min(MAX_TILE_HEIGHT_PX, Math.max(MIN_TILE_HEIGHT_PX, evenPx)),
    columns,
    rows: Math.ceil(tileCount / columns),
  };
}
