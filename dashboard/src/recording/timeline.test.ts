import type { Gap, RecordingDetails } from '@proofcast/shared';
import { describe, expect, it } from 'vitest';
import { filePlaceAt, gapAt, joinTimeline, missingMs, planTimeline, wallClockAt } from './timeline.ts';

const START_MS = 1_790_000_000_000;

const part = (number: number, offsetMs: number, durationMs: number) => ({
  part: number,
  startedAtMs: START_MS + offsetMs,
  durationMs,
  sizeBytes: 1,
});
const gap = (fromMs: number, toMs: number, reason: Gap['reason'] = 'paused'): Gap => ({
  fromMs: START_MS + fromMs,
  toMs: START_MS + toMs,
  reason,
});
const recording = (fields: Partial<Pick<RecordingDetails, 'state' | 'parts' | 'gaps' | 'durationMs'>>) => ({
  state: 'recording' as const,
  startedAtMs: START_MS,
  durationMs: null,
  parts: [],
  gaps: [],
  ...fields,
});
const plan = (fields: Parameters<typeof recording>[0]) => {
  const timeline = planTimeline(recording(fields));
  if (timeline === null) throw new Error('There is nothing to be played.');
  return timeline;
};

describe('the time line of a recording', () => {
  it('has its parts where the wall clock puts them, and reaches to the end of the last gap', () => {
    const timeline = plan({
      parts: [part(0, 0, 10_000), part(1, 30_000, 5_000)],
      gaps: [gap(9_960, 30_000, 'source-changed'), gap(34_900, 95_000, 'publisher-offline')],
    });
    expect(timeline.segments.map(({ fromMs, toMs }) => [fromMs, toMs])).toEqual([
      [0, 10_000],
      [30_000, 35_000],
    ]);
    expect(timeline.durationMs).toBe(95_000);
    expect(timeline.gaps.map(({ fromMs, toMs }) => [fromMs, toMs])).toEqual([
      [9_960, 30_000],
      [34_900, 95_000],
    ]);
  });

  it('is none before the first picture, and one file for what was sealed before there were parts', () => {
    expect(planTimeline(recording({}))).toBeNull();
    expect(planTimeline(recording({ state: 'failed' }))).toBeNull();
    const old = plan({ state: 'sealed', durationMs: 7_000 });
    expect(old.segments).toEqual([{ part: 0, fromMs: 0, toMs: 7_000, startedAtMs: START_MS }]);
  });

  it('never lets parts overlap, also when the clock of the publisher was set back', () => {
    const timeline = plan({ parts: [part(0, 0, 10_000), part(1, -60_000, 5_000)] });
    expect(timeline.segments[1]).toMatchObject({ fromMs: 10_001, toMs: 15_001 });
    expect(wallClockAt(timeline, 10_001)).toBe(START_MS - 60_000);
  });

  it('begins with the first picture: a gap before it is not on it, or only what is left of it', () => {
    const timeline = plan({
      parts: [part(0, 0, 10_000)],
      gaps: [gap(-9_000, -1_000), gap(-500, 400)],
    });
    expect(timeline.gaps.map(({ fromMs, toMs }) => [fromMs, toMs])).toEqual([[0, 400]]);
  });

  it('is the same for the convenience copy, which is one file', () => {
    const timeline = plan({
      parts: [part(0, 0, 10_000), part(1, 30_000, 5_000)],
      gaps: [gap(9_960, 30_000)],
    });
    const joined = joinTimeline(timeline);
    expect(joined.segments).toEqual([{ part: null, fromMs: 0, toMs: 35_000, startedAtMs: START_MS }]);
    expect(joined.gaps).toBe(timeline.gaps);
    expect(filePlaceAt(joined, 20_000)).toEqual({ index: 0, fileMs: 20_000 });
  });
});

describe('a time on the time line', () => {
  const timeline = plan({
    parts: [part(0, 0, 10_000), part(1, 30_000, 5_000)],
    gaps: [gap(4_000, 6_000), gap(9_960, 30_000, 'source-changed')],
  });

  it.each([
    [-5, 0, 0],
    [0, 0, 0],
    [9_999, 0, 9_999],
    [10_000, 1, 0],
    [20_000, 1, 0],
    [30_000, 1, 0],
    [33_000, 1, 3_000],
    [35_000, 1, 5_000],
    [99_000, 1, 5_000],
  ])(
    '%d ms is found in its file, between two in the next, behind the last at its end',
    (ms, index, fileMs) => {
      expect(filePlaceAt(timeline, ms)).toEqual({ index, fileMs });
    },
  );

  it('lies in a gap from its beginning up to its end', () => {
    expect(gapAt(timeline, 3_999)).toBeNull();
    expect(gapAt(timeline, 4_000)?.gap.reason).toBe('paused');
    expect(gapAt(timeline, 6_000)).toBeNull();
    expect(gapAt(timeline, 29_999)?.gap.reason).toBe('source-changed');
  });

  it('has the wall clock of its file, and between two files that of the recording', () => {
    expect(wallClockAt(timeline, 33_000)).toBe(START_MS + 33_000);
    expect(wallClockAt(timeline, 20_000)).toBe(START_MS + 20_000);
  });
});

it('what is missing altogether is the sum of the gaps', () => {
  expect(missingMs([gap(0, 5), gap(10, 20)])).toBe(15);
  expect(missingMs([])).toBe(0);
});
