import {
  CodedError,
  createId,
  decodeViewerFrame,
  type DevicePrincipal,
  type ViewerFrame,
} from '@proofcast/shared';
import { loadWebmClip, type WebmClip } from '@proofcast/shared/testing/webm-clip';
import { initSegment, openCluster, simpleBlock } from '@proofcast/shared/testing/webm-bytes';
import { afterEach, describe, expect, test } from 'vitest';
import { HeldTimers } from '../testing/held-timers.ts';
import { MediaWorld, type MediaWorldOptions } from '../testing/media-world.ts';
import type { TestPublisher } from '../testing/test-publisher.ts';
import type { TestViewer } from '../testing/test-viewer.ts';

const VP8 = loadWebmClip('vp8');
const VP9 = loadWebmClip('vp9');
const GRACE_MS = 54_321;

describe('a viewer', () => {
  let world: MediaWorld;

  afterEach(() => world.close());

  async function openWorld(options: MediaWorldOptions = {}): Promise<DevicePrincipal> {
    world = await MediaWorld.open({ graceMs: GRACE_MS, ...options });
    return world.device();
  }

  /** A publisher that has sent the first slices of a clip. */
  async function publish(device: DevicePrincipal, clip: WebmClip, slices: number): Promise<TestPublisher> {
    const publisher = await world.publisher(device);
    await publisher.hello();
    publisher.maker.epoch({ mimeType: clip.mimeType, sourceName: `Screen of ${clip.name}` });
    clip.slices.slice(0, slices).forEach((slice) => publisher.maker.media(slice));
    publisher.upload();
    await publisher.untilReceived();
    return publisher;
  }

  function sendSlices(publisher: TestPublisher, slices: readonly Uint8Array[]): void {
    const from = publisher.maker.chunks.length;
    slices.forEach((slice) => publisher.maker.media(slice));
    publisher.upload(from);
  }

  const bytesOf = (frames: ViewerFrame[]): Buffer =>
    Buffer.concat(frames.filter((frame) => frame.kind === 'media').map((frame) => frame.payload));

  /** What stands in the clip from the newest key cluster within its first bytes on; the test fails where none begins. */
  function expectFromKeyCluster(frames: ViewerFrame[], clip: WebmClip): void {
    const media = bytesOf(frames);
    const start = Buffer.from(clip.bytes).indexOf(media);
    expect(start).toBeGreaterThan(0);
    // Cluster, RFC 9559.
    expect(media.subarray(0, 4)).toEqual(Buffer.of(0x1f, 0x43, 0xb6, 0x75));
  }

  test('[V2] hears first of all streams of its company and of no other, then of what changes', async () => {
    const device = await openWorld();
    const second = await world.device(device.companyId, 'Desk 2');
    const foreign = await world.device();
    const viewer = await world.viewer(device.companyId);
    viewer.watch(1, device.streamId);
    const first = await viewer.take(() => true);
    if (first instanceof Uint8Array || first.type !== 'streams')
      throw new Error('The snapshot was not first.');
    const { streams, sentAtUs } = first.data;
    expect(sentAtUs).toBeGreaterThan(0);
    const offline = {
      state: { kind: 'offline', sinceMs: null },
      recordingId: null,
      viewerCount: 0,
      sourceName: '',
      hasSound: false,
    };
    expect(streams.toSorted((a, b) => a.deviceName.localeCompare(b.deviceName))).toEqual([
      { streamId: device.streamId, deviceName: 'Desk 1', ...offline },
      { streamId: second.streamId, deviceName: 'Desk 2', ...offline },
    ]);

    const other = await publish(foreign, VP8, 1);
    const publisher = await publish(device, VP8, 1);
    const live = await viewer.untilState(device.streamId, 'live');
    expect(live).toMatchObject({ deviceName: 'Desk 1', recordingId: publisher.maker.start.recordingId });
    expect(await viewer.next('streamChanged')).toMatchObject({ sourceName: 'Screen of vp8' });
    await other.stop();
    await publisher.stop();
    await viewer.untilState(device.streamId, 'offline');
    expect(JSON.stringify(viewer.unread)).not.toContain(foreign.streamId);
  });

  test('[V2] hears of a device that was enrolled, renamed or revoked', async () => {
    const device = await openWorld();
    const viewer = await world.viewer(device.companyId);
    await viewer.next('streams');
    const added = await world.device(device.companyId, 'New desk');
    world.media.refreshStreams(device.companyId);
    expect(await viewer.next('streamChanged')).toMatchObject({
      streamId: added.streamId,
      deviceName: 'New desk',
    });
    const update = (set: { name: string } | { revoked_at_ms: number }) =>
      world.database.updateTable('devices').set(set).where('device_id', '=', added.deviceId).execute();
    await update({ name: 'Old desk' });
    world.media.refreshStreams(device.companyId);
    expect(await viewer.next('streamChanged')).toMatchObject({ deviceName: 'Old desk' });
    await update({ revoked_at_ms: 1 });
    world.media.refreshStreams(device.companyId);
    expect(await viewer.next('streamRemoved')).toEqual({ streamId: added.streamId });
    viewer.watch(1, added.streamId);
    expect(await viewer.next('refused')).toMatchObject({ code: 'STREAM_NOT_FOUND' });
    expect((await world.media.listStreams(device.companyId)).map(({ streamId }) => streamId)).toEqual([
      device.streamId,
    ]);
  });

  test('[V13] hears once of many viewers who come together, and of their number as it is then', async () => {
    const timers = new HeldTimers(500);
    const device = await openWorld({ clock: timers });
    const publisher = await publish(device, VP8, 1);
    const observer = await world.viewer(device.companyId);
    await observer.next('streams');
    const viewers = await Promise.all(Array.from({ length: 20 }, () => world.viewer(device.companyId)));
    for (const viewer of viewers) {
      viewer.watch(1, device.streamId);
      await viewer.framesUntil(1);
    }
    expect(observer.unread).toEqual([]);
    timers.pass();
    expect(await observer.next('streamChanged')).toMatchObject({ viewerCount: 20 });
    viewers[0]?.socket.close();
    while ((await publisher.next('viewers')).viewerCount !== 20);
    while ((await publisher.next('viewers')).viewerCount !== 19);
    viewers[1]?.watch(2, device.streamId);
    await viewers[1]?.framesUntil(1);
    // As many as before: there is nothing to tell.
    timers.pass();
    expect([observer.unread, timers.size]).toEqual([[], 0]);
  });

  test('[V2] hears when the capture stalls and goes on', async () => {
    const device = await openWorld();
    const publisher = await publish(device, VP8, 1);
    const viewer = await world.viewer(device.companyId);
    await viewer.next('streams');
    const { maker } = publisher;
    maker.event({ type: 'capture-stalled', data: {} });
    publisher.upload(maker.chunks.length - 1);
    const stalled = await viewer.untilState(device.streamId, 'capture-stalled');
    maker.event({ type: 'capture-resumed', data: {} });
    publisher.upload(maker.chunks.length - 1);
    const live = await viewer.untilState(device.streamId, 'live');
    expect(stalled.state.sinceMs ?? 0).toBeGreaterThanOrEqual(live.state.sinceMs ?? Number.NaN);
  });

  test('[V3] gets the epoch, the exact init segment, and media from a key cluster on, then what comes live', async () => {
    const device = await openWorld();
    const publisher = await publish(device, VP8, 2);
    const viewer = await world.viewer(device.companyId);
    viewer.watch(7, device.streamId);
    const epoch = await viewer.next('epoch');
    expect(epoch).toMatchObject({ channel: 7, epoch: 0, mimeType: VP8.mimeType });
    expect(epoch.startedAtUs).toBe(publisher.maker.start.startedAtUs);
    expect(Math.abs(epoch.publisherClockOffsetUs)).toBeLessThan(10_000_000);
    const [init, ...caughtUp] = await viewer.framesUntil(2);
    expect(init).toMatchObject({ kind: 'init', channel: 7, epoch: 0, isDiscontinuity: false });
    expect(Buffer.from(VP8.bytes).indexOf(init?.payload ?? Buffer.of())).toBe(0);
    sendSlices(publisher, VP8.slices.slice(2));
    const live = await viewer.framesUntil(3);
    expect(live).toMatchObject([{ kind: 'media', channel: 7, sequence: 3, isDiscontinuity: false }]);
    expect(live[0]?.captureTimeUs).toBe(publisher.maker.chunks[3]?.captureTimeUs);
    expectFromKeyCluster([...caughtUp, ...live], VP8);
    expect(Buffer.from(VP8.bytes).subarray(-bytesOf(live).length)).toEqual(bytesOf(live));
  });

  test('[V3] gets each frame as one message, and text in between whole', async () => {
    const device = await openWorld();
    const publisher = await publish(device, VP8, 1);
    const viewer = await world.viewer(device.companyId);
    viewer.watch(1, device.streamId);
    await viewer.framesUntil(1);
    // The stream's own state changes while its media is sent.
    for (let at = 0; at < 20_000; at += 400) {
      sendSlices(publisher, [VP8.bytes.subarray(30_001 + at, 30_001 + at + 400)]);
      publisher.maker.event({ type: at % 800 === 0 ? 'capture-stalled' : 'capture-resumed', data: {} });
      publisher.upload(publisher.maker.chunks.length - 1);
    }
    const lastMedia = publisher.maker.chunks.length - 2;
    const frames = await viewer.framesUntil(lastMedia);
    expect(bytesOf(frames).equals(VP8.bytes.subarray(30_001, 50_001))).toBe(true);
  });

  test('[V3] watches several streams on one connection', async () => {
    const device = await openWorld();
    const second = await world.device(device.companyId, 'Desk 2');
    await publish(device, VP8, 3);
    await publish(second, VP9, 3);
    const viewer = await world.viewer(device.companyId);
    viewer.watch(1, device.streamId);
    viewer.watch(2, second.streamId);
    const frames: ViewerFrame[] = [];
    const isDone = (channel: number): boolean =>
      frames.some((frame) => frame.channel === channel && frame.sequence === 3 && frame.kind === 'media');
    while (!isDone(1) || !isDone(2)) frames.push(await viewer.nextFrame());
    expectFromKeyCluster(
      frames.filter((frame) => frame.channel === 1),
      VP8,
    );
    expectFromKeyCluster(
      frames.filter((frame) => frame.channel === 2),
      VP9,
    );
  });

  test('[V4] gets a new epoch with its own init segment, marked as a discontinuity', async () => {
    const device = await openWorld();
    const publisher = await publish(device, VP8, 3);
    const viewer = await world.viewer(device.companyId);
    viewer.watch(1, device.streamId);
    await viewer.framesUntil(3);
    publisher.maker.epoch({ mimeType: VP9.mimeType });
    VP9.slices.forEach((slice) => publisher.maker.media(slice));
    publisher.upload(4);
    await viewer.next('epoch');
    expect(await viewer.next('epoch')).toMatchObject({ channel: 1, epoch: 1, mimeType: VP9.mimeType });
    const frames = await viewer.framesUntil(7);
    expect(frames[0]).toMatchObject({ kind: 'init', epoch: 1, isDiscontinuity: true });
    expectFromKeyCluster(frames.slice(1), VP9);
  });

  test('[V3] keeps watching through a loss of the publisher, without a discontinuity', async () => {
    const device = await openWorld();
    const publisher = await publish(device, VP8, 1);
    const viewer = await world.viewer(device.companyId);
    viewer.watch(1, device.streamId);
    await viewer.framesUntil(1);
    publisher.socket.terminate();
    await viewer.untilState(device.streamId, 'reconnecting');
    const again = await world.publisher(device, publisher.maker);
    await again.hello();
    sendSlices(again, VP8.slices.slice(1));
    const frames = await viewer.framesUntil(3);
    expect(frames.map((frame) => [frame.kind, frame.sequence])).toEqual([
      ['media', 2],
      ['media', 3],
    ]);
  });

  test('[V5] that takes nothing is cut off, then ended, while another gets everything', async () => {
    let nowMs = Date.now();
    const timers = new HeldTimers(99_999);
    timers.nowMs = () => nowMs;
    const device = await openWorld({
      clock: timers,
      limits: { maxViewerBufferBytes: 256 * 1024, maxViewerLagMs: 5_000, heartbeatIntervalMs: 99_999 },
    });
    const publisher = await world.publisher(device);
    await publisher.hello();
    publisher.maker.epoch();
    publisher.maker.media(initSegment());
    publisher.maker.media(keyCluster(0));
    publisher.upload();
    const [stuck, quick] = [await world.viewer(device.companyId), await world.viewer(device.companyId)];
    for (const viewer of [stuck, quick]) {
      viewer.watch(1, device.streamId);
      await viewer.framesUntil(2);
    }
    stuck.socket.pause();
    // More than all buffers between here and there hold.
    for (let round = 1; round <= 60; round++) {
      nowMs += 200;
      publisher.maker.media(keyCluster(round));
      publisher.upload(publisher.maker.chunks.length - 1);
      await quick.framesUntil(publisher.maker.chunks.length - 1);
    }
    stuck.socket.resume();
    const ended = await stuck.next('ended');
    expect(ended).toMatchObject({ channel: 1, reason: { code: 'VIEWER_TOO_SLOW' } });
    await publisher.stop();
    expect(await quick.next('ended')).toMatchObject({ reason: { code: 'STREAM_OFFLINE' } });
    // It may watch again.
    stuck.watch(1, device.streamId);
    expect(await stuck.next('refused')).toMatchObject({ code: 'STREAM_OFFLINE', channel: 1 });
  });

  test('[V6] is refused what it may not or cannot watch, and goes on', async () => {
    const device = await openWorld({ limits: { maxChannelsPerViewer: 2 } });
    const foreign = await world.device();
    await publish(foreign, VP8, 1);
    const viewer = await world.viewer(device.companyId);
    await viewer.next('streams');
    for (const streamId of [foreign.streamId, createId('stream')]) {
      viewer.watch(3, streamId);
      expect(await viewer.next('refused')).toMatchObject({ code: 'STREAM_NOT_FOUND', channel: 3 });
    }
    viewer.watch(4, device.streamId);
    expect(await viewer.next('refused')).toMatchObject({ code: 'STREAM_OFFLINE', channel: 4 });
    await publish(device, VP8, 3);
    for (const channel of [4, 5]) viewer.watch(channel, device.streamId);
    viewer.watch(5, device.streamId);
    expect(await viewer.next('refused')).toMatchObject({ code: 'MESSAGE_UNEXPECTED', channel: 5 });
    viewer.watch(6, device.streamId);
    expect(await viewer.next('refused')).toMatchObject({ code: 'LIMIT_REACHED', channel: 6 });
    viewer.say({ type: 'unwatch', data: { channel: 4 } });
    viewer.say({ type: 'unwatch', data: { channel: 77 } });
    viewer.watch(6, device.streamId);
    await viewer.take(
      (received) => received instanceof Uint8Array && decodeViewerFrame(received).channel === 6,
    );
  });

  test('[V6] is told of every message that is none, and closed when there are too many', async () => {
    const device = await openWorld({ limits: { maxViewerMessagesPerSecond: 5 } });
    const viewer = await world.viewer(device.companyId);
    await viewer.next('streams');
    const refusals: [string, string | Buffer][] = [
      ['MESSAGE_INVALID', 'no json'],
      ['MESSAGE_INVALID', '{"type":"watch","data":{"channel":0,"streamId":"x"}}'],
      ['MESSAGE_INVALID', '{"type":"hello"}'],
      ['MESSAGE_INVALID', Buffer.from('binary')],
      ['MESSAGE_TOO_LARGE', JSON.stringify({ type: 'x'.repeat(5000) })],
    ];
    for (const [code, message] of refusals) {
      viewer.socket.send(message);
      expect(await viewer.next('refused')).toMatchObject({ code, channel: null });
    }
    for (let n = 0; n < 30; n++) viewer.socket.send('{}');
    expect(await viewer.closed).toMatchObject({
      code: 4429,
      reason: expect.stringMatching(/^TOO_MANY_REQUESTS/),
    });
  });

  test('[V7] is told why nothing more comes, and may watch the next recording', async () => {
    const timers = new HeldTimers(GRACE_MS);
    const device = await openWorld({ clock: timers });
    const viewer = await world.viewer(device.companyId);
    const ends: [string, (publisher: TestPublisher) => Promise<unknown>, string][] = [
      ['stop', (publisher) => publisher.stop(), 'The publisher stopped sharing.'],
      [
        'loss',
        async (publisher) => {
          publisher.socket.terminate();
          await viewer.untilState(device.streamId, 'reconnecting');
          timers.pass();
        },
        'The publisher did not come back in time.',
      ],
      [
        'another recording',
        () => publish(device, VP9, 1),
        'The recording was followed by another one; watch the stream again.',
      ],
    ];
    for (const [index, [name, end, message]] of ends.entries()) {
      const publisher = await publish(device, VP8, 3);
      viewer.watch(index + 1, device.streamId);
      const sequence = publisher.maker.chunks.length - 1;
      await viewer.framesUntil(sequence);
      await end(publisher);
      const reason = { code: 'STREAM_OFFLINE', message };
      expect(await viewer.next('ended'), name).toEqual({ channel: index + 1, reason });
      viewer.unread.length = 0;
    }
  });

  test('[V7] is told when the device was revoked, and its publisher cannot come back', async () => {
    const device = await openWorld();
    const publisher = await publish(device, VP8, 3);
    const viewer: TestViewer = await world.viewer(device.companyId);
    viewer.watch(1, device.streamId);
    await viewer.framesUntil(3);
    world.media.disconnectDevice(device.deviceId, new CodedError('DEVICE_REVOKED', 'Revoked by a test.'));
    expect(await publisher.closed).toMatchObject({
      code: 4403,
      reason: 'DEVICE_REVOKED: Revoked by a test.',
    });
    expect(await viewer.next('ended')).toMatchObject({ channel: 1, reason: { code: 'DEVICE_REVOKED' } });
    // Also with a token that was made before.
    const again = await world.publisher(device);
    again.hello().catch(() => undefined);
    expect(await again.next('refused')).toMatchObject({ code: 'DEVICE_REVOKED' });
    await viewer.untilState(device.streamId, 'offline');
    await world.media.whenSealed();
    const recordings = await world.media.listRecordings(device.companyId, {});
    expect(
      recordings.find(({ recordingId }) => recordingId === publisher.maker.start.recordingId),
    ).toMatchObject({
      state: 'sealed',
    });
  });

  test('whose session ended is closed, and nobody else is', async () => {
    const device = await openWorld();
    const userId = createId('user');
    const [viewer, other] = [
      await world.viewer(device.companyId, userId),
      await world.viewer(device.companyId),
    ];
    await viewer.next('streams');
    world.media.disconnectUser(userId);
    expect(await viewer.closed).toMatchObject({
      code: 4401,
      reason: expect.stringMatching(/^UNAUTHENTICATED/),
    });
    await other.next('streams');
    await publish(device, VP8, 1);
    await other.untilState(device.streamId, 'live');
  });
});

/** A cluster of half a megabyte that begins with a keyframe, as far as the container says. */
function keyCluster(seconds: number): Uint8Array {
  return openCluster(seconds * 1000, simpleBlock(1, 0, 0x80, new Uint8Array(500_000)));
}
