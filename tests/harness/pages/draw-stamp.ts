// Runs in a page.
import { encodeStamp, STAMP_COLUMNS, STAMP_HEIGHT_FRACTION } from '../stamp.ts';

/** Burns `timeMs` into the top of the canvas, over its whole width. */
export function drawStamp(context: CanvasRenderingContext2D, timeMs: number): void {
  const { width, height } = context.canvas;
  const stampHeight = Math.round(height * STAMP_HEIGHT_FRACTION);
  const cellWidth = width / STAMP_COLUMNS;
  encodeStamp(timeMs).forEach((isWhite, index) => {
    const column = index % STAMP_COLUMNS;
    const row = Math.floor(index / STAMP_COLUMNS);
    context.fillStyle = isWhite ? '#fff' : '#000';
    context.fillRect(column * cellWidth, (row * stampHeight) / 2, cellWidth + 1, stampHeight / 2);
  });
}
