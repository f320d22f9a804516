import { describe, expect, test } from 'vitest';
import { recordingPaths } from '../recording/paths.ts';
import { formatMetadata, planChapters } from './chapters.ts';
import type { DerivativeSource, SourceGap } from './derivative-source.ts';

const STARTED_AT_MS = Date.UTC(2026, 10, 22, 10, 0, 0);

const sourceWith = (gaps: readonly SourceGap[], durationMs = 60_000): DerivativeSource => ({
  recordingId: 'rec_x',
  companyId: 'cmp_x',
  startedAtMs: STARTED_AT_MS,
  durationMs,
  sizeBytes: 1,
  chunkCount: 1,
  parts: [{ path: 'x.webm', offsetMs: 0, durationMs }],
  gaps,
  paths: recordingPaths({ companyId: 'cmp_x', deviceId: 'dev_x', recordingId: 'rec_x', startedAtUs: 0 }),
});
const titles = (source: DerivativeSource) => planChapters(source).map(({ title }) => title);

describe('chapters', () => {
  test('[D6] are none without a gap', () => {
    expect(planChapters(sourceWith([]))).toEqual([]);
  });

  test('[D6] cover the recording from beginning to end, gaps with their reason', () => {
    const chapters = planChapters(
      sourceWith([
        { fromMs: 0, toMs: 5_000, reason: 'capture-stalled' },
        { fromMs: 20_000, toMs: 20_400, reason: 'screen-locked' },
        { fromMs: 50_000, toMs: 60_000, reason: 'publisher-offline' },
      ]),
    );
    expect(chapters.map(({ fromMs, toMs, title }) => `${fromMs}–${toMs} ${title}`)).toEqual([
      '0–5000 Gap of 5 s: capture stalled',
      '5000–20000 2026-11-22 10:00:05 UTC',
      '20000–20400 Gap of 1 s: screen locked',
      '20400–50000 2026-11-22 10:00:20 UTC',
      '50000–60000 Gap of 10 s: publisher offline',
    ]);
  });

  test('[D6] of gaps that overlap do not', () => {
    const chapters = planChapters(
      sourceWith([
        { fromMs: 10_000, toMs: 30_000, reason: 'paused' },
        { fromMs: 20_000, toMs: 25_000, reason: 'unknown' },
        { fromMs: 29_000, toMs: 40_000, reason: 'policy' },
      ]),
    );
    const borders = chapters.flatMap(({ fromMs, toMs }) => [fromMs, toMs]);
    expect(borders).toEqual([0, 10_000, 10_000, 30_000, 30_000, 40_000, 40_000, 60_000]);
  });

  test('[D6] are of the longest gaps when there are very many', () => {
    const gaps = Array.from({ length: 500 }, (_, index) => ({
      fromMs: index * 1_000,
      toMs: index * 1_000 + (index < 100 ? 900 : 10),
      reason: 'paused' as const,
    }));
    const gapTitles = titles(sourceWith(gaps, 600_000)).filter((title) => title.startsWith('Gap'));
    expect(gapTitles.length).toBe(100);
  });

  test('are written as ffmpeg reads them', () => {
    const text = formatMetadata({ title: 'A' }, [{ fromMs: 1, toMs: 2, title: 'B' }]);
    expect(text).toBe(';FFMETADATA1\ntitle=A\n[CHAPTER]\nTIMEBASE=1/1000\nSTART=1\nEND=2\ntitle=B\n');
  });
});
