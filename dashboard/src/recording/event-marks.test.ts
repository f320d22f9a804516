import type { TimedEvent } from '@proofcast/shared';
import { describe, expect, it } from 'vitest';
import { markEvents } from './event-marks.ts';

const timeline = { startedAtMs: 1_000_000, durationMs: 100_000 };
const event = (atMs: number, type = 'resumed'): TimedEvent => ({
  atMs: timeline.startedAtMs + atMs,
  epoch: 0,
  type,
  data: {},
});

describe('marks of events', () => {
  it('stand where their events happened, and count what happened together as one', () => {
    const marks = markEvents(
      [event(0), event(50_000, 'paused'), event(50_100), event(99_999)],
      timeline,
      200,
    );
    expect(marks.map(({ atMs, events }) => [atMs, events.length])).toEqual([
      [0, 1],
      [50_000, 2],
      [99_999, 1],
    ]);
    expect(marks[1]?.events[0]?.type).toBe('paused');
  });

  it('are never more than asked for, however many events there are', () => {
    const events = Array.from({ length: 10_000 }, (_, index) => event(index * 10));
    const marks = markEvents(events, timeline, 200);
    expect(marks).toHaveLength(200);
    expect(marks.reduce((sum, mark) => sum + mark.events.length, 0)).toBe(10_000);
  });

  it('stay on the time line, whatever the clock said', () => {
    const marks = markEvents([event(-5_000), event(900_000)], timeline, 10);
    expect(marks.map(({ atMs }) => atMs)).toEqual([0, 100_000]);
    expect(markEvents([event(3)], { startedAtMs: 0, durationMs: 0 }, 10)[0]?.atMs).toBe(0);
  });
});
