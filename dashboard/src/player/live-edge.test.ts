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
    const far = decideEdge({ ranges: range(0, 10), positionS: 8.5, ...settled }, LIMITS);
    expect(near).toMatchObject({ kind: 'play', rate: expect.closeTo(1.05) });
    expect(far).toEqual({ kind: 'play', rate: LIMITS.maxPlaybackRate });
  });

  it('slows down a little when there is next to nothing in front of it', () => {
    expect(decideEdge({ ranges: range(0, 10), positionS: 9.95, ...settled }, LIMITS)).toEqual({
      kind: 'play',
      rate: LIMITS.minPlaybackRate,
    });
  });

  it('jumps when it is too far behind what it keeps in front', () => {
    const state = { ranges: range(0, 10), positionS: 8.1, ageS: 60 };
    expect(decideEdge({ ...state, targetS: 1 }, LIMITS).kind).toBe('play');
    expect(decideEdge({ ...state, targetS: 0.3 }, LIMITS)).toEqual({
      kind: 'jump',
      toS: 9.7,
    });
  });

  it('jumps sooner while the picture has only just begun', () => {
    const state = { ranges: range(0, 10), positionS: 8.9, targetS: 0.3 };
    expect(decideEdge({ ...state, ageS: 1 }, LIMITS)).toEqual({ kind: 'jump', toS: 9.7 });
    expect(decideEdge({ ...state, ageS: 60 }, LIMITS).kind).toBe('play');
  });

  it('jumps over a gap that will never be filled', () => {
    const ranges = [...range(0, 10), ...range(12, 12.5)];
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

describe('an hour', () => {
  const HOUR_S = 3600;
  const STEP_S = 0.05;
  const SLICE_S = 0.25;

  /** Plays an hour in steps; returns how late the picture was, sample by sample, and how often it stood still. */
  function playAnHour(options: { clockErrorPpm: number; jitterS: (slice: number) => number }) {
    const target = new TargetAhead(LIMITS, 0);
    const media = { endS: 0, startS: 0 };
    const lateS: number[] = [];
    let positionS = 0;
    let slice = 0;
    let stalls = 0;
    let isDry = true;
    let arrivedAtS = 0;
    for (let nowS = 0; nowS < HOUR_S; nowS += STEP_S) {
      // The recorder's clock is the time line of the media; it runs faster or slower than that of this machine.
      const recordedS = nowS * (1 + options.clockErrorPpm / 1e6);
      while ((slice + 1) * SLICE_S + options.jitterS(slice) <= recordedS) {
        slice += 1;
        media.endS = slice * SLICE_S;
        arrivedAtS = nowS;
        target.noteCalm(nowS * 1000);
      }
      const ranges = range(media.startS, media.endS);
      const decision = decideEdge({ ranges, positionS, targetS: target.seconds, ageS: nowS }, LIMITS);
      if (decision.kind === 'jump') positionS = decision.toS;
      const rate = decision.kind === 'play' ? decision.rate : 1;
      const canMove = positionS < media.endS;
      if (!canMove && !isDry) {
        stalls += 1;
        target.noteDry(nowS * 1000, nowS - arrivedAtS);
      }
      isDry = !canMove;
      positionS = Math.min(media.endS, positionS + rate * STEP_S);
      const old = evictable(range(media.startS, media.endS), positionS, LIMITS);
      if (old) media.startS = old.end;
      expect(media.endS - media.startS).toBeLessThan(
        LIMITS.maxBehindS + LIMITS.jumpExcessS + LIMITS.maxTargetS,
      );
      lateS.push(recordedS - positionS);
    }
    return { lateS, stalls };
  }

  const meanOf = (values: readonly number[]): number =>
    values.reduce((sum, value) => sum + value, 0) / values.length;

  it.each([-300, 0, 300])('[T6] with clocks %i ppm apart drifts by less than 300 ms', (clockErrorPpm) => {
    const { lateS } = playAnHour({ clockErrorPpm, jitterS: () => 0.02 });
    const perMinute = Math.round(60 / STEP_S);
    const settledLateS = meanOf(lateS.slice(perMinute, 2 * perMinute));
    const inTheEndS = meanOf(lateS.slice(-perMinute));
    expect(Math.abs(inTheEndS - settledLateS)).toBeLessThan(0.3);
    expect(Math.max(...lateS.slice(perMinute))).toBeLessThan(1);
  });

  it('with an uneven network stands still rarely, and never falls back for good', () => {
    // Every seventeenth slice is late, each 97th by more than a second.
    const jitterS = (slice: number): number => (slice % 97 === 0 ? 1.2 : slice % 17 === 0 ? 0.2 : 0.02);
    const { lateS, stalls } = playAnHour({ clockErrorPpm: 50, jitterS });
    expect(stalls).toBeLessThan(HOUR_S / (97 * SLICE_S) + 60);
    expect(meanOf(lateS.slice(-1200))).toBeLessThan(1.5);
  });
});
