import type { DevicePrincipal, EpochEndReason } from '@proofcast/shared';
import { loadWebmClip } from '@proofcast/shared/testing/webm-clip';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { ChunkMaker } from '../testing/chunk-maker.ts';
import { HeldTimers } from '../testing/held-timers.ts';
import { MediaWorld } from '../testing/media-world.ts';
import type { TestPublisher } from '../testing/test-publisher.ts';
import type { TestViewer } from '../testing/test-viewer.ts';

const TOLERANCE_MS = 3_456;
const VP8 = loadWebmClip('vp8');

let world: MediaWorld;
let timers: HeldTimers;
let device: DevicePrincipal;
let viewer: TestViewer;
let maker: ChunkMaker;
let publisher: TestPublisher;
/** How many chunks the publisher has sent. */
let sent: number;

beforeEach(async () => {
  sent = 0;
  timers = new HeldTimers(TOLERANCE_MS);
  world = await MediaWorld.open({ clock: timers, limits: { epochToleranceMs: TOLERANCE_MS } });
  device = await world.device();
  viewer = await world.viewer(device.companyId);
  await viewer.next('streams');
  maker = world.maker(device);
  publisher = await world.publisher(device, maker);
  await publisher.hello();
  await viewer.untilState(device.streamId, 'live');
});
afterEach(() => world.close());

async function send(): Promise<void> {
  publisher.upload(sent);
  sent = maker.chunks.length;
  await publisher.untilReceived();
}

async function beginEpoch(): Promise<void> {
  maker.epoch();
  for (const slice of VP8.slices.slice(0, 2)) maker.media(slice);
  await send();
}

async function endEpoch(reason: EpochEndReason): Promise<void> {
  maker.event({ type: 'epoch-ended', data: { reason } });
  await send();
}

const state = async () => (await world.media.listStreams(device.companyId))[0]?.state;

describe('a stream whose publisher is there', () => {
  test('[V14] is broken for its viewers when its recorder has ended and no other one follows, until one does', async () => {
    await beginEpoch();
    const endedAfterMs = timers.nowMs();
    await endEpoch('source-ended');
    expect((await state())?.kind).toBe('live');
    timers.pass();
    const broken = await viewer.untilState(device.streamId, 'capture-stalled');
    expect(broken.state.sinceMs ?? 0).toBeGreaterThanOrEqual(endedAfterMs);
    expect(broken.recordingId).toBe(maker.start.recordingId);
    await beginEpoch();
    await viewer.untilState(device.streamId, 'live');
    expect(timers.size).toBe(0);
  });

  test('[V14] stays live when another recorder follows soon', async () => {
    await beginEpoch();
    await endEpoch('source-changed');
    expect(timers.size).toBe(1);
    await beginEpoch();
    expect(timers.size).toBe(0);
    expect((await state())?.kind).toBe('live');
    expect(JSON.stringify(viewer.unread)).not.toContain('capture-stalled');
  });

  test('[V14] is broken when it never records anything', async () => {
    expect(timers.size).toBe(1);
    timers.pass();
    await viewer.untilState(device.streamId, 'capture-stalled');
  });

  test('[V14] is not said to be broken by the wait for its publisher, and has its time again when that is back', async () => {
    await beginEpoch();
    await endEpoch('page-crashed');
    timers.pass();
    await viewer.untilState(device.streamId, 'capture-stalled');
    publisher.socket.terminate();
    await viewer.untilState(device.streamId, 'reconnecting');
    publisher = await world.publisher(device, maker);
    await publisher.hello();
    await viewer.untilState(device.streamId, 'live');
    timers.pass();
    await viewer.untilState(device.streamId, 'capture-stalled');
    publisher.say({ type: 'stop', data: { chunkCount: maker.chunks.length } });
    await publisher.next('stopped');
    await viewer.untilState(device.streamId, 'offline');
    expect(timers.size).toBe(0);
  });

  test('[V14] whose capture stalls before its recorder ends stays broken since then', async () => {
    await beginEpoch();
    maker.event({ type: 'capture-stalled', data: {} });
    await send();
    const stalled = await viewer.untilState(device.streamId, 'capture-stalled');
    await endEpoch('recorder-failed');
    expect(timers.size).toBe(0);
    expect(await state()).toEqual(stalled.state);
    await beginEpoch();
    await viewer.untilState(device.streamId, 'live');
  });

  test('[V14] leaves no timer behind when it is closed', async () => {
    expect(timers.size).toBe(1);
    await world.shutDown();
    expect(timers.size).toBe(0);
  });
});
