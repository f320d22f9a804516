/** What the events of one epoch say about when it has no picture, and why nothing follows it. Pure. */
import type { GapReason } from './gaps.ts';
import type { EpochEndReason, RecordingEvent } from './relay-protocol.ts';

/** Says why there is no picture from `atMs` on, as far as `untilMs`, which may be infinite. */
export interface GapCause {
  readonly atMs: number;
  readonly untilMs: number;
  readonly reason: GapReason;
}

export interface TimedCauseEvent {
  readonly captureTimeUs: number;
  readonly event: RecordingEvent;
}

/** What begins and ends within the epoch, and what leads over to the next one. Each in the order of time. */
export interface EpochCauses {
  readonly within: readonly GapCause[];
  readonly after: readonly GapCause[];
}

type PauseReason = Extract<RecordingEvent, { type: 'paused' }>['data']['reason'];

const REASON_OF_EPOCH_END: Readonly<Record<EpochEndReason, GapReason>> = {
  // Who stops ends the recording: nothing explains that another epoch follows.
  stopped: 'unknown',
  'source-ended': 'source-changed',
  'source-changed': 'source-changed',
  'recorder-failed': 'recorder-restarted',
  'recorder-restarted': 'recorder-restarted',
  suspended: 'suspended',
  'spool-full': 'spool-full',
  'page-crashed': 'publisher-crashed',
  'app-crashed': 'publisher-crashed',
};

const REASON_OF_PAUSE: Readonly<Record<PauseReason, GapReason>> = {
  person: 'paused',
  policy: 'policy',
  'screen-locked': 'screen-locked',
};

/** Somebody or something wants that there is no picture: each stands for itself, with the moments it was said for. */
const WANTED: ReadonlySet<GapReason> = new Set(Object.values(REASON_OF_PAUSE));

/** What is noticed, or can be said, only after it has lasted for a while. */
const NOTICED_LATE: ReadonlySet<GapReason> = new Set([
  'capture-stalled',
  'suspended',
  'recorder-restarted',
  'publisher-crashed',
  'publisher-offline',
]);

export function isWanted(reason: GapReason): boolean {
  return WANTED.has(reason);
}

/** Whether the reason also explains the time before it was told. */
export function isNoticedLate(reason: GapReason): boolean {
  return NOTICED_LATE.has(reason);
}

/** `heardMs` is the last sign of life of the epoch; `nextStartMs` is when the next one began, null for the last. */
export function causesOf(
  events: readonly TimedCauseEvent[],
  { heardMs, nextStartMs }: { heardMs: number; nextStartMs: number | null },
): EpochCauses {
  const standing = new StandingCauses();
  const isLast = nextStartMs === null;
  // What holds at the end of an epoch ends with the beginning of the next one, which says so again if it still holds.
  const untilMs = nextStartMs ?? Number.POSITIVE_INFINITY;
  let end: GapCause | null = isLast ? null : { atMs: heardMs, untilMs, reason: 'publisher-crashed' };
  let atMs = 0;
  for (const { event, captureTimeUs } of events) {
    // What is said later is not taken for earlier when the clock was set back.
    atMs = Math.max(atMs, captureTimeUs / 1000);
    standing.take(event, atMs);
    if (event.type !== 'epoch-ended') continue;
    const { reason } = event.data;
    // That the recording ends with it is no gap.
    const isExpected = isLast && reason === 'stopped';
    // It may be dated back, to when the device fell asleep or gave its last sign of life.
    const endedAtMs = captureTimeUs / 1000;
    end = isExpected ? null : { atMs: endedAtMs, untilMs, reason: REASON_OF_EPOCH_END[reason] };
  }
  const { closed, open } = standing;
  const after: GapCause[] = open === null ? [] : [{ ...open, untilMs }];
  // Who paused wants no picture, whatever happens to the recorder meanwhile.
  if (end !== null && !standing.isPaused) after.push(end);
  return { within: closed, after };
}

/**
 * What holds at a time. A pause comes before a screen that is locked, and that before a capture that stalls: what is
 * not wanted or not visible is not delivered either.
 */
class StandingCauses {
  readonly closed: GapCause[] = [];
  #pause: GapReason | null = null;
  #isLocked = false;
  #isStalled = false;
  #open: Omit<GapCause, 'untilMs'> | null = null;

  /** What holds since when. */
  get open(): Omit<GapCause, 'untilMs'> | null {
    return this.#open;
  }

  get isPaused(): boolean {
    return this.#pause !== null;
  }

  take(event: RecordingEvent, atMs: number): void {
    switch (event.type) {
      case 'paused':
        this.#pause = REASON_OF_PAUSE[event.data.reason];
        break;
      case 'resumed':
        this.#pause = null;
        break;
      case 'screen-locked':
      case 'screen-unlocked':
        this.#isLocked = event.type === 'screen-locked';
        break;
      case 'capture-stalled':
      case 'capture-resumed':
        this.#isStalled = event.type === 'capture-stalled';
        break;
      case 'epoch-started':
      case 'epoch-ended':
      case 'spool-full':
        return;
    }
    const reason =
      this.#pause ?? (this.#isLocked ? 'screen-locked' : this.#isStalled ? 'capture-stalled' : null);
    if (reason === (this.#open?.reason ?? null)) return;
    if (this.#open !== null) this.closed.push({ ...this.#open, untilMs: atMs });
    this.#open = reason === null ? null : { atMs, reason };
  }
}
