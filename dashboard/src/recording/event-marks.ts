/** Events of a recording as marks on its time line: those that would lie on one another become one. Pure. */
import type { TimedEvent } from '@proofcast/shared';
import type { Timeline } from './timeline.ts';

export interface EventMark {
  /** Of the first event. */
  readonly atMs: number;
  readonly events: readonly TimedEvent[];
}

/** At most `maxMarks`, ascending. What happened before the first picture stands at the beginning. */
export function markEvents(
  events: readonly TimedEvent[],
  { startedAtMs, durationMs }: Pick<Timeline, 'startedAtMs' | 'durationMs'>,
  maxMarks: number,
): EventMark[] {
  const stepMs = Math.max(1, durationMs / maxMarks);
  const marks = new Map<number, TimedEvent[]>();
  for (const event of events) {
    const slot = Math.min(maxMarks - 1, Math.floor(placeOf(event, { startedAtMs, durationMs }) / stepMs));
    const present = marks.get(slot);
    if (present === undefined) marks.set(slot, [event]);
    else present.push(event);
  }
  return [...marks]
    .map(([, gathered]) => ({
      atMs: Math.min(...gathered.map((event) => placeOf(event, { startedAtMs, durationMs }))),
      events: gathered,
    }))
    .toSorted((a, b) => a.atMs - b.atMs);
}

/** Where an event stands on the time line. */
export function placeOf(
  { atMs }: TimedEvent,
  { startedAtMs, durationMs }: Pick<Timeline, 'startedAtMs' | 'durationMs'>,
): number {
  return Math.min(durationMs, Math.max(0, atMs - startedAtMs));
}
