import { describe, expect, it } from 'vitest';
import { LIVE_EDGE_LIMITS as LIMITS } from '../config.ts';
import { decideEdge, evictable, startPosition, TargetAhead } from './live-edge.ts';

const range = (start: number, end: number) => [{ start, end }];
const settled = { targetS: 0.3, ageS: 60 };

describe('where to begin', () => {
  it('is near the end of what is buffered', () => {
    expect(startPosition(range(10, 14), 0.3)).toBeCloseTo(13.7);
  });

  it('is never before the buffered part', () => {
    expect(startPosition(range(10, 10.1), 0.3)).toBe(10);
  });

  it('is nowhere while nothing is buffered', () => {
    expect(startPosition([], 0.3)).toBeNull();
  });
});

describe('the live edge', () => {
  it('leaves small deviations alone', () => {
    expect(decideEdge({ ranges: range(0, 10), positionS: 9.6, ...settled }, LIMITS)).toEqual({
      kind: 'play',
      rate: 1,
    });
  });

  it('catches up a little faster than real time, and never faster than the limit', () => {
    const near = decideEdge({ ranges: range(0, 10), positionS: 9.2, ...settled }, LIMITS);
    const far = decideEdge({ ranges: range(0, 10), positionS: 7.5, ...settled }, LIMITS);
    expect(near).toMatchObject({ kind: 'play', rate: expect.closeTo(1.05) });
    expect(far).toEqual({ kind: 'play', rate: LIMITS.maxPlaybackRate });
  });

  it('jumps when it is too far behind', () => {
    expect(decideEdge({ ranges: range(0, 10), positionS: 6.9, ...settled }, LIMITS)).toEqual({
      kind: 'jump',
      toS: 9.7,
    });
  });

  it('jumps sooner while the picture has only just begun', () => {
    const state = { ranges: range(0, 10), positionS: 8.5, targetS: 0.3 };
    expect(decideEdge({ ...state, ageS: 1 }, LIMITS)).toEqual({ kind: 'jump', toS: 9.7 });
    expect(decideEdge({ ...state, ageS: 60 }, LIMITS).kind).toBe('play');
  });

  it('jumps over a gap that will never be filled', () => {
    const ranges = [...range(0, 10), ...range(12, 13)];
    expect(decideEdge({ ranges, positionS: 9.98, ...settled }, LIMITS).kind).toBe('jump');
    expect(decideEdge({ ranges, positionS: 11, ...settled }, LIMITS)).toEqual({ kind: 'jump', toS: 12 });
    expect(
      decideEdge({ ranges: [...range(0, 10), ...range(10.4, 10.6)], positionS: 9.99, ...settled }, LIMITS),
    ).toEqual({
      kind: 'jump',
      toS: 10.4,
    });
  });

  it('plays on to the end of a range before it jumps', () => {
    const ranges = [...range(0, 10), ...range(10.4, 10.6)];
    expect(decideEdge({ ranges, positionS: 9.5, ...settled }, LIMITS).kind).toBe('play');
  });

  it('waits at the end when nothing follows', () => {
    expect(decideEdge({ ranges: range(0, 10), positionS: 10, ...settled }, LIMITS)).toEqual({
      kind: 'play',
      rate: 1,
    });
  });
});

describe('old media', () => {
  it('stays until there is enough of it, then goes up to what is kept behind', () => {
    expect(evictable(range(0, 40), 30, LIMITS)).toBeNull();
    expect(evictable(range(0, 40), 30.1, LIMITS)).toEqual({ start: 0, end: 20.1 });
    expect(evictable([], 30, LIMITS)).toBeNull();
  });
});

describe('what is kept ahead', () => {
  it('grows when the buffer ran dry, at least to the gap that made it so, and not without end', () => {
    const target = new TargetAhead(LIMITS, 0);
    target.noteDry(0, 0.1);
    expect(target.seconds).toBeCloseTo(LIMITS.minTargetS + LIMITS.targetStepUpS);
    target.noteDry(0, 2);
    expect(target.seconds).toBe(2);
    target.noteDry(0, 60);
    expect(target.seconds).toBe(LIMITS.maxTargetS);
  });

  it('shrinks after each calm while, quickly from far above, down to its least', () => {
    const target = new TargetAhead(LIMITS, 0);
    target.noteDry(0, 2.3);
    target.noteCalm(LIMITS.calmS * 1000 - 1);
    expect(target.seconds).toBe(2.3);
    target.noteCalm(LIMITS.calmS * 1000);
    expect(target.seconds).toBeCloseTo(1.9);
    for (let step = 2; step <= 12; step += 1) target.noteCalm(step * LIMITS.calmS * 1000);
    expect(target.seconds).toBeLessThan(LIMITS.minTargetS + 0.15);
    for (let step = 13; step <= 20; step += 1) target.noteCalm(step * LIMITS.calmS * 1000);
    expect(target.seconds).toBe(LIMITS.minTargetS);
  });
});
