import { describe, expect, it } from 'vitest';
import { computeGaps, type Gap, type GapInput, type PictureRun } from './gaps.ts';
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
            [40, 41],
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

  it('[G2] a spool that fills up is told, and is no gap as long as pictures come', () => {
    expect(within([[5, { type: 'spool-full', data: { limitBytes: 1 } }]])).toEqual([]);
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
  });
});
