/** Rewinding on a websocket, with a real journal on a real disk. What exactly a reader gets is outbox.test.ts. */
import type { Socket } from 'node:net';
import { setImmediate } from 'node:timers/promises';
import { createId, decodeViewerFrame, type DevicePrincipal, type ViewerFrame } from '@proofcast/shared';
import { initSegment, openCluster, simpleBlock } from '@proofcast/shared/testing/webm-bytes';
import { loadWebmClip, type WebmClip } from '@proofcast/shared/testing/webm-clip';
import { afterEach, describe, expect, test } from 'vitest';
import { MediaWorld, type MediaWorldOptions } from '../testing/media-world.ts';
import { allKeyPoints, originalOf, readRuns } from '../testing/reader-runs.ts';
import type { TestPublisher } from '../testing/test-publisher.ts';
import type { TestViewer } from '../testing/test-viewer.ts';
import { DEFAULT_MEDIA_LIMITS } from './media-limits.ts';
import { unsentBytes } from './unsent-bytes.ts';

const VP8 = loadWebmClip('vp8');
const VP9 = loadWebmClip('vp9');
const STARTED_AT_US = 1_800_000_000_000_000;
const FAR_FUTURE_US = Number.MAX_SAFE_INTEGER;

describe('a viewer who rewinds', () => {
  let world: MediaWorld;

  afterEach(() => world.close());

  /** A stream with an epoch of each clip, a minute apart, all of it on disk and none of it in memory. */
  async function publishEpochs(
    clips: readonly WebmClip[],
    options: MediaWorldOptions = {},
  ): Promise<{ device: DevicePrincipal; publisher: TestPublisher }> {
    world = await MediaWorld.open(options);
    const device = await world.device();
    const publisher = await world.publisher(device);
    await publisher.hello();
    clips.forEach((clip, epoch) => beginEpoch(publisher, clip, epoch));
    publisher.upload();
    await publisher.untilDurable();
    return { device, publisher };
  }

  function beginEpoch({ maker }: TestPublisher, clip: WebmClip, epoch: number): void {
    maker.epoch({ mimeType: clip.mimeType, startedAtUs: STARTED_AT_US + epoch * 60_000_000 });
    // Finer than the recorder's slices, as when somebody watches.
    for (let at = 0; at < clip.bytes.length; at += 7_000) maker.media(clip.bytes.subarray(at, at + 7_000));
  }

  async function takeFrames(
    viewer: TestViewer,
    isLast: (frame: ViewerFrame) => boolean,
  ): Promise<ViewerFrame[]> {
    const frames: ViewerFrame[] = [];
    do frames.push(await viewer.nextFrame());
    while (!isLast(frames.at(-1) as ViewerFrame));
    return frames;
  }

  /** Up to the last byte of all. */
  const takeAll = (viewer: TestViewer, { maker }: TestPublisher): Promise<ViewerFrame[]> =>
    takeFrames(viewer, ({ kind, sequence }) => kind === 'media' && sequence === maker.chunks.length - 1);

  /** What came on the channel before the relay said that it is held. */
  async function takeHeld(viewer: TestViewer): Promise<{ frames: ViewerFrame[]; atUs: number }> {
    const { atUs } = await viewer.next('held');
    const binary = viewer.unread.filter((received) => received instanceof Uint8Array);
    viewer.unread.length = 0;
    return { frames: binary.map((frame) => decodeViewerFrame(frame)), atUs };
  }

  test('[V8] gets each part of a recording of two epochs, and comes back to live, byte-exact', async () => {
    const { device, publisher } = await publishEpochs([VP8, VP9]);
    const original = originalOf(publisher.maker.chunks);
    const keys = allKeyPoints(original);
    expect(keys.length).toBeGreaterThan(4);
    for (const [number, key] of keys.entries()) {
      const viewer = await world.viewer(device.companyId);
      viewer.watch(1, device.streamId, { fromUs: key.timeUs });
      const frames = await takeAll(viewer, publisher);
      const runs = readRuns(frames, original, `from key point ${number}`);
      expect(runs[0]).toMatchObject({ epoch: key.epoch, start: key.streamStart, isDiscontinuity: false });
      expect(runs.map(({ end }) => end)).toEqual(
        original.epochs.slice(key.epoch).map(({ length }) => length),
      );
      viewer.socket.close();
      await viewer.closed;
    }
    const viewer = await world.viewer(device.companyId);
    viewer.watch(3, device.streamId, { fromUs: 0, untilUs: 0 });
    const { frames, atUs } = await takeHeld(viewer);
    expect(atUs).toBe(keys[1]?.timeUs);
    viewer.say({ type: 'live', data: { channel: 3 } });
    frames.push(...(await takeAll(viewer, publisher)));
    beginEpoch(publisher, VP8, 2);
    publisher.upload(publisher.maker.chunks.findLastIndex(({ epoch }) => epoch === 1) + 1);
    frames.push(...(await takeAll(viewer, publisher)));
    const grown = originalOf(publisher.maker.chunks);
    expect(readRuns(frames, grown, 'back to live')).toMatchObject([
      { epoch: 0, end: keys[1]?.streamStart },
      { epoch: 1, start: keys.at(-1)?.streamStart, end: VP9.bytes.length },
      { epoch: 2, end: VP8.bytes.length },
    ]);
    expect(frames.every(({ channel }) => channel === 3)).toBe(true);
  });

  test('[V9] is told where it is held, and goes on without a missing or doubled byte', async () => {
    const { device, publisher } = await publishEpochs([VP8, VP9]);
    const original = originalOf(publisher.maker.chunks);
    const keys = allKeyPoints(original);
    const viewer = await world.viewer(device.companyId);
    viewer.watch(1, device.streamId, { fromUs: 0, untilUs: (keys[1]?.timeUs ?? 0) - 1 });
    const frames: ViewerFrame[] = [];
    for (const key of keys.slice(1)) {
      const held = await takeHeld(viewer);
      frames.push(...held.frames);
      expect(held.atUs).toBe(key.timeUs);
      // All before that key cluster, and nothing of it.
      const isNextEpoch = key.streamStart === keys.find(({ epoch }) => epoch === key.epoch)?.streamStart;
      const end = isNextEpoch ? original.epochs[key.epoch - 1]?.length : key.streamStart;
      expect(readRuns(frames, original, `held at ${key.timeUs}`).at(-1)?.end).toBe(end);
      viewer.say({ type: 'extend', data: { channel: 1, untilUs: key.timeUs + 1 } });
    }
    frames.push(...(await takeAll(viewer, publisher)));
    expect(readRuns(frames, original, 'all of it').map(({ end }) => end)).toEqual([
      VP8.bytes.length,
      VP9.bytes.length,
    ]);
  });

  test('[V10] seeks on the same channel, and hears of the epoch before its init segment', async () => {
    const { device, publisher } = await publishEpochs([VP8, VP9]);
    const original = originalOf(publisher.maker.chunks);
    const viewer = await world.viewer(device.companyId);
    viewer.watch(9, device.streamId);
    const frames = await takeAll(viewer, publisher);
    viewer.say({ type: 'seek', data: { channel: 9, fromUs: STARTED_AT_US, untilUs: FAR_FUTURE_US } });
    frames.push(...(await takeAll(viewer, publisher)));
    const told: number[] = [];
    for (let n = 0; n < 3; n++) told.push((await viewer.next('epoch')).epoch);
    expect(told).toEqual([1, 0, 1]);
    const runs = readRuns(frames, original, 'seek');
    expect(runs.map(({ epoch, isDiscontinuity }) => [epoch, isDiscontinuity])).toEqual([
      [1, false],
      [0, true],
      [1, true],
    ]);
  });

  test('[V6] may ask about a channel that is not open, or in a way that is none, and the connection goes on', async () => {
    const { device, publisher } = await publishEpochs([VP8]);
    const viewer = await world.viewer(device.companyId);
    viewer.say({ type: 'seek', data: { channel: 5, fromUs: 0, untilUs: 1 } });
    viewer.say({ type: 'extend', data: { channel: 5, untilUs: 1 } });
    viewer.say({ type: 'live', data: { channel: 5 } });
    viewer.socket.send(JSON.stringify({ type: 'seek', data: { channel: 5, fromUs: -1, untilUs: 1 } }));
    expect(await viewer.next('refused')).toMatchObject({ code: 'MESSAGE_INVALID', channel: null });
    viewer.watch(5, device.streamId, { fromUs: 0 });
    await takeAll(viewer, publisher);
  });

  test('[V8] of another company is refused as if there were nothing', async () => {
    const { device } = await publishEpochs([VP8]);
    const foreign = await world.viewer(await world.company());
    foreign.watch(1, device.streamId, { fromUs: 0 });
    expect(await foreign.next('refused')).toMatchObject({ code: 'STREAM_NOT_FOUND', channel: 1 });
    expect(foreign.unread.some((received) => received instanceof Uint8Array)).toBe(false);
  });

  test('[V12] cannot open more connections than a user may have', async () => {
    const { device } = await publishEpochs([VP8], { limits: { maxViewConnectionsPerUser: 2 } });
    const userId = createId('user');
    const viewers = [
      await world.viewer(device.companyId, userId),
      await world.viewer(device.companyId, userId),
    ];
    const third = await world.viewer(device.companyId, userId);
    expect(await third.closed).toMatchObject({ code: 4429, reason: expect.stringMatching(/^LIMIT_REACHED/) });
    await (await world.viewer(device.companyId)).next('streams');
    viewers[0]?.socket.close();
    await viewers[0]?.closed;
    await viewers[1]?.next('streams');
    await (await world.viewer(device.companyId, userId)).next('streams');
  });

  test('[V5] on all channels of a connection that takes nothing holds no more than one may, and gets all later', async () => {
    world = await MediaWorld.open();
    const device = await world.device();
    const publisher = await world.publisher(device);
    await publisher.hello();
    publisher.maker.epoch({ mimeType: VP8.mimeType, startedAtUs: STARTED_AT_US });
    publisher.maker.media(initSegment());
    const picture = Buffer.alloc(1_000_000);
    for (let n = 0; n < 17; n++)
      publisher.maker.media(openCluster(n * 1000, simpleBlock(1, 0, 0x80, picture)));
    publisher.upload();
    await publisher.untilDurable();

    const viewer = await world.viewer(device.companyId);
    await viewer.next('streams');
    viewer.socket.pause();
    const { maxViewerBufferBytes, maxChannelsPerViewer } = DEFAULT_MEDIA_LIMITS;
    for (let channel = 1; channel <= maxChannelsPerViewer; channel++) {
      const fromUs = STARTED_AT_US + (channel % 16) * 1_000_000;
      viewer.watch(channel, device.streamId, { fromUs, untilUs: fromUs });
    }
    const transport = world.viewerTransports[0] as Socket;
    for (let still = 0, before = -1; still < 30; still = before === transport.bytesWritten ? still + 1 : 0) {
      before = transport.bytesWritten;
      for (let turn = 0; turn < 200; turn++) await setImmediate();
      expect(unsentBytes(transport)).toBeLessThanOrEqual(maxViewerBufferBytes + 1_048_576);
    }
    expect(unsentBytes(transport)).toBeGreaterThan(0);
    viewer.socket.resume();
    for (let held = 0; held < maxChannelsPerViewer; held++) await viewer.next('held');
    const frames = viewer.unread.flatMap((each) =>
      each instanceof Uint8Array ? [decodeViewerFrame(each)] : [],
    );
    const original = originalOf(publisher.maker.chunks);
    const keys = allKeyPoints(original);
    for (let channel = 1; channel <= maxChannelsPerViewer; channel++) {
      const own = frames.filter((frame) => frame.channel === channel);
      const runs = readRuns(own, original, `channel ${channel}`);
      const [key, next] = keys.slice(channel % 16);
      expect(runs).toMatchObject([{ start: key?.streamStart, end: next?.streamStart }]);
    }
  });
});
