import type { DevicePrincipal, RecordingDetails } from '@proofcast/shared';
import { loadWebmClip, type WebmClip } from '@proofcast/shared/testing/webm-clip';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { packetTimes } from '../../testing/derivative-world.ts';
import { MediaWorld } from '../../testing/media-world.ts';

const VP8 = loadWebmClip('vp8');
const VP9 = loadWebmClip('vp9');

describe('a recording that a publisher has just ended', { timeout: 120_000 }, () => {
  let world: MediaWorld;
  let device: DevicePrincipal;

  beforeEach(async () => {
    world = await MediaWorld.open();
    device = await world.device();
  });
  afterEach(() => world.close());

  /** Records clips as epochs that begin so many seconds after the start, and waits for all that is made of them. */
  async function record(epochs: readonly { clip: WebmClip; atSeconds: number }[]): Promise<RecordingDetails> {
    const publisher = await world.publisher(device);
    const { maker } = publisher;
    await publisher.hello();
    for (const { clip, atSeconds } of epochs) {
      maker.epoch({ startedAtUs: maker.start.startedAtUs + atSeconds * 1_000_000 });
      for (let at = 0; at < clip.bytes.length; at += 9_000) maker.media(clip.bytes.subarray(at, at + 9_000));
    }
    publisher.upload();
    await publisher.stop();
    await world.media.whenSealed();
    await world.media.derivatives.whenIdle();
    return world.media.getRecording(device.companyId, maker.start.recordingId);
  }

  const statesOf = ({ derivatives }: RecordingDetails) =>
    derivatives.map(({ kind, state, failure }) => ({ kind, state, failure }));

  test('[D1] has a poster and a sprite', async () => {
    const recording = await record([{ clip: VP8, atSeconds: 0 }]);
    expect(recording).toMatchObject({ state: 'sealed', hasThumbnail: true });
    expect(statesOf(recording)).toEqual([
      { kind: 'poster', state: 'done', failure: null },
      { kind: 'sprite', state: 'done', failure: null },
    ]);
  });

  test('[D6] is exported with its gap, whose reason the chapters give', async () => {
    const recording = await record([
      { clip: VP8, atSeconds: 0 },
      { clip: VP8, atSeconds: 30 },
    ]);
    expect(recording.gaps.length).toBe(1);
    const { recordingId } = recording;
    const { derivatives } = world.media;
    await derivatives.request(device.companyId, recordingId, 'mp4');
    await derivatives.whenIdle();
    const { path } = await derivatives.file(device.companyId, recordingId, 'mp4');
    const times = await packetTimes(path);
    const once = await packetTimes(VP8.path);
    expect(times.length).toBe(2 * once.length);
    expect((times[once.length] ?? 0) - (times[0] ?? 0)).toBeCloseTo(30, 2);
    // The pictures of a screen come irregularly, and so they stay.
    once.forEach((time, index) => expect(Math.abs((times[index] ?? 0) - time)).toBeLessThan(0.0015));
    const { timesMs } = await derivatives.spriteTiles(device.companyId, recordingId);
    expect(timesMs.filter((timeMs) => timeMs > 6_000 && timeMs < 30_000)).toEqual([]);
  });

  test('[D7] has a joined copy when its epochs do not fit into one file', async () => {
    const recording = await record([
      { clip: VP8, atSeconds: 0 },
      { clip: VP9, atSeconds: 20 },
    ]);
    expect(recording.parts.length).toBe(2);
    expect(statesOf(recording)).toContainEqual({ kind: 'joined', state: 'done', failure: null });
    const { path } = await world.media.derivatives.file(device.companyId, recording.recordingId, 'joined');
    const times = await packetTimes(path);
    const [first, second] = [await packetTimes(VP8.path), await packetTimes(VP9.path)];
    expect(times.length).toBe(first.length + second.length);
    expect((times.at(-1) ?? 0) - (second.at(-1) ?? 0)).toBeCloseTo(20, 2);
  });
});
