import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setImmediate } from 'node:timers/promises';
import {
  createId,
  encodeChunk,
  MAX_CHUNK_PAYLOAD_BYTES,
  WebmScanner,
  type Chunk,
  type DevicePrincipal,
} from '@proofcast/shared';
import { loadWebmClip } from '@proofcast/shared/testing/webm-clip';
import { afterEach, describe, expect, test } from 'vitest';
import { WebSocket } from 'ws';
import { FailingFolder } from '../testing/failing-folder.ts';
import { HeldTimers } from '../testing/held-timers.ts';
import { MediaWorld, type MediaWorldOptions } from '../testing/media-world.ts';
import type { TestPublisher } from '../testing/test-publisher.ts';

const CLIP = loadWebmClip('vp8');
const GRACE_MS = 54_321;

describe('a publisher', () => {
  let world: MediaWorld;

  afterEach(() => world.close());

  async function openWorld(options: MediaWorldOptions = {}): Promise<DevicePrincipal> {
    world = await MediaWorld.open({ graceMs: GRACE_MS, ...options });
    return world.device();
  }

  /** A publisher that is welcome and has begun an epoch. */
  async function begin(device: DevicePrincipal, maker = world.maker(device)): Promise<TestPublisher> {
    const publisher = await world.publisher(device, maker);
    await publisher.hello();
    maker.epoch({ mimeType: CLIP.mimeType });
    publisher.upload();
    return publisher;
  }

  const stateOf = async ({ companyId }: DevicePrincipal) => (await world.media.listStreams(companyId))[0];

  test('[I3] begins a recording, and is told what comes next and what it may do', async () => {
    const device = await openWorld({ limits: { windowBytes: 1234, maxChunksPerRecording: 77 } });
    const publisher = await world.publisher(device);
    expect(await publisher.hello()).toMatchObject({
      recordingId: publisher.maker.start.recordingId,
      nextSequence: 0,
      epoch: null,
      maxPayloadBytes: MAX_CHUNK_PAYLOAD_BYTES,
      windowBytes: 1234,
      maxChunks: 77,
      maxEpochs: 10_000,
      maxEvents: 100_000,
      viewerCount: 0,
    });
    expect(await publisher.next('ack')).toEqual({ received: 0, durable: 0 });
    expect(await stateOf(device)).toMatchObject({
      state: { kind: 'live' },
      recordingId: publisher.maker.start.recordingId,
    });
  });

  test('[I2] must say hello first, in a version that is spoken here, and in time', async () => {
    const timers = new HeldTimers(777);
    const device = await openWorld({ clock: timers, limits: { helloTimeoutMs: 777 } });
    const early = await world.publisher(device);
    early.maker.epoch();
    early.upload();
    expect(await early.next('refused')).toMatchObject({ code: 'MESSAGE_UNEXPECTED', expectedSequence: 0 });
    early.say({ type: 'stop', data: { chunkCount: 0 } });
    expect(await early.next('refused')).toMatchObject({ code: 'MESSAGE_UNEXPECTED' });
    await early.hello();
    early.say({
      type: 'hello',
      data: { protocol: 1, recordingId: createId('recording'), startedAtUs: 0, sentAtUs: 0 },
    });
    expect(await early.next('refused')).toMatchObject({ code: 'MESSAGE_UNEXPECTED' });

    const newer = await world.publisher(device);
    newer.hello({ protocol: 99 }).catch(() => undefined);
    expect(await newer.next('refused')).toMatchObject({
      code: 'PROTOCOL_UNSUPPORTED',
      details: { supported: 1 },
    });
    expect(await newer.closed).toMatchObject({ code: 4400 });

    const silent = await world.publisher(device);
    timers.pass();
    expect(await silent.closed).toMatchObject({ code: 4504, reason: expect.stringMatching(/^TIMEOUT: /) });
  });

  test('[I9] is told of every message that is none, and goes on', async () => {
    const device = await openWorld();
    const publisher = await begin(device);
    for (const text of ['', 'no json', '[]', '{"type":"bye"}', '{"type":"stop","data":{"chunkCount":-1}}']) {
      publisher.socket.send(text);
      expect(await publisher.next('refused'), text).toMatchObject({
        code: 'MESSAGE_INVALID',
        expectedSequence: 1,
      });
    }
    publisher.socket.send(JSON.stringify({ type: 'x'.repeat(20_000) }));
    expect(await publisher.next('refused')).toMatchObject({ code: 'MESSAGE_TOO_LARGE' });
    publisher.maker.media(CLIP.slices[0] ?? Buffer.of());
    publisher.upload(1);
    await publisher.untilDurable(2);
  });

  test('[I10] has its chunks counted as received soon, and as durable after the sync', async () => {
    let disk: FailingFolder | undefined;
    const device = await openWorld({ wrapJournals: (folder) => (disk = new FailingFolder(folder)) });
    const publisher = await begin(device);
    await publisher.untilDurable(1);
    let release = (): void => undefined;
    if (disk) disk.hold = new Promise((resolve) => (release = resolve));
    publisher.maker.media(CLIP.slices[0] ?? Buffer.of());
    publisher.upload(1);
    await publisher.take(
      (message) => 'type' in message && message.type === 'ack' && message.data.received === 2,
    );
    expect(publisher.unread.filter((message) => 'type' in message && message.type === 'ack')).toEqual([]);
    release();
    expect(await publisher.next('ack')).toEqual({ received: 2, durable: 2 });
  });

  test('[I10] is told of what it sent in one message, but at once when that is much of its window', async () => {
    let disk: FailingFolder | undefined;
    const timers = new HeldTimers(778);
    const device = await openWorld({
      clock: timers,
      limits: { maxAckDelayMs: 778, windowBytes: 8 * 1024 },
      wrapJournals: (folder) => (disk = new FailingFolder(folder)),
    });
    const publisher = await begin(device);
    await publisher.untilDurable(1);
    let release = (): void => undefined;
    if (disk) disk.hold = new Promise((resolve) => (release = resolve));
    publisher.maker.media(CLIP.bytes.subarray(0, 200));
    publisher.upload(1);
    await expect.poll(() => timers.size).toBe(1);
    publisher.maker.media(CLIP.bytes.subarray(200, 400));
    publisher.upload(2);
    publisher.socket.send('no json');
    await publisher.next('refused');
    expect(publisher.unread).toEqual([]);
    timers.pass();
    expect(await publisher.next('ack')).toEqual({ received: 3, durable: 1 });
    publisher.maker.media(CLIP.bytes.subarray(400, 1400));
    publisher.upload(3);
    expect(await publisher.next('ack')).toEqual({ received: 4, durable: 1 });
    release();
    await publisher.untilDurable(4);
    expect(timers.size).toBe(0);
  });

  test('[I5] has what it repeats dropped and counted, and is told the number when it skips one', async () => {
    const device = await openWorld();
    const publisher = await begin(device);
    const { maker } = publisher;
    maker.media(CLIP.slices[0] ?? Buffer.of());
    maker.media(CLIP.slices[1] ?? Buffer.of());
    publisher.sendFrame(maker.frame(2));
    expect(await publisher.next('refused')).toMatchObject({
      code: 'CHUNK_SEQUENCE_GAP',
      expectedSequence: 1,
      details: { expected: 1 },
    });
    publisher.upload(1);
    await publisher.untilDurable(3);
    publisher.upload(0);
    expect(await publisher.next('ack')).toEqual({ received: 3, durable: 3 });
    // Also when it is not the same chunk: what is written stays.
    const other = encodeChunk({ ...(maker.chunks[2] as Chunk), payload: Uint8Array.of(1) });
    publisher.sendFrame(other);
    expect(await publisher.next('ack')).toEqual({ received: 3, durable: 3 });
    expect(await publisher.stop()).toMatchObject({ chunkCount: 3 });
  });

  test('[I9] may send anything: each is refused with its code, and the next right chunk is taken', async () => {
    const device = await openWorld();
    const publisher = await begin(device);
    const { maker } = publisher;
    const media = (fields: Partial<Chunk> = {}): Uint8Array =>
      encodeChunk(maker.draft({ payload: CLIP.slices[0] ?? Buffer.of(), ...fields }));
    const wrongHash = media();
    wrongHash[wrongHash.length - 1] = (wrongHash.at(-1) ?? 0) ^ 1;
    const wrongVersion = media();
    wrongVersion[0] = 9;
    const refusals: [string, Uint8Array][] = [
      ['CHUNK_FRAME_INVALID', Uint8Array.of()],
      ['CHUNK_FRAME_INVALID', new Uint8Array(100)],
      ['CHUNK_FRAME_INVALID', media({ payload: Uint8Array.of() })],
      ['CHUNK_FRAME_INVALID', wrongVersion],
      ['CHUNK_FRAME_INVALID', media().subarray(0, 500)],
      ['CHUNK_TOO_LARGE', media({ payload: new Uint8Array(MAX_CHUNK_PAYLOAD_BYTES + 1) })],
      ['CHUNK_TOO_LARGE', media({ payload: new Uint8Array(3 * MAX_CHUNK_PAYLOAD_BYTES) })],
      ['CHUNK_HASH_MISMATCH', wrongHash],
      ['CHUNK_CHAIN_MISMATCH', media({ chain: new Uint8Array(32) })],
      // What the chain covers is not what the frame says.
      ['CHUNK_CHAIN_MISMATCH', media({ chain: maker.draft({ captureTimeUs: 1 }).chain })],
      ['CHUNK_EPOCH_INVALID', media({ epoch: 1 })],
      ['CHUNK_EPOCH_INVALID', media({ epoch: 7 })],
      [
        'CHUNK_EPOCH_INVALID',
        encodeChunk(maker.draft({ kind: 'event', payload: maker.chunks[0]?.payload ?? Buffer.of() })),
      ],
      ['EVENT_INVALID', encodeChunk(maker.draft({ kind: 'event', payload: Buffer.from('{}') }))],
    ];
    for (const [code, frame] of refusals) {
      publisher.sendFrame(frame);
      expect(await publisher.next('refused'), code).toMatchObject({ code, expectedSequence: 1 });
    }
    CLIP.slices.forEach((slice) => maker.media(slice));
    publisher.upload(1);
    await publisher.untilDurable();
  });

  test('[I6] has a chunk with a wrong hash never written', async () => {
    const device = await openWorld();
    const publisher = await begin(device);
    const secret = 'these bytes must not reach the disk';
    const frame = encodeChunk(
      publisher.maker.draft({ payload: Buffer.from(secret), sha256: new Uint8Array(32) }),
    );
    publisher.sendFrame(frame);
    expect(await publisher.next('refused')).toMatchObject({ code: 'CHUNK_HASH_MISMATCH' });
    await publisher.untilDurable(1);
    await world.shutDown();
    const folder = join(world.dataDir, 'journals');
    const [name = ''] = await readdir(folder);
    expect((await readFile(join(folder, name))).includes(secret)).toBe(false);
  });

  test('[J1] has its signatures and proofs kept as it made them, whoever watches meanwhile', async () => {
    const device = await openWorld();
    const publisher = await begin(device);
    const { maker } = publisher;
    const [first = Buffer.of(), ...slices] = CLIP.slices;
    maker.media(first);
    publisher.upload(1);
    await publisher.untilDurable();
    const begun = maker.chunks.length;
    const viewer = await world.viewer(device.companyId);
    viewer.watch(1, device.streamId);
    await viewer.framesUntil(begun - 1);
    const signatureOf = (sequence: number) => Buffer.alloc(64, 0x80 + sequence);
    for (const slice of slices) maker.media(slice);
    for (const chunk of maker.chunks.slice(begun)) {
      publisher.sendFrame(encodeChunk({ ...chunk, signature: signatureOf(chunk.sequence) }));
    }
    await viewer.framesUntil(maker.chunks.length - 1);
    await publisher.untilDurable();
    await world.shutDown();
    const folder = join(world.dataDir, 'journals');
    const [name = ''] = await readdir(folder);
    const journal = await readFile(join(folder, name));
    for (const chunk of maker.chunks.slice(begun)) {
      expect(journal.includes(Buffer.concat([chunk.chain, signatureOf(chunk.sequence)]))).toBe(true);
    }
  });

  test('[C2] has a chunk refused whose chain value covers another head, another payload or another chunk before', async () => {
    const device = await openWorld();
    const publisher = await begin(device);
    const { maker } = publisher;
    const payload = CLIP.slices[0] ?? Buffer.of();
    const right = maker.draft({ payload });
    const wrongChains = [
      maker.draft({ payload, captureTimeUs: right.captureTimeUs + 1 }).chain,
      maker.draft({ payload: CLIP.slices[1] ?? Buffer.of() }).chain,
      world.maker(device).draft({ payload, epoch: 0, sequence: 1, captureTimeUs: right.captureTimeUs }).chain,
    ];
    for (const chain of wrongChains) {
      publisher.sendFrame(encodeChunk({ ...right, chain }));
      expect(await publisher.next('refused')).toMatchObject({
        code: 'CHUNK_CHAIN_MISMATCH',
        expectedSequence: 1,
      });
    }
    publisher.sendFrame(encodeChunk(right));
    await publisher.untilDurable(2);
  });

  test('[I8] has an epoch of garbage refused until a new one begins, and other streams do not notice', async () => {
    const device = await openWorld();
    const neighbour = await begin(await world.device(device.companyId, 'Desk 2'));
    const publisher = await begin(device);
    const { maker } = publisher;
    for (const payload of [Buffer.from('garbage, no webm'), CLIP.slices[0] ?? Buffer.of()]) {
      publisher.sendFrame(encodeChunk(maker.draft({ payload })));
      expect(await publisher.next('refused')).toMatchObject({ code: 'WEBM_INVALID', expectedSequence: 1 });
    }
    maker.epoch();
    CLIP.slices.forEach((slice) => maker.media(slice));
    publisher.upload(1);
    await publisher.untilDurable();
    await publisher.stop();

    CLIP.slices.forEach((slice) => neighbour.maker.media(slice));
    neighbour.upload(1);
    await neighbour.untilDurable();
    expect(neighbour.unread.some((message) => 'type' in message && message.type === 'refused')).toBe(false);
    await neighbour.stop();
    await world.media.whenSealed();
    const recordings = await world.media.listRecordings(device.companyId, {});
    expect(recordings.map(({ state }) => state)).toEqual(['sealed', 'sealed']);
  });

  test('that never sends anything right is closed in the end', async () => {
    const device = await openWorld({ limits: { maxConsecutiveRefusals: 5 } });
    const publisher = await begin(device);
    for (let i = 0; i < 5; i++) publisher.sendFrame(new Uint8Array(10));
    expect(await publisher.closed).toMatchObject({
      code: 4400,
      reason: expect.stringMatching(/^CHUNK_FRAME_INVALID/),
    });
    expect(await stateOf(device)).toMatchObject({ state: { kind: 'reconnecting' } });
  });

  test('[I2] cannot touch what belongs to another stream, device or start, nor see that it exists', async () => {
    const device = await openWorld();
    const owner = await begin(device);
    await owner.untilDurable();
    const { start } = owner.maker;
    const others: [DevicePrincipal, object][] = [
      [await world.device(), {}],
      [await world.device(device.companyId), {}],
      [await world.stream(device, 1), {}],
      [device, { startedAtUs: start.startedAtUs + 1 }],
    ];
    for (const [principal, fields] of others) {
      const other = await world.publisher(principal, owner.maker);
      other.hello(fields).catch(() => undefined);
      expect(await other.next('refused')).toMatchObject({ code: 'RECORDING_NOT_FOUND' });
      expect(await other.closed).toMatchObject({ code: 4404 });
    }
    expect(await stateOf(device)).toMatchObject({ state: { kind: 'live' } });
    await owner.stop();
    await world.media.whenSealed();
    const late = await world.publisher(others[0]?.[0] as DevicePrincipal, owner.maker);
    late.hello().catch(() => undefined);
    expect(await late.next('refused')).toMatchObject({ code: 'RECORDING_NOT_FOUND' });
  });

  test('[I2] of a device that does not exist, or was revoked, publishes nothing', async () => {
    const device = await openWorld();
    const strangers = [
      { ...device, streamId: createId('stream') },
      { ...device, companyId: createId('company') },
      { ...device, deviceId: createId('device') },
    ];
    await world.database
      .updateTable('devices')
      .set({ revoked_at_ms: 1 })
      .where('device_id', '=', device.deviceId)
      .execute();
    for (const stranger of [...strangers, device]) {
      const publisher = await world.publisher(stranger);
      publisher.hello().catch(() => undefined);
      expect(await publisher.next('refused')).toMatchObject({ code: 'STREAM_NOT_FOUND' });
      expect(await publisher.closed).toMatchObject({ code: 4404 });
    }
    expect(await readdir(join(world.dataDir, 'journals'))).toEqual([]);
  });

  test('[I12] is closed when a second connection of the same stream comes, which goes on where it was', async () => {
    const device = await openWorld();
    const first = await begin(device);
    CLIP.slices.forEach((slice) => first.maker.media(slice));
    first.sendFrame(first.maker.frame(1));
    await first.untilReceived(2);
    const second = await world.publisher(device, first.maker);
    const welcome = await second.hello();
    expect(await first.closed).toMatchObject({ code: 4409, reason: expect.stringMatching(/^STREAM_TAKEN/) });
    expect(welcome).toMatchObject({ nextSequence: 2, epoch: 0 });
    second.upload(2);
    await second.untilDurable();
    await second.stop();
  });

  test('[I12] goes on beside one of another recording, and what is captured now is what viewers get', async () => {
    const device = await openWorld();
    const first = await begin(device);
    await first.untilDurable();
    const second = await world.publisher(device);
    await second.hello({ isCapturing: false });
    expect((await stateOf(device))?.recordingId).toBe(first.maker.start.recordingId);
    const third = await begin(device);
    expect((await stateOf(device))?.recordingId).toBe(third.maker.start.recordingId);
    const states = (await world.media.listRecordings(device.companyId, {})).map(({ state }) => state);
    expect(states).toEqual(['recording', 'recording', 'recording']);
    for (const publisher of [first, second, third]) {
      if (publisher === second) publisher.maker.epoch({ mimeType: CLIP.mimeType });
      publisher.maker.media(CLIP.slices[0] as Uint8Array);
      publisher.upload();
      await publisher.untilDurable();
      expect(await publisher.stop()).toMatchObject({ chunkCount: 2 });
    }
  });

  test('[I12] of what was captured earlier is never shown as live', async () => {
    const device = await openWorld();
    const publisher = await world.publisher(device);
    await publisher.hello({ isCapturing: false });
    publisher.maker.epoch({ mimeType: CLIP.mimeType });
    publisher.upload();
    await publisher.untilDurable();
    expect(await stateOf(device)).toMatchObject({ state: { kind: 'offline' }, recordingId: null });
  });

  test('[U6] may tell what waits on its disk once it is welcome, and not before', async () => {
    const device = await openWorld();
    const publisher = await world.publisher(device);
    const status = { type: 'status', data: { backlogBytes: 9, backlogChunks: 3 } } as const;
    publisher.say(status);
    expect(await publisher.next('refused')).toMatchObject({ code: 'MESSAGE_UNEXPECTED' });
    await publisher.hello();
    publisher.say(status);
    publisher.maker.epoch({ mimeType: CLIP.mimeType });
    publisher.upload();
    await publisher.untilDurable();
    publisher.say({ type: 'status', data: { backlogBytes: -1, backlogChunks: 0 } });
    expect(await publisher.next('refused')).toMatchObject({ code: 'MESSAGE_INVALID' });
  });

  test('[I13] that is lost is waited for, and goes on with what the relay has not got', async () => {
    const device = await openWorld();
    const publisher = await begin(device);
    CLIP.slices.forEach((slice) => publisher.maker.media(slice));
    publisher.sendFrame(publisher.maker.frame(1));
    await publisher.untilReceived(2);
    const viewer = await world.viewer(device.companyId);
    await viewer.next('streams');
    publisher.socket.terminate();
    await viewer.untilState(device.streamId, 'reconnecting');

    const again = await world.publisher(device, publisher.maker);
    expect(await again.hello()).toMatchObject({ nextSequence: 2, epoch: 0 });
    await viewer.untilState(device.streamId, 'live');
    expect(await again.next('ack')).toMatchObject({ received: 2 });
    again.upload(2);
    await again.untilDurable();
    await again.stop();
    await viewer.untilState(device.streamId, 'offline');
  });

  test('[I13] that does not come back in time finds its recording provisional, and goes on in it', async () => {
    const timers = new HeldTimers(GRACE_MS);
    const device = await openWorld({ clock: timers });
    const publisher = await begin(device);
    CLIP.slices.forEach((slice) => publisher.maker.media(slice));
    publisher.sendFrame(publisher.maker.frame(1));
    await publisher.untilDurable(2);
    const viewer = await world.viewer(device.companyId);
    await viewer.next('streams');
    publisher.socket.terminate();
    await viewer.untilState(device.streamId, 'reconnecting');
    timers.pass();
    const { state } = await viewer.untilState(device.streamId, 'offline');
    expect(state.sinceMs).toBeGreaterThan(0);
    await world.media.whenSealed();
    expect(await world.media.listRecordings(device.companyId, {})).toMatchObject([{ state: 'provisional' }]);

    const late = await world.publisher(device, publisher.maker);
    expect(await late.hello()).toMatchObject({ nextSequence: 2, epoch: 0 });
    await viewer.untilState(device.streamId, 'live');
    late.upload(2);
    await late.untilDurable();
    await late.stop();
    await world.media.whenSealed();
    expect(await world.media.listRecordings(device.companyId, {})).toMatchObject([{ state: 'sealed' }]);
  });

  test('[I13] that comes back in the last moment keeps its recording', async () => {
    const timers = new HeldTimers(GRACE_MS);
    const device = await openWorld({ clock: timers });
    const publisher = await begin(device);
    await publisher.untilDurable();
    const viewer = await world.viewer(device.companyId);
    await viewer.next('streams');
    publisher.socket.terminate();
    await viewer.untilState(device.streamId, 'reconnecting');
    const again = await world.publisher(device, publisher.maker);
    await again.hello();
    expect(timers.size).toBe(0);
    timers.pass();
    CLIP.slices.forEach((slice) => again.maker.media(slice));
    again.upload(1);
    await again.untilDurable();
  });

  test('[I14] stops: everything is durable when it hears so, and the recording takes nothing after it', async () => {
    const device = await openWorld();
    const publisher = await begin(device);
    CLIP.slices.forEach((slice) => publisher.maker.media(slice));
    publisher.say({ type: 'stop', data: { chunkCount: 4 } });
    expect(await publisher.next('refused')).toMatchObject({
      code: 'CHUNK_SEQUENCE_GAP',
      expectedSequence: 1,
    });
    publisher.upload(1);
    expect(await publisher.stop()).toEqual({ recordingId: publisher.maker.start.recordingId, chunkCount: 4 });
    expect(await publisher.closed).toEqual({ code: 1000, reason: 'stopped' });
    const acks = publisher.unread.filter((message) => 'type' in message && message.type === 'ack');
    expect(acks.at(-1)).toMatchObject({ data: { received: 4, durable: 4 } });

    const again = await world.publisher(device, publisher.maker);
    again.hello().catch(() => undefined);
    expect(await again.next('refused')).toMatchObject({
      code: 'RECORDING_SEALED',
      details: { chunkCount: 4 },
    });
  });

  test('[I14] that stops while a second connection of it comes has its end, and that one is told so', async () => {
    let disk: FailingFolder | undefined;
    const device = await openWorld({ wrapJournals: (folder) => (disk = new FailingFolder(folder)) });
    const publisher = await begin(device);
    const { maker } = publisher;
    maker.media(CLIP.bytes);
    publisher.upload(1);
    await publisher.untilDurable(2);
    let release = (): void => undefined;
    if (disk) disk.hold = new Promise((resolve) => (release = resolve));
    const stopped = publisher.stop();
    await expect.poll(async () => (await stateOf(device))?.state.kind).toBe('offline');
    const second = await world.publisher(device, maker);
    second.hello().catch(() => undefined);
    maker.media(CLIP.bytes.subarray(0, 100));
    second.upload(2);
    release();
    expect(await stopped).toMatchObject({ chunkCount: 2 });
    const refusal = await second.next('refused');
    expect(refusal).toMatchObject({ code: 'RECORDING_SEALED', details: { chunkCount: 2 } });
    expect(second.unread.filter((message) => 'type' in message && message.type === 'ack')).toEqual([]);
    await world.media.whenSealed();
    const { recordingId } = maker.start;
    expect(await world.media.getRecording(device.companyId, recordingId)).toMatchObject({
      state: 'sealed',
      chunkCount: 2,
    });
  });

  test('[I16] hears how many watch, when it comes and when that changes', async () => {
    const device = await openWorld();
    const publisher = await begin(device);
    await publisher.untilDurable();
    const viewers = [await world.viewer(device.companyId), await world.viewer(device.companyId)];
    for (const [index, viewer] of viewers.entries()) {
      viewer.watch(1, device.streamId);
      expect(await publisher.next('viewers')).toEqual({ viewerCount: index + 1 });
    }
    publisher.socket.terminate();
    await viewers[0]?.untilState(device.streamId, 'reconnecting');
    const again = await world.publisher(device, publisher.maker);
    expect(await again.hello()).toMatchObject({ viewerCount: 2 });
    viewers[0]?.say({ type: 'unwatch', data: { channel: 1 } });
    expect(await again.next('viewers')).toEqual({ viewerCount: 1 });
    viewers[1]?.socket.terminate();
    expect(await again.next('viewers')).toEqual({ viewerCount: 0 });
  });

  test('[J5] does not notice that a journal file failed, and loses nothing', async () => {
    let disk: FailingFolder | undefined;
    const device = await openWorld({ wrapJournals: (folder) => (disk = new FailingFolder(folder)) });
    const publisher = await begin(device);
    await publisher.untilDurable(1);
    disk?.failures.push({ operation: 'datasync', code: 'EIO', times: 1 });
    CLIP.slices.forEach((slice) => publisher.maker.media(slice));
    publisher.upload(1);
    await publisher.untilDurable();
    await publisher.stop();
    await world.media.whenSealed();
    expect(await world.media.listRecordings(device.companyId, {})).toMatchObject([{ state: 'sealed' }]);
    expect(await readdir(join(world.dataDir, 'journals'))).toEqual([]);
  });

  test('[J6] is closed when the disk takes nothing, keeps what was not acknowledged, and goes on later', async () => {
    let disk: FailingFolder | undefined;
    const device = await openWorld({ wrapJournals: (folder) => (disk = new FailingFolder(folder)) });
    const publisher = await begin(device);
    publisher.maker.media(CLIP.slices[0] ?? Buffer.of());
    publisher.upload(1);
    await publisher.untilDurable(2);
    disk?.failures.push({ operation: 'write', code: 'ENOSPC', tornAfterBytes: 1000 });
    CLIP.slices.slice(1).forEach((slice) => publisher.maker.media(slice));
    publisher.upload(2);
    expect(await publisher.closed).toMatchObject({
      code: 4500,
      reason: expect.stringMatching(/^STORAGE_FAILED/),
    });
    const acks = publisher.unread.flatMap((message) =>
      'type' in message && message.type === 'ack' ? [message.data.durable] : [],
    );
    expect(Math.max(0, ...acks)).toBeLessThanOrEqual(2);
    expect(world.media.isReady()).toEqual(['Recordings whose journal the disk refuses: 1.']);
    expect(await stateOf(device)).toMatchObject({ state: { kind: 'reconnecting' } });

    // It comes back while the disk still refuses, and again when it does not.
    const refused = await world.publisher(device, publisher.maker);
    refused.hello().catch(() => undefined);
    expect(await refused.next('refused')).toMatchObject({ code: 'STORAGE_FAILED' });
    expect(await refused.closed).toMatchObject({ code: 4500 });
    if (disk) disk.failures.length = 0;
    const again = await world.publisher(device, publisher.maker);
    expect(await again.hello()).toMatchObject({ nextSequence: 2, epoch: 0 });
    expect(world.media.isReady()).toEqual([]);
    again.upload(2);
    await again.untilDurable();
    await again.stop();
    await world.media.whenSealed();
    expect(await world.media.listRecordings(device.companyId, {})).toMatchObject([{ state: 'sealed' }]);
  });

  test('[J6] that does not come back after the disk refused gets its end as soon as the disk takes data again', async () => {
    const timers = new HeldTimers(GRACE_MS);
    let disk: FailingFolder | undefined;
    const device = await openWorld({
      clock: timers,
      wrapJournals: (folder) => (disk = new FailingFolder(folder)),
    });
    const publisher = await begin(device);
    CLIP.slices.forEach((slice) => publisher.maker.media(slice));
    publisher.upload(1);
    await publisher.untilDurable();
    disk?.failures.push({ operation: 'write', code: 'EIO' });
    publisher.maker.event({ type: 'capture-stalled', data: {} });
    publisher.upload(4);
    await publisher.closed;
    // The first attempts to end it fail, each waits for another grace time.
    for (let attempt = 0; attempt < 3; attempt++) {
      expect(timers.size).toBe(1);
      timers.pass();
      while (timers.size === 0) await setImmediate();
    }
    if (disk) disk.failures.length = 0;
    const viewer = await world.viewer(device.companyId);
    await viewer.next('streams');
    timers.pass();
    await viewer.untilState(device.streamId, 'offline');
    await world.media.whenSealed();
    expect(await world.media.listRecordings(device.companyId, {})).toMatchObject([{ state: 'provisional' }]);
  });

  test('[J7] cannot begin a recording when the disk is too full, while one that runs goes on', async () => {
    const device = await openWorld();
    const running = await begin(device);
    await running.untilDurable();
    await world.restart({
      limits: { minFreeBytes: Number.MAX_SAFE_INTEGER, warnFreeBytes: Number.MAX_SAFE_INTEGER },
    });
    const again = await world.publisher(device, running.maker);
    expect(await again.hello()).toMatchObject({ nextSequence: 1 });
    const other = await world.publisher(await world.device(device.companyId));
    other.hello().catch(() => undefined);
    expect(await other.next('refused')).toMatchObject({ code: 'STORAGE_FULL' });
    expect(await other.closed).toMatchObject({ code: 4507 });
    expect(world.media.isReady()).toEqual([expect.stringMatching(/^The data disk has \d+ bytes free/)]);
  });

  test('that is faster than the disk is not read, instead of filling the memory', async () => {
    let disk: FailingFolder | undefined;
    const device = await openWorld({
      limits: { maxUndurableBytes: 200_000 },
      wrapJournals: (folder) => (disk = new FailingFolder(folder)),
    });
    const publisher = await begin(device);
    await publisher.untilDurable(1);
    let release = (): void => undefined;
    if (disk) disk.hold = new Promise((resolve) => (release = resolve));
    // A cluster without blocks, however much comes.
    const cluster = new WebmScanner().push(CLIP.bytes).find((item) => item.type === 'cluster');
    publisher.maker.media(CLIP.bytes.subarray(0, cluster?.timestampEnd));
    for (let n = 0; n < 150; n++) publisher.maker.media(voidElement(64 * 1024));
    publisher.upload(1);
    // What comes before it goes beyond the limit; nothing can be durable meanwhile.
    const { received, durable: heldAt } = await publisher.untilReceived(5);
    let ahead = received - heldAt;
    release();
    for (let durable = 0; durable < publisher.maker.chunks.length;) {
      const ack = await publisher.next('ack');
      durable = ack.durable;
      ahead = Math.max(ahead, ack.received - ack.durable);
    }
    // Four chunks reach the limit; some more were read together with the fourth.
    expect(ahead).toBeGreaterThanOrEqual(4);
    expect(ahead).toBeLessThan(12);
  });

  test('[I11] that sends more than its window is not refused, but read no faster than the disk takes it', async () => {
    let disk: FailingFolder | undefined;
    const maxUndurableBytes = 256 * 1024;
    const device = await openWorld({
      limits: { windowBytes: 64 * 1024, maxUndurableBytes },
      wrapJournals: (folder) => (disk = new FailingFolder(folder)),
    });
    const publisher = await begin(device);
    const other = await begin(await world.device(device.companyId, 'Desk 2'));
    await Promise.all([publisher.untilDurable(1), other.untilDurable(1)]);
    let release = (): void => undefined;
    if (disk) disk.hold = new Promise((resolve) => (release = resolve));
    const cluster = new WebmScanner().push(CLIP.bytes).find((item) => item.type === 'cluster');
    publisher.maker.media(CLIP.bytes.subarray(0, cluster?.timestampEnd));
    for (let n = 0; n < 150; n++) publisher.maker.media(voidElement(64 * 1024));
    publisher.upload(1);
    await expect.poll(() => world.media.measure().undurableBytes).toBeGreaterThan(maxUndurableBytes);
    // Meanwhile others are heard, more than once.
    for (let n = 0; n < 3; n++) {
      other.maker.media(CLIP.bytes.subarray(n * 1_000, (n + 1) * 1_000));
      other.upload(n + 1);
      await other.untilReceived(n + 2);
    }
    // What was read together with the last chunk that had room.
    expect(world.media.measure().undurableBytes).toBeLessThan(3 * maxUndurableBytes);
    release();
    await publisher.untilDurable();
    expect(publisher.unread.filter((message) => 'type' in message && message.type === 'refused')).toEqual([]);
    await publisher.stop();
  });

  test('cannot begin more recordings than it may by beginning them at the same time', async () => {
    const device = await openWorld({ limits: { maxOpenRecordingsPerStream: 2 } });
    const publishers = await Promise.all([1, 2, 3].map(() => world.publisher(device)));
    const answers = await Promise.all(
      publishers.map((publisher) =>
        Promise.race([
          publisher.hello().then(() => 'welcome'),
          publisher.next('refused').then(({ code }) => code),
        ]),
      ),
    );
    expect(answers.toSorted()).toEqual(['LIMIT_REACHED', 'welcome', 'welcome']);
  });

  test('cannot begin any number of recordings without ending one', async () => {
    const device = await openWorld({ limits: { maxOpenRecordingsPerStream: 2 } });
    await begin(device);
    const second = await begin(device);
    const third = await world.publisher(device);
    third.hello().catch(() => undefined);
    expect(await third.next('refused')).toMatchObject({ code: 'LIMIT_REACHED' });
    expect(await third.closed).toMatchObject({ code: 4429 });
    await second.untilDurable();
    await second.stop();
    await begin(device);
  });

  test('has so many connections for one stream at a time; the oldest that says nothing makes way', async () => {
    const device = await openWorld({ limits: { maxOpenRecordingsPerStream: 2 } });
    const first = await begin(device);
    const silent = [await world.publisher(device), await world.publisher(device)];
    // Another stream of the device, and another device, have their own.
    await begin(await world.stream(device, 1));
    await begin(await world.device(device.companyId, 'Desk 2'));
    const second = await begin(device);
    expect(await silent[0]?.closed).toMatchObject({
      code: 4409,
      reason: expect.stringMatching(/^STREAM_TAKEN/),
    });
    for (const publisher of [first, second]) {
      await publisher.untilDurable();
      await publisher.stop();
    }
    expect(silent[1]?.socket.readyState).toBe(WebSocket.OPEN);
  });

  test('says what waits on its disk, of which the newest word counts', async () => {
    const device = await openWorld();
    const early = await world.publisher(device);
    early.say({ type: 'status', data: { backlogBytes: 1, backlogChunks: 1 } });
    expect(await early.next('refused')).toMatchObject({ code: 'MESSAGE_UNEXPECTED' });
    const publisher = await begin(device);
    for (const backlogBytes of [5_000, 700]) {
      publisher.say({ type: 'status', data: { backlogBytes, backlogChunks: 2 } });
    }
    await publisher.untilDurable();
    expect(world.media.measure().backlogs).toEqual([0, 700]);
  });

  test('that is silent for too long is cut off and waited for', async () => {
    const timers = new HeldTimers(9_999);
    const device = await openWorld({
      clock: timers,
      limits: { heartbeatIntervalMs: 9_999, peerTimeoutMs: 2 * 9_999 },
    });
    const publisher = await begin(device);
    await publisher.untilDurable();
    const viewer = await world.viewer(device.companyId);
    await viewer.next('streams');
    // As a machine does that lost its power.
    publisher.socket.pause();
    for (let beat = 0; beat < 3; beat++) timers.pass();
    publisher.socket.resume();
    expect(await publisher.closed).toMatchObject({ code: 1006 });
    expect(await stateOf(device)).toMatchObject({ state: { kind: 'reconnecting' } });
  });
});

/** An element that may stand anywhere and means nothing (RFC 8794, 11.3.2). */
function voidElement(byteLength: number): Uint8Array {
  const bytes = Buffer.alloc(byteLength);
  bytes[0] = 0xec;
  bytes.writeBigUInt64BE(BigInt(byteLength - 9) | (1n << 56n), 1);
  return bytes;
}
