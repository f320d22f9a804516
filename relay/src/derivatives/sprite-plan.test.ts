import { describe, expect, test } from 'vitest';
import { recordingPaths } from '../recording/paths.ts';
import type { DerivativeSource } from './derivative-source.ts';
import { MAX_TILES, planGrid, planTileTimes } from './sprite-plan.ts';

const sourceOf = (fields: Pick<DerivativeSource, 'durationMs' | 'parts'> & Partial<DerivativeSource>) => ({
  recordingId: 'rec_x',
  companyId: 'cmp_x',
  startedAtMs: 0,
  sizeBytes: 1,
  chunkCount: 1,
  gaps: [],
  paths: recordingPaths({ companyId: 'cmp_x', deviceId: 'dev_x', recordingId: 'rec_x', startedAtUs: 0 }),
  ...fields,
});
const onePart = (durationMs: number) => [{ path: 'x.webm', offsetMs: 0, durationMs }];

describe('the pictures of a sprite', () => {
  test.each([0, 1, 500, 2_000, 11_000, 600_000, 8 * 3_600_000, 30 * 24 * 3_600_000])(
    '[D5] are some, but never too many, in a recording of %i ms',
    (durationMs) => {
      const [times = []] = planTileTimes(sourceOf({ durationMs, parts: onePart(durationMs) }));
      expect(times.length).toBeGreaterThan(0);
      expect(times.length).toBeLessThanOrEqual(MAX_TILES);
      expect(times[0]).toBe(0);
      expect(times.at(-1)).toBeLessThanOrEqual(durationMs);
    },
  );

  test('[D5] lie evenly, outside of gaps, each in the part that its time belongs to', () => {
    const [first = [], second = []] = planTileTimes(
      sourceOf({
        durationMs: 100_000,
        parts: [
          { path: 'a.webm', offsetMs: 0, durationMs: 30_000 },
          { path: 'b.webm', offsetMs: 60_000, durationMs: 40_000 },
        ],
        gaps: [
          { fromMs: 9_000, toMs: 15_000, reason: 'paused' },
          { fromMs: 30_000, toMs: 60_000, reason: 'paused' },
        ],
      }),
    );
    const times = [...first, ...second.map((timeMs) => timeMs + 60_000)];
    expect(times.every((timeMs) => timeMs % 2_000 === 0)).toBe(true);
    expect(first).not.toContain(10_000);
    expect(first).not.toContain(14_000);
    expect(first).toContain(16_000);
    expect(second[0]).toBe(0);
    expect(second.at(-1)).toBe(38_000);
  });

  test('[D5] keep the shape of the screen, within reason', () => {
    expect(planGrid(100, { widthPx: 1280, heightPx: 720 })).toEqual({
      tileWidthPx: 160,
      tileHeightPx: 90,
      columns: 10,
      rows: 10,
    });
    expect(planGrid(3, { widthPx: 1280, heightPx: 1 })).toMatchObject({
      tileHeightPx: 16,
      columns: 3,
      rows: 1,
    });
    expect(planGrid(11, { widthPx: 10, heightPx: 9999 })).toMatchObject({ tileHeightPx: 320, rows: 2 });
    expect(planGrid(1, { widthPx: 1366, heightPx: 768 }).tileHeightPx % 2).toBe(0);
  });
});
