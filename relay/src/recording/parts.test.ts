import * as webm from '@proofcast/shared/testing/webm-bytes';
import { afterEach, describe, expect, test } from 'vitest';
import { JournaledRecording } from '../../testing/journaled-recording.ts';

const START_US = 1_790_000_000_000_000;
const KEY = 0x80;
/** One cluster: a key picture at 0, another at 900 ms. */
const PICTURES = webm.openCluster(0, webm.simpleBlock(1, 0, KEY), webm.simpleBlock(1, 900));

const init = (...tracks: Uint8Array[]): Uint8Array =>
  webm.concat(webm.ebmlHeader(), webm.openElement(0x18538067, webm.info(), webm.tracks(...tracks)));
const VIDEO = init(webm.videoTrack());
const VIDEO_AND_SOUND = init(webm.videoTrack(), webm.audioTrack());

describe('the parts of a recording', () => {
  const opened: JournaledRecording[] = [];
  afterEach(() => Promise.all(opened.splice(0).map((recording) => recording.close())));

  async function record(
    epochs: readonly { atMs: number; bytes: readonly Uint8Array[] }[],
  ): Promise<JournaledRecording> {
    const recording = await JournaledRecording.create({ startedAtUs: START_US });
    opened.push(recording);
    for (const { atMs, bytes } of epochs) {
      recording.epoch({ startedAtUs: START_US + atMs * 1000 });
      recording.media(bytes);
    }
    return recording;
  }

  const shifts = (recording: JournaledRecording): number[][] =>
    recording.plans().map(({ epochs }) => epochs.map(({ shiftMs }) => shiftMs));
  const numbers = (recording: JournaledRecording): number[][] =>
    recording.plans().map(({ epochs }) => epochs.map(({ number }) => number));

  test('[R3] are runs of epochs with the same tracks, whatever the size of the picture', async () => {
    const larger = init(
      webm.concat(
        webm.element(
          0xae,
          webm.unsigned(0xd7, 1),
          webm.unsigned(0x83, 1),
          webm.ascii(0x86, 'V_VP9'),
          webm.element(0xe0, webm.unsigned(0xb0, 1920), webm.unsigned(0xba, 1080)),
        ),
      ),
    );
    const recording = await record([
      { atMs: 0, bytes: [VIDEO, PICTURES] },
      { atMs: 5000, bytes: [larger, PICTURES] },
      { atMs: 10_000, bytes: [VIDEO_AND_SOUND, PICTURES] },
      { atMs: 15_000, bytes: [VIDEO_AND_SOUND, PICTURES] },
      { atMs: 20_000, bytes: [VIDEO, PICTURES] },
    ]);
    expect(numbers(recording)).toEqual([[0, 1], [2, 3], [4]]);
    expect(recording.plans().map(({ part }) => part)).toEqual([0, 1, 2]);
    expect(recording.plans().map(({ startsAtUs }) => startsAtUs)).toEqual([
      START_US,
      START_US + 10_000_000,
      START_US + 20_000_000,
    ]);
  });

  test.each([
    ['another number', init(webm.videoTrack(3)), 3],
    ['another setup of its decoder', init(webm.videoTrack(1, webm.element(0x63a2, [1, 2, 3]))), 1],
    [
      'another clock',
      webm.concat(
        webm.ebmlHeader(),
        webm.openElement(0x18538067, webm.info(500_000), webm.tracks(webm.videoTrack())),
      ),
      1,
    ],
  ])('[R3] a track with %s does not share a part', async (_what, other, track) => {
    const pictures = webm.openCluster(0, webm.simpleBlock(track, 0, KEY));
    const recording = await record([
      { atMs: 0, bytes: [VIDEO, PICTURES] },
      { atMs: 5000, bytes: [other, pictures] },
    ]);
    expect(numbers(recording)).toEqual([[0], [1]]);
  });

  test('[R3] an epoch without a whole picture makes no part, and does not part its neighbours', async () => {
    const soundOnly = webm.openCluster(0, webm.simpleBlock(2, 0, KEY));
    const torn = webm.openCluster(0, webm.simpleBlock(1, 0, KEY).subarray(0, -1));
    const recording = await record([
      { atMs: 0, bytes: [VIDEO, PICTURES] },
      { atMs: 2000, bytes: [] },
      { atMs: 3000, bytes: [VIDEO_AND_SOUND] },
      { atMs: 4000, bytes: [VIDEO_AND_SOUND, soundOnly] },
      { atMs: 5000, bytes: [VIDEO, torn] },
      { atMs: 6000, bytes: [VIDEO, PICTURES] },
    ]);
    expect(numbers(recording)).toEqual([[0, 5]]);
    expect(shifts(recording)).toEqual([[0, 6000]]);
    const empty = await record([{ atMs: 0, bytes: [VIDEO, torn] }]);
    expect(empty.plans()).toEqual([]);
  });

  test('[R4] a later epoch is as far behind the first one as the clock says, to the tick', async () => {
    const recording = await record([
      { atMs: 0, bytes: [VIDEO, PICTURES] },
      { atMs: 3600.4, bytes: [VIDEO, PICTURES] },
      { atMs: 86_400_000, bytes: [VIDEO, PICTURES] },
    ]);
    expect(shifts(recording)).toEqual([[0, 3600, 86_400_000]]);
    expect(recording.plans()[0]?.durationMs).toBe(86_400_000 + 901);
  });

  test('[R4] epochs never overlap, whatever the clock of the publisher does', async () => {
    const recording = await record([
      { atMs: 0, bytes: [VIDEO, PICTURES] },
      { atMs: 500, bytes: [VIDEO, PICTURES] },
      { atMs: -3_600_000, bytes: [VIDEO, PICTURES] },
      { atMs: 10_000, bytes: [VIDEO, PICTURES] },
    ]);
    expect(shifts(recording)).toEqual([[0, 901, 1802, 10_000]]);
    expect(recording.plans()[0]?.startsAtUs).toBe(START_US);
  });

  test('[R3] an epoch that begins more than a day from the end of the one before makes a part of its own', async () => {
    const dayMs = 86_400_000;
    // Its last block is at 900 ms.
    const near = await record([
      { atMs: 0, bytes: [VIDEO, PICTURES] },
      { atMs: 900 + dayMs, bytes: [VIDEO, PICTURES] },
    ]);
    expect(shifts(near)).toEqual([[0, 900 + dayMs]]);
    const years = 10 * 365 * dayMs;
    const far = await record([
      { atMs: 0, bytes: [VIDEO, PICTURES] },
      { atMs: 901 + dayMs, bytes: [VIDEO, PICTURES] },
      { atMs: 901 + dayMs + years, bytes: [VIDEO, PICTURES] },
      // The clock is right again, and the epoch after that is a minute later.
      { atMs: 1000 + dayMs, bytes: [VIDEO, PICTURES] },
      { atMs: 61_000 + dayMs, bytes: [VIDEO, PICTURES] },
    ]);
    expect(numbers(far)).toEqual([[0], [1], [2], [3, 4]]);
    expect(shifts(far)).toEqual([[0], [0], [0], [0, 60_000]]);
    expect(far.plans().map(({ durationMs }) => durationMs)).toEqual([901, 901, 901, 60_901]);
  });

  test('[R7] of fewer chunks are what they were when there were no more', async () => {
    const recording = await record([]);
    const seen: unknown[] = [recording.plans()];
    const note = (): void => {
      seen.push(recording.plans());
    };
    for (const atMs of [0, 4000]) {
      recording.epoch({ startedAtUs: START_US + atMs * 1000 });
      note();
      for (let at = 0; at < VIDEO.length + PICTURES.length; at += 7) {
        recording.media([webm.concat(VIDEO, PICTURES).subarray(at, at + 7)]);
        note();
      }
    }
    expect(seen.map((_plans, count) => recording.plans(count))).toEqual(seen);
    expect(() => recording.plans(recording.index.nextSequence + 1)).toThrow('Cannot take');
  });
});
