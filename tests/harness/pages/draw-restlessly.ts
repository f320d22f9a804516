/** Sizes in pixels; an area has one patch for so many of its own. */
const PATCH = { width: 24, height: 12, pixelsForOne: 2_304 } as const;

export interface Area {
  readonly left: number;
  readonly top: number;
  readonly width: number;
  readonly height: number;
}

/** Fills an area with patches, other ones each time: no picture of it helps with the next one. */
export function drawRestlessly(context: CanvasRenderingContext2D, { left, top, width, height }: Area): void {
  for (let patch = 0; patch < (width * height) / PATCH.pixelsForOne; patch += 1) {
    context.fillStyle = `hsl(${Math.random() * 360} 80% 50%)`;
    const x = left + Math.random() * (width - PATCH.width);
    const y = top + Math.random() * (height - PATCH.height);
    context.fillRect(x, y, PATCH.width, PATCH.height);
  }
}
