import { growthOf, MUCH_GROWTH } from '../testing/growth.ts';
import { describe, expect, it } from 'vitest';
import { computeGaps, MAX_GAPS, MAX_SILENCE_MS, type Gap, type GapInput, type PictureRun } from './gaps.ts';
import type { RecordingEvent } from './relay-protocol.ts';

const STARTED_AT_MS = 1_700_000_000_000;

/** Times are seconds since the recording began. */
function gapsOf(recording: {
  epochs: {
    startSec: number;
    runsSec?: [first: number, last: number][];
    events?: [number, RecordingEvent][];
  }[];
  endSec?: number;
  isPublisherLost?: boolean;
}): { fromSec: number; toSec: number; reason: Gap['reason'] }[] {
  const toMs = (sec: number): number => STARTED_AT_MS + sec * 1000;
  const pictures: PictureRun[] = [];
  const events: GapInput['events'][number][] = [];
  const epochs = recording.epochs.map(({ startSec, runsSec = [], events: own = [] }, number) => {
    for (const [first, last] of runsSec) {
      pictures.push({ epoch: number, firstMs: toMs(first), lastMs: toMs(last) });
    }
    for (const [atSec, event] of own) {
      events.push({ epoch: number, captureTimeUs: toMs(atSec) * 1000, event });
    }
    return { number, start: { startedAtUs: toMs(startSec) * 1000 } };
  });
  const { endSec, isPublisherLost = false } = recording;
  const end = endSec === undefined ? null : { atMs: toMs(endSec), isPublisherLost };
  return computeGaps({ epochs, pictures, events, end }).map(({ fromMs, toMs: untilMs, reason }) => ({
    fromSec: (fromMs - STARTED_AT_MS) / 1000,
    toSec: (untilMs - STARTED_AT_MS) / 1000,
    reason,
  }));
}

type EndedReason = Extract<RecordingEvent, { type: 'epoch-ended' }>['data']['reason'];
type PausedReason = Extract<RecordingEvent, { type: 'paused' }>['data']['reason'];
const ended = (reason: EndedReason): RecordingEvent => ({ type: 'epoch-ended', data: { reason } });
const paused = (reason: PausedReason): RecordingEvent => ({ type: 'paused', data: { reason } });
const resumed: RecordingEvent = { type: 'resumed', data: {} };
const stalled: RecordingEvent = { type: 'capture-stalled', data: {} };
const flowing: RecordingEvent = { type: 'capture-resumed', data: {} };

describe('between two epochs', () => {
  it.each([
    ['stopped', 'unknown'],
    ['source-ended', 'source-changed'],
    ['source-changed', 'source-changed'],
    ['recorder-failed', 'recorder-restarted'],
    ['recorder-restarted', 'recorder-restarted'],
    ['suspended', 'suspended'],
    ['spool-full', 'spool-full'],
    ['page-crashed', 'publisher-crashed'],
    ['app-crashed', 'publisher-crashed'],
  ] as const)(
    '[G1] the gap lies between their pictures; an epoch that ended by %s gives %s',
    (why, reason) => {
      const gaps = gapsOf({
        epochs: [
          { startSec: 0, runsSec: [[0.1, 8]], events: [[9, ended(why)]] },
          { startSec: 20, runsSec: [[20.2, 30]] },
        ],
      });
      expect(gaps).toEqual([{ fromSec: 8, toSec: 20.2, reason }]);
    },
  );

  it('[G1] an epoch that ended without a word means that the publisher crashed', () => {
    const gaps = gapsOf({
      epochs: [
        { startSec: 0, runsSec: [[0, 8]] },
        { startSec: 20, runsSec: [[21, 30]] },
      ],
    });
    expect(gaps).toEqual([{ fromSec: 8, toSec: 21, reason: 'publisher-crashed' }]);
  });

  it('[G1] epochs without a picture lie in the gap, also at the beginning of the recording', () => {
    const gaps = gapsOf({
      epochs: [
        { startSec: 0, events: [[5, ended('recorder-failed')]] },
        { startSec: 6, runsSec: [[7, 8]], events: [[9, ended('source-changed')]] },
        { startSec: 10, events: [[11, ended('source-changed')]] },
        { startSec: 12, runsSec: [[13, 14]] },
      ],
    });
    expect(gaps).toEqual([
      { fromSec: 0, toSec: 7, reason: 'recorder-restarted' },
      { fromSec: 8, toSec: 13, reason: 'source-changed' },
    ]);
  });

  it('[G3] each cause explains the gap from when it came, the first one also what is before', () => {
    const gaps = gapsOf({
      epochs: [
        {
          startSec: 0,
          runsSec: [[0, 8]],
          events: [
            [12, stalled],
            [15, ended('page-crashed')],
          ],
        },
        { startSec: 20, events: [[22, ended('recorder-failed')]] },
        { startSec: 25, runsSec: [[26, 30]] },
      ],
    });
    expect(gaps).toEqual([
      { fromSec: 8, toSec: 15, reason: 'capture-stalled' },
      { fromSec: 15, toSec: 22, reason: 'publisher-crashed' },
      { fromSec: 22, toSec: 26, reason: 'recorder-restarted' },
    ]);
  });

  it('[G3] a pause explains all of it, whatever happens to the recorder meanwhile', () => {
    const epochs = (events: [number, RecordingEvent][]) => [
      { startSec: 0, runsSec: [[0, 8]] as [number, number][], events },
      { startSec: 20, runsSec: [[21, 30]] as [number, number][] },
    ];
    expect(
      gapsOf({
        epochs: epochs([
          [8, paused('policy')],
          [9, ended('stopped')],
        ]),
      }),
    ).toEqual([{ fromSec: 8, toSec: 21, reason: 'policy' }]);
    expect(gapsOf({ epochs: epochs([[8, paused('screen-locked')]]) })).toEqual([
      { fromSec: 8, toSec: 21, reason: 'screen-locked' },
    ]);
  });

  it('[G5] clocks that jump back, and distances below a millisecond, make no gap', () => {
    const epochs = (firstSec: number) => [
      { startSec: 0, runsSec: [[0, 8]] as [number, number][] },
      { startSec: 5, runsSec: [[firstSec, 30]] as [number, number][] },
    ];
    expect(gapsOf({ epochs: epochs(7) })).toEqual([]);
    expect(gapsOf({ epochs: epochs(8.0005) })).toEqual([]);
    expect(gapsOf({ epochs: epochs(8.001) })).toHaveLength(1);
  });
});

describe('within an epoch', () => {
  const runsSec: [number, number][] = [[0, 2], [2.03, 4], [14, 16], [16.03, 18]]; // prettier-ignore
  const within = (events: [number, RecordingEvent][]) =>
    gapsOf({ epochs: [{ startSec: 0, runsSec, events }] });

  it('[G2] a stall is a gap from the last picture before it to the first one after it', () => {
    // The end of the stall is noticed only with the bytes, which hold the pictures before it.
    expect(
      within([
        [8, stalled],
        [16.1, flowing],
      ]),
    ).toEqual([{ fromSec: 4, toSec: 14, reason: 'capture-stalled' }]);
  });

  it.each([
    ['person', 'paused'],
    ['policy', 'policy'],
    ['screen-locked', 'screen-locked'],
  ] as const)('[G2] a pause by %s is a gap with the reason %s', (by, reason) => {
    expect(
      within([
        [3.9, paused(by)],
        [13.9, resumed],
      ]),
    ).toEqual([{ fromSec: 4, toSec: 14, reason }]);
  });

  it('[G2] the capture that stalls because of a pause is paused', () => {
    expect(
      within([
        [4, paused('person')],
        [9, stalled],
        [13.9, resumed],
        [14, flowing],
      ]),
    ).toEqual([{ fromSec: 4, toSec: 14, reason: 'paused' }]);
  });

  it('[G2] several stalls within one gap make one gap, and none without a picture missing', () => {
    const events: [number, RecordingEvent][] = [
      [6, stalled],
      [7, flowing],
      [9, stalled],
      [14.1, flowing],
    ];
    expect(within(events)).toEqual([{ fromSec: 4, toSec: 14, reason: 'capture-stalled' }]);
  });

  it('[G2] two interruptions make two gaps, a picture that comes late makes none', () => {
    const gaps = gapsOf({
      epochs: [
        {
          startSec: 0,
          runsSec: [
            [0, 2],
            [12, 14],
            [30, 32],
            [38, 39],
          ],
          events: [
            [4, stalled],
            [12.1, flowing],
            [15, paused('person')],
            [29, resumed],
          ],
        },
      ],
    });
    expect(gaps).toEqual([
      { fromSec: 2, toSec: 12, reason: 'capture-stalled' },
      { fromSec: 14, toSec: 30, reason: 'paused' },
    ]);
  });

  it('[G2] a screen that is locked explains why no picture comes, and is no gap as long as some do', () => {
    const locked: RecordingEvent = { type: 'screen-locked', data: {} };
    const unlocked: RecordingEvent = { type: 'screen-unlocked', data: {} };
    expect(
      within([
        [4, locked],
        [9, stalled],
        [13.9, unlocked],
        [14, flowing],
      ]),
    ).toEqual([{ fromSec: 4, toSec: 14, reason: 'screen-locked' }]);
    const gaps = gapsOf({
      epochs: [{ startSec: 0, runsSec: [[0, 5], [5.1, 9]], events: [[6, locked], [8, unlocked]] }], // prettier-ignore
    });
    expect(gaps).toEqual([]);
  });

  it.each([
    ['policy', 'policy'],
    ['person', 'paused'],
  ] as const)(
    '[G3] two pauses in one hole are two gaps, each with its own start, end and reason: %s',
    (by, reason) => {
      const gaps = within([
        [4, paused('person')],
        // What makes both look like one interruption: nothing was delivered in between.
        [6, stalled],
        [7, resumed],
        [9, paused(by)],
        [13.9, resumed],
        [14, flowing],
      ]);
      expect(gaps).toEqual([
        { fromSec: 4, toSec: 9, reason: 'paused' },
        { fromSec: 9, toSec: 14, reason },
      ]);
    },
  );

  it('[G3] another pause begins while one holds, and ends with it', () => {
    const gaps = within([
      [4, paused('person')],
      [8, paused('screen-locked')],
      [14, resumed],
    ]);
    expect(gaps).toEqual([
      { fromSec: 4, toSec: 8, reason: 'paused' },
      { fromSec: 8, toSec: 14, reason: 'screen-locked' },
    ]);
  });

  it('[G3] a stall before a pause, and one that outlasts it, are told apart from it', () => {
    const runs: [number, number][] = [[0, 4], [100, 104]]; // prettier-ignore
    const gaps = gapsOf({
      epochs: [
        {
          startSec: 0,
          runsSec: runs,
          events: [
            [11, stalled],
            [30, paused('person')],
            [40, resumed],
            [100.1, flowing],
          ],
        },
      ],
    });
    expect(gaps).toEqual([
      { fromSec: 4, toSec: 30, reason: 'capture-stalled' },
      { fromSec: 30, toSec: 40, reason: 'paused' },
      { fromSec: 40, toSec: 100, reason: 'capture-stalled' },
    ]);
  });

  it('[G2] a pause explains every hole in it that is too long to need no word', () => {
    const gaps = gapsOf({
      epochs: [
        {
          startSec: 0,
          runsSec: [[0, 4], [20, 20], [29, 30], [31, 32]], // prettier-ignore
          events: [
            [4, paused('person')],
            [28.9, resumed],
          ],
        },
      ],
    });
    expect(gaps).toEqual([
      { fromSec: 4, toSec: 20, reason: 'paused' },
      { fromSec: 20, toSec: 29, reason: 'paused' },
    ]);
  });

  it('[G2] a spool that fills up is told, and is no gap as long as pictures come', () => {
    const events: [number, RecordingEvent][] = [[5, { type: 'spool-full', data: { limitBytes: 1 } }]];
    expect(gapsOf({ epochs: [{ startSec: 0, runsSec: [[0, 4.9], [5, 9]], events }] })).toEqual([]); // prettier-ignore
  });
});

describe('silence', () => {
  const recording = (runsSec: [number, number][], events: [number, RecordingEvent][] = []) => ({
    epochs: [{ startSec: 0, runsSec, events }],
  });

  it('[G6] for longer than a recorder is ever silent is a gap that nobody explained', () => {
    const limitSec = MAX_SILENCE_MS / 1000;
    const slept = recording([[0, 4], [3604, 3610]]); // prettier-ignore
    expect(gapsOf(slept)).toEqual([{ fromSec: 4, toSec: 3604, reason: 'no-data' }]);
    const still = recording([[0, 4], [4 + limitSec, 20]]); // prettier-ignore
    expect(gapsOf(still)).toEqual([]);
    const longer = recording([[0, 4], [4.5 + limitSec, 20]]); // prettier-ignore
    expect(gapsOf(longer)).toEqual([{ fromSec: 4, toSec: 4.5 + limitSec, reason: 'no-data' }]);
  });

  it('[G6] before the first picture, and behind the last one of a recording that was stopped, is a gap too', () => {
    expect(gapsOf({ ...recording([[60, 64]]), endSec: 3600 })).toEqual([
      { fromSec: 0, toSec: 60, reason: 'no-data' },
      { fromSec: 64, toSec: 3600, reason: 'no-data' },
    ]);
    expect(gapsOf(recording([[0, 4]]))).toEqual([]);
  });

  it('[G6] is not blamed on a pause that began or ended long before or after it', () => {
    const events: [number, RecordingEvent][] = [
      [100, paused('person')],
      [200, resumed],
    ];
    expect(
      gapsOf(
        recording(
          [
            [0, 4],
            [300, 304],
          ],
          events,
        ),
      ),
    ).toEqual([
      // prettier-ignore
      { fromSec: 4, toSec: 100, reason: 'no-data' },
      { fromSec: 100, toSec: 200, reason: 'paused' },
      { fromSec: 200, toSec: 300, reason: 'no-data' },
    ]);
  });

  it('[G6] of an epoch that ran without a picture is told apart from what ended the one before', () => {
    const gaps = gapsOf({
      epochs: [
        { startSec: 0, runsSec: [[0, 8]], events: [[9, ended('source-changed')]] },
        { startSec: 10, events: [[100, ended('source-ended')]] },
        { startSec: 110, runsSec: [[111, 120]] },
      ],
    });
    expect(gaps).toEqual([
      { fromSec: 8, toSec: 10, reason: 'source-changed' },
      { fromSec: 10, toSec: 100, reason: 'no-data' },
      { fromSec: 100, toSec: 111, reason: 'source-changed' },
    ]);
  });

  it('[G6] before a device says that it was asleep is its sleep', () => {
    const gaps = gapsOf({
      epochs: [
        { startSec: 0, runsSec: [[0, 8]], events: [[3600, ended('suspended')]] },
        { startSec: 3601, runsSec: [[3601.1, 3700]] },
      ],
    });
    expect(gaps).toEqual([{ fromSec: 8, toSec: 3601.1, reason: 'suspended' }]);
  });

  it('[G7] so often that nobody can take the list is told as one gap from there on, and hides nothing', () => {
    const runsSec = Array.from({ length: MAX_GAPS + 3 }, (_, n): [number, number] => [n * 10, n * 10]);
    const gaps = gapsOf(recording(runsSec));
    expect(gaps).toHaveLength(MAX_GAPS);
    expect(gaps[1]).toEqual({ fromSec: 10, toSec: 20, reason: 'no-data' });
    const [fromSec, toSec] = [(MAX_GAPS - 1) * 10, (MAX_GAPS + 2) * 10];
    expect(gaps.at(-1)).toEqual({ fromSec, toSec, reason: 'unknown' });
  });

  it('[G7] and interruptions are told in time, however many there are and whatever their clock says', () => {
    const made = (count: number) => {
      const runsSec = Array.from({ length: count }, (_, n): [number, number] => [n, n + 0.9]);
      const events = Array.from({ length: count }, (_, n): [number, RecordingEvent] =>
        n % 2 === 0 ? [0, paused('person')] : [count, resumed],
      );
      return recording(runsSec, events);
    };
    const inputs = new Map([25_000, 100_000].map((count) => [count, made(count)]));
    const told = (count: number): number => gapsOf(inputs.get(count)!).length;
    expect(told(100_000)).toBeLessThanOrEqual(MAX_GAPS);
    expect(growthOf(told, 25_000)).toBeLessThan(MUCH_GROWTH);
  });

  it('[G6] that was taken for a stall when the device woke up is its sleep', () => {
    const gaps = gapsOf({
      epochs: [
        { startSec: 0, runsSec: [[0, 8]], events: [[3600, stalled], [8.1, ended('suspended')]] }, // prettier-ignore
        { startSec: 3601, runsSec: [[3601.1, 3700]] },
      ],
    });
    expect(gaps).toEqual([{ fromSec: 8, toSec: 3601.1, reason: 'suspended' }]);
  });

  it('[G5] is none when only the clock of the pictures goes back', () => {
    expect(gapsOf(recording([[0, 20], [5, 19], [20.1, 22]]))).toEqual([]); // prettier-ignore
  });
});

describe('at the end', () => {
  const epoch = (events: [number, RecordingEvent][]) => ({
    startSec: 0,
    runsSec: [[0, 8]] as [number, number][],
    events,
  });

  it('[G4] a recording that was stopped has no gap, nor one that goes on', () => {
    expect(gapsOf({ epochs: [epoch([[9, ended('stopped')]])], endSec: 9 })).toEqual([]);
    expect(gapsOf({ epochs: [epoch([])], endSec: 9 })).toEqual([]);
    expect(gapsOf({ epochs: [epoch([[9, stalled]])] })).toEqual([]);
  });

  it('[G4] a publisher that was lost is offline from its last picture on', () => {
    expect(gapsOf({ epochs: [epoch([])], endSec: 60, isPublisherLost: true })).toEqual([
      { fromSec: 8, toSec: 60, reason: 'publisher-offline' },
    ]);
  });

  it('[G4] what the publisher said before it was lost explains the time before', () => {
    const events: [number, RecordingEvent][] = [[9, ended('spool-full')]];
    expect(gapsOf({ epochs: [epoch(events)], endSec: 60, isPublisherLost: true })).toEqual([
      { fromSec: 8, toSec: 60, reason: 'spool-full' },
    ]);
    expect(gapsOf({ epochs: [epoch([[9, stalled]])], endSec: 60, isPublisherLost: true })).toEqual([
      { fromSec: 8, toSec: 60, reason: 'capture-stalled' },
    ]);
  });

  it('[G4] a recording without a picture is one gap', () => {
    expect(gapsOf({ epochs: [{ startSec: 2 }], endSec: 60, isPublisherLost: true })).toEqual([
      { fromSec: 2, toSec: 60, reason: 'publisher-offline' },
    ]);
    expect(gapsOf({ epochs: [] })).toEqual([]);
    expect(gapsOf({ epochs: [], endSec: 60, isPublisherLost: true })).toEqual([]);
  });
});
