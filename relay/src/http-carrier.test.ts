/** The HTTP carrier and still pictures through the real relay: routes, sessions, publisher and all. */
import { createId, encodeStill, MAX_STILL_BYTES, type Id } from '@proofcast/shared';
import { initSegment, openCluster, simpleBlock } from '@proofcast/shared/testing/webm-bytes';
import { loadWebmClip, type WebmClip } from '@proofcast/shared/testing/webm-clip';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { ChunkMaker } from '../testing/chunk-maker.ts';
import { HeldTimers } from '../testing/held-timers.ts';
import { allKeyPoints, originalOf, readRuns } from '../testing/reader-runs.ts';
import type { TestClient } from '../testing/test-client.ts';
import { TestDevice } from '../testing/test-device.ts';
import { TestHttpViewer } from '../testing/test-http-viewer.ts';
import { TestPublisher } from '../testing/test-publisher.ts';
import { startTestRelay, type TestRelay } from '../testing/test-relay.ts';
import { TestViewer } from '../testing/test-viewer.ts';
import { DEFAULT_MEDIA_LIMITS } from './media-limits.ts';

const VP8 = loadWebmClip('vp8');
const VP9 = loadWebmClip('vp9');
const STARTED_AT_US = 1_800_000_000_000_000;
const { heartbeatIntervalMs, stillIntervalMs, stillWantedMs } = DEFAULT_MEDIA_LIMITS;

let relay: TestRelay;
let admin: TestClient;
let viewer: TestClient;
/** Nobody's; one who needs it sets it before `open`. */
let timers: HeldTimers;

beforeEach(() => {
  timers = new HeldTimers(-1);
});
afterEach(() => relay.close());

async function open(clock: HeldTimers = timers, env: Record<string, string> = {}): Promise<void> {
  timers = clock;
  relay = await startTestRelay({ clock, env });
  admin = await relay.signInAdmin();
  viewer = await relay.signInAs('viewer');
}

async function newPublisher(): Promise<TestPublisher> {
  const device = await TestDevice.enrol(admin);
  const { streamId, ingest } = await device.publishTokens(relay.client());
  return connectPublisher(new ChunkMaker({ streamId, deviceId: device.deviceId }), ingest.token);
}

async function connectPublisher(maker: ChunkMaker, token: string): Promise<TestPublisher> {
  const headers = { authorization: `Bearer ${token}` };
  const publisher = new TestPublisher(await relay.client().open('ingest', { headers }), maker);
  await publisher.hello();
  return publisher;
}

async function publish(publisher: TestPublisher, clip: WebmClip, epoch = 0): Promise<void> {
  const { maker } = publisher;
  const from = maker.chunks.length;
  maker.epoch({ mimeType: clip.mimeType, startedAtUs: STARTED_AT_US + epoch * 60_000_000 });
  for (let at = 0; at < clip.bytes.length; at += 9_000) maker.media(clip.bytes.subarray(at, at + 9_000));
  publisher.upload(from);
  await publisher.untilDurable();
}

const idOf = ({ maker }: TestPublisher): Id => maker.start.streamId;
const newest = ({ maker }: TestPublisher): number => maker.chunks.length - 1;

async function watch(
  client: TestClient,
  streamId: Id,
  query: Record<string, string> = {},
): Promise<TestHttpViewer> {
  const response = await client.fetch('streamLive', { params: { streamId }, query });
  expect(response.status).toBe(200);
  return new TestHttpViewer(response);
}

describe('a stream as an HTTP body', () => {
  test('[H1] [H2] holds what a websocket gets, byte for byte, and says what that is told', async () => {
    await open();
    const publisher = await newPublisher();
    await publish(publisher, VP8);
    const byHttp = await watch(viewer, idOf(publisher), { fromUs: '0' });
    const { ticket } = await viewer.call('createViewTicket');
    const bySocket = new TestViewer(await viewer.open('view', { query: { ticket } }));
    bySocket.watch(1, idOf(publisher), { fromUs: 0 });
    await byHttp.untilSequence(newest(publisher));
    const socketFrames = await bySocket.framesUntil(newest(publisher));
    await publish(publisher, VP9, 1);
    await byHttp.untilSequence(newest(publisher));
    socketFrames.push(...(await bySocket.framesUntil(newest(publisher))));
    expect(byHttp.frames).toEqual(socketFrames);
    const original = originalOf(publisher.maker.chunks);
    expect(readRuns(byHttp.frames, original, 'by HTTP').map(({ end }) => end)).toEqual([
      VP8.bytes.length,
      VP9.bytes.length,
    ]);
    const epochs = [await bySocket.next('epoch'), await bySocket.next('epoch')];
    expect(byHttp.messages).toEqual(epochs.map((data) => ({ type: 'epoch', data })));
    await publisher.stop();
    await byHttp.untilEnd();
    const data = await bySocket.next('ended');
    expect(byHttp.messages.at(-1)).toEqual({ type: 'ended', data });
    expect(data.reason.code).toBe('STREAM_OFFLINE');
  });

  test('[H1] is begun at once and says to proxies that it is to be passed on as it comes', async () => {
    await open();
    const publisher = await newPublisher();
    publisher.maker.epoch();
    publisher.upload();
    await publisher.untilDurable();
    // Nothing can be sent yet: there is no picture.
    const { response } = await watch(viewer, idOf(publisher));
    expect(response.headers.get('cache-control')).toBe('no-store, no-transform');
    expect(response.headers.get('x-accel-buffering')).toBe('no');
    expect(response.headers.get('content-type')).toBe('application/octet-stream');
    expect(response.headers.get('x-content-type-options')).toBe('nosniff');
    expect(response.headers.has('content-length')).toBe(false);
  });

  test('[H3] ends where a websocket would be held, and goes on from there with the next request', async () => {
    await open();
    const publisher = await newPublisher();
    await publish(publisher, VP8);
    const original = originalOf(publisher.maker.chunks);
    const keys = allKeyPoints(original);
    let fromUs = 0;
    const ends: number[] = [];
    for (const key of keys.slice(1)) {
      const part = await watch(viewer, idOf(publisher), {
        fromUs: String(fromUs),
        untilUs: String(fromUs + 1),
      });
      await part.untilEnd();
      expect(part.messages.at(-1)).toEqual({ type: 'held', data: { channel: 1, atUs: key.timeUs } });
      const [run] = readRuns(part.frames, original, `until ${key.timeUs}`);
      expect(run?.start).toBe(ends.at(-1) ?? keys[0]?.streamStart);
      ends.push(run?.end ?? 0);
      fromUs = key.timeUs;
    }
    expect(ends).toEqual(keys.slice(1).map(({ streamStart }) => streamStart));
  });

  test('[H4] is refused like any other request while nothing was sent', async () => {
    await open(timers, { MAX_VIEW_CONNECTIONS_PER_USER: '1' });
    const publisher = await newPublisher();
    const params = { streamId: idOf(publisher) };
    await publish(publisher, VP8);
    expect(await relay.client().refusal('streamLive', { params })).toMatchObject({ code: 'UNAUTHENTICATED' });
    for (const role of ['auditor', 'ops'] as const) {
      expect(await (await relay.signInAs(role)).refusal('streamLive', { params })).toMatchObject({
        code: 'FORBIDDEN',
      });
    }
    const foreign = await relay.signInAs('admin', await relay.createCompany('Elsewhere'));
    expect(await foreign.refusal('streamLive', { params })).toMatchObject({ code: 'STREAM_NOT_FOUND' });
    const query = { fromUs: 'yesterday' };
    expect(await viewer.refusal('streamLive', { params, query })).toMatchObject({ code: 'MESSAGE_INVALID' });
    const one = await watch(viewer, idOf(publisher));
    expect(await viewer.refusal('streamLive', { params })).toMatchObject({ code: 'LIMIT_REACHED' });
    await publisher.stop();
    await one.untilEnd();
    expect(await viewer.refusal('streamLive', { params })).toMatchObject({ code: 'STREAM_OFFLINE' });
  });

  test('[H4] is answered to HEAD with its headers and without a reader', async () => {
    await open();
    const publisher = await newPublisher();
    await publish(publisher, VP8);
    const params = { streamId: idOf(publisher) };
    const response = await viewer.fetch('streamLive', { params, method: 'HEAD' });
    expect([response.status, await response.text()]).toEqual([200, '']);
    expect(response.headers.get('x-accel-buffering')).toBe('no');
    const [view] = (await viewer.call('streams')).streams;
    expect(view?.viewerCount).toBe(0);
    const missing = await viewer.fetch('streamLive', {
      params: { streamId: createId('stream') },
      method: 'HEAD',
    });
    expect(missing.status).toBe(404);
  });

  test('[H4] ends with the session of its viewer, and says so', async () => {
    await open();
    const publisher = await newPublisher();
    await publish(publisher, VP8);
    const [mine, other] = [await watch(viewer, idOf(publisher)), await watch(admin, idOf(publisher))];
    await mine.untilSequence(newest(publisher));
    await viewer.call('signOut');
    await mine.untilEnd();
    expect(mine.messages.at(-1)).toMatchObject({
      type: 'ended',
      data: { reason: { code: 'UNAUTHENTICATED' } },
    });
    await publish(publisher, VP9, 1);
    await other.untilSequence(newest(publisher));
  });

  test('[H4] ends when the relay shuts down, and says so', async () => {
    await open();
    const publisher = await newPublisher();
    await publish(publisher, VP8);
    const body = await watch(viewer, idOf(publisher));
    await body.untilSequence(newest(publisher));
    const closing = relay.relay.close();
    await body.untilEnd();
    expect(body.messages.at(-1)).toMatchObject({
      type: 'ended',
      data: { reason: { code: 'SHUTTING_DOWN' } },
    });
    await closing;
  });

  test('[H2] shows that it lives while there is nothing to send, and is let go when its viewer hangs up', async () => {
    await open(new HeldTimers(heartbeatIntervalMs));
    const publisher = await newPublisher();
    await publish(publisher, VP8);
    const body = await watch(viewer, idOf(publisher));
    await body.untilSequence(newest(publisher));
    // The first beat notices that there was something.
    timers.pass();
    timers.pass();
    await body.untilBeat();
    await body.leave();
    await publisher.take(
      (received) => 'type' in received && received.type === 'viewers' && received.data.viewerCount === 0,
    );
  });

  test('[V5] that is not read is cut off and ended with the reason, while another gets everything', async () => {
    let nowMs = Date.now();
    timers.nowMs = () => nowMs;
    await open(timers);
    const publisher = await newPublisher();
    await publish(publisher, VP8);
    const [stuck, quick] = [await watch(viewer, idOf(publisher)), await watch(viewer, idOf(publisher))];
    for (const body of [stuck, quick]) await body.untilSequence(newest(publisher));
    const { maker } = publisher;
    maker.epoch({ startedAtUs: STARTED_AT_US });
    maker.media(initSegment());
    publisher.upload(newest(publisher) - 1);
    // More than all buffers between here and there hold.
    for (let second = 0; second < 60; second++) {
      nowMs += 200;
      maker.media(openCluster(second * 1000, simpleBlock(1, 0, 0x80, new Uint8Array(500_000))));
      publisher.upload(newest(publisher));
      await quick.untilSequence(newest(publisher));
    }
    nowMs += DEFAULT_MEDIA_LIMITS.maxViewerLagMs;
    maker.media(openCluster(60_000, simpleBlock(1, 0, 0x80)));
    publisher.upload(newest(publisher));
    await stuck.untilEnd();
    expect(stuck.messages.at(-1)).toMatchObject({
      type: 'ended',
      data: { reason: { code: 'VIEWER_TOO_SLOW' } },
    });
    await quick.untilSequence(newest(publisher));
    const original = originalOf(maker.chunks);
    readRuns(stuck.frames, original, 'stuck');
    expect(readRuns(quick.frames, original, 'quick').at(-1)?.end).toBe(original.epochs[1]?.length);
  });
});

describe('still pictures', () => {
  const jpeg = (number: number, byteLength = 64): Uint8Array => {
    const picture = new Uint8Array(byteLength).fill(number);
    picture.set([0xff, 0xd8, 0xff, 0xe0]);
    return picture;
  };

  test('[H5] [H6] are asked of the publisher, served, and forgotten when nobody asks any more', async () => {
    await open(new HeldTimers(stillWantedMs));
    const publisher = await newPublisher();
    await publish(publisher, VP8);
    const params = { streamId: idOf(publisher) };
    expect(await viewer.refusal('streamStill', { params })).toMatchObject({ code: 'STILL_NOT_FOUND' });
    expect(await publisher.next('stills')).toEqual({ intervalMs: stillIntervalMs });
    publisher.sendFrame(encodeStill({ captureTimeUs: 1_700_000_000_000_001, payload: jpeg(1) }));
    // An acknowledgement that comes behind it says that the relay has it.
    publisher.upload(newest(publisher));
    await publisher.next('ack');
    const response = await viewer.fetch('streamStill', { params });
    expect(new Uint8Array(await response.arrayBuffer())).toEqual(jpeg(1));
    expect(response.headers.get('content-type')).toBe('image/jpeg');
    expect(response.headers.get('cache-control')).toBe('no-store');
    expect(response.headers.get('x-content-type-options')).toBe('nosniff');
    expect(response.headers.get('x-capture-time-us')).toBe('1700000000000001');
    timers.pass();
    expect(await publisher.next('stills')).toEqual({ intervalMs: null });
    expect(await viewer.refusal('streamStill', { params })).toMatchObject({ code: 'STILL_NOT_FOUND' });
  });

  test('[H6] are asked of a publisher that comes while they are wanted, and no longer of the one before', async () => {
    await open();
    const device = await TestDevice.enrol(admin);
    const { streamId, ingest } = await device.publishTokens(relay.client());
    const ids = { streamId, deviceId: device.deviceId };
    const first = await connectPublisher(new ChunkMaker(ids), ingest.token);
    await publish(first, VP8);
    await viewer.refusal('streamStill', { params: { streamId } });
    expect(await first.next('stills')).toEqual({ intervalMs: stillIntervalMs });
    first.socket.terminate();
    await first.closed;
    const again = await connectPublisher(first.maker, ingest.token);
    expect(await again.next('stills')).toEqual({ intervalMs: stillIntervalMs });
    // Another recording of the stream takes its place.
    const next = await connectPublisher(new ChunkMaker(ids, first.maker.start.startedAtUs + 1), ingest.token);
    expect(await next.next('stills')).toEqual({ intervalMs: stillIntervalMs });
    expect(await again.next('stills')).toEqual({ intervalMs: null });
  });

  test('[H7] are neither numbered, acknowledged, nor in the recording, and a bad one changes nothing', async () => {
    await open();
    const publisher = await newPublisher();
    await publish(publisher, VP8);
    const params = { streamId: idOf(publisher) };
    await viewer.refusal('streamStill', { params });
    publisher.sendFrame(encodeStill({ captureTimeUs: 5, payload: jpeg(2) }));
    publisher.sendFrame(encodeStill({ captureTimeUs: 6, payload: Uint8Array.of(0x89, 0x50, 0x4e, 0x47) }));
    const expectedSequence = publisher.maker.chunks.length;
    expect(await publisher.next('refused')).toMatchObject({ code: 'CHUNK_FRAME_INVALID', expectedSequence });
    publisher.sendFrame(encodeStill({ captureTimeUs: 7, payload: jpeg(3, MAX_STILL_BYTES + 1) }));
    expect(await publisher.next('refused')).toMatchObject({ code: 'CHUNK_TOO_LARGE', expectedSequence });
    expect(await publisher.stop()).toMatchObject({ chunkCount: expectedSequence });
    expect(await viewer.refusal('streamStill', { params })).toMatchObject({ code: 'STREAM_OFFLINE' });
  });

  test('[H5] of another company do not exist, and those of a foreign id neither', async () => {
    await open();
    const publisher = await newPublisher();
    await publish(publisher, VP8);
    const foreign = await relay.signInAs('admin', await relay.createCompany('Elsewhere'));
    for (const [client, streamId] of [
      [foreign, idOf(publisher)],
      [viewer, createId('stream')],
    ] as const) {
      expect(await client.refusal('streamStill', { params: { streamId } })).toMatchObject({
        code: 'STREAM_NOT_FOUND',
      });
    }
    expect(
      await (
        await relay.signInAs('auditor')
      ).refusal('streamStill', { params: { streamId: idOf(publisher) } }),
    ).toMatchObject({
      code: 'FORBIDDEN',
    });
    // Nobody who may see them has asked.
    publisher.upload(newest(publisher));
    await publisher.next('ack');
    expect(publisher.unread.some((received) => 'type' in received && received.type === 'stills')).toBe(false);
  });
});
