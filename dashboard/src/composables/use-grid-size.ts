/** How many tiles the wall shows at a time; remembered by this browser. */
import { ref, watch, type Ref } from 'vue';
import { GRID_SIZES, type GridSize } from '../wall-grid.ts';

const STORAGE_KEY = 'proofcast.grid';
const stored = localStorage.getItem(STORAGE_KEY);
const gridSize = ref<GridSize>(GRID_SIZES.find((size) => String(size) === stored) ?? 'auto');
watch(gridSize, (size) => localStorage.setItem(STORAGE_KEY, String(size)));

export function useGridSize(): Ref<GridSize> {
  return gridSize;
}
