import { CodedError, createId, type MessageToPublisher } from '@proofcast/shared';
import { once } from 'node:events';
import { createServer } from 'node:net';
import { readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { EPOCH, KIB, SpoolWorld, UPLOAD_LIMITS } from '../../testing/spool-world.ts';
import { TestRelay, TOKEN } from '../../testing/test-relay.ts';
import { ChunkUploader, type UploadState } from './chunk-uploader.ts';
import type { UploadLimits } from './config.ts';
import type { Pace } from './ingest-connection.ts';
import type { SpooledRecording } from './spooled-recording.ts';

const WELCOME = {
  recordingId: createId('recording'),
  nextSequence: 0,
  epoch: null,
  maxPayloadBytes: 1024 * KIB,
  windowBytes: 1024 * KIB,
  maxChunks: 10_000,
  maxEpochs: 1_000,
  maxEvents: 5_000,
  viewerCount: 0,
  sentAtUs: 1,
};

let world: SpoolWorld;
let relay: TestRelay;
let uploader: ChunkUploader | undefined;
let token: string;
let pace: Pace;
let discards: number;
let waiting: { until: (state: UploadState) => boolean; resolve: (state: UploadState) => void }[];
let states: UploadState['kind'][];

beforeEach(async () => {
  world = await SpoolWorld.open(4096 * KIB);
  relay = await TestRelay.open();
  token = TOKEN;
  pace = 'window';
  discards = 0;
  waiting = [];
  states = [];
});
afterEach(async () => {
  uploader?.close();
  uploader = undefined;
  await relay.close();
  await world.close();
});

function upload(recording: SpooledRecording, limits: Partial<UploadLimits> = {}): ChunkUploader {
  const created = new ChunkUploader({
    recording,
    limits: { ...UPLOAD_LIMITS, ...limits },
    pace: () => pace,
    backlog: () => ({
      bytes: recording.backlogBytes,
      chunks: recording.appendedCount - recording.durableCount,
    }),
    log: world.log,
    access: {
      get: () => Promise.resolve({ url: relay.ingestUrl, token }),
      discard: () => {
        discards += 1;
        token = TOKEN;
      },
    },
    onChanged: () => {
      if (states.at(-1) !== created.state.kind) states.push(created.state.kind);
      waiting = waiting.filter(({ until, resolve }) => {
        if (!until(created.state)) return true;
        resolve(created.state);
        return false;
      });
    },
  });
  uploader = created;
  created.start();
  return created;
}

/** Resolves when the condition holds, looked at whenever the uploader says that something has changed. */
function until<T extends UploadState>(condition: (state: UploadState) => state is T): Promise<T>;
function until(condition: (state: UploadState) => boolean): Promise<UploadState>;
function until(condition: (state: UploadState) => boolean): Promise<UploadState> {
  if (uploader && condition(uploader.state)) return Promise.resolve(uploader.state);
  return new Promise((resolve) => waiting.push({ until: condition, resolve }));
}
const kind = <K extends UploadState['kind']>(wanted: K) =>
  until((state): state is Extract<UploadState, { kind: K }> => state.kind === wanted);
const durable = (recording: SpooledRecording, count: number) => until(() => recording.durableCount >= count);

const slice = (index: number, length = 4 * KIB) => new Uint8Array(length).fill(index);
async function append(recording: SpooledRecording, count: number): Promise<void> {
  for (let index = 0; index < count; index++) await recording.appendMedia(slice(index), index);
}

describe('an upload', () => {
  it('[I10] ends with everything at the relay, in order and unaltered', async () => {
    const recording = await world.record();
    const reader = relay.expect(recording.start);
    upload(recording);
    await append(recording, 20);
    await recording.finish();
    expect(await kind('finished')).toEqual({ kind: 'finished', chunkCount: 22 });
    expect(reader.media).toEqual(Buffer.concat(Array.from({ length: 20 }, (_, index) => slice(index))));
    expect(recording.backlogBytes).toBe(0);
    expect(states.filter((state) => state !== 'connecting')).toEqual(['uploading', 'finishing', 'finished']);
  });

  it('sends live what is appended while it is connected', async () => {
    const recording = await world.record();
    relay.expect(recording.start);
    upload(recording);
    await durable(recording, 1);
    for (let index = 0; index < 5; index++) {
      await recording.appendMedia(slice(index), index);
      await durable(recording, index + 2);
    }
  });

  it('of an ended recording sends what an earlier run has left', async () => {
    const before = await world.record();
    await append(before, 6);
    const [recording] = await world.reopen();
    await recording!.finish();
    const reader = relay.expect(recording!.start);
    upload(recording!);
    await kind('finished');
    expect(reader.outline).toEqual([
      'epoch-started',
      ...Array<string>(6).fill('media'),
      'epoch-ended: app-crashed',
    ]);
    expect(relay.hellos[0]?.isCapturing).toBe(false);
  });

  it('[I16] tells how many viewers there are, and none when it is not connected', async () => {
    const recording = await world.record();
    relay.expect(recording.start);
    const { viewerCount } = upload(recording);
    expect(viewerCount).toBe(0);
    await kind('uploading');
    relay.send({ type: 'viewers', data: { viewerCount: 3 } });
    await until(() => uploader?.viewerCount === 3);
    relay.cut();
    await kind('reconnecting');
    expect(uploader?.viewerCount).toBe(0);
  });

  it('[I11] has no more in flight than the window that the relay gives', async () => {
    const recording = await world.record();
    await append(recording, 20);
    relay.expect(recording.start);
    relay.windowBytes = 10 * KIB;
    relay.isSilent = true;
    upload(recording);
    while (relay.receivedSequences.length < 3) await once(relay, 'chunk');
    // The event and two slices fill the window; the relay would have got a third one before this answer.
    relay.send({ type: 'viewers', data: { viewerCount: 1 } });
    await until(() => uploader?.viewerCount === 1);
    expect(relay.receivedSequences).toEqual([0, 1, 2]);
    relay.isSilent = false;
    relay.send({ type: 'ack', data: { received: 3, durable: 3 } });
    await durable(recording, 21);
  });

  it('has no more in flight than its own limit, whatever the relay gives', async () => {
    const recording = await world.record();
    await append(recording, 20);
    relay.expect(recording.start);
    relay.isSilent = true;
    upload(recording, { maxInFlightBytes: 10 * KIB });
    while (relay.receivedSequences.length < 3) await once(relay, 'chunk');
    relay.send({ type: 'viewers', data: { viewerCount: 1 } });
    await until(() => uploader?.viewerCount === 1);
    expect(relay.receivedSequences).toEqual([0, 1, 2]);
  });

  it('goes on when a chunk is larger than the window', async () => {
    const recording = await world.record();
    await recording.appendMedia(slice(1, 100 * KIB), 1);
    relay.expect(recording.start);
    relay.windowBytes = 1;
    upload(recording);
    await durable(recording, 2);
  });
});

describe('an upload that is not to take the network for itself', () => {
  it('[U5] sends nothing until it may, and one chunk at a time when it is told so', async () => {
    const recording = await world.record();
    await append(recording, 4);
    relay.expect(recording.start);
    relay.isSilent = true;
    pace = 'none';
    const paced = upload(recording);
    await kind('uploading');
    expect(paced.isBusy).toBe(true);
    relay.send({ type: 'viewers', data: { viewerCount: 1 } });
    await until(() => paced.viewerCount === 1);
    expect(relay.receivedSequences).toEqual([]);

    pace = 'single';
    paced.pump();
    await once(relay, 'chunk');
    relay.send({ type: 'viewers', data: { viewerCount: 2 } });
    await until(() => paced.viewerCount === 2);
    expect(relay.receivedSequences).toEqual([0]);
    relay.send({ type: 'ack', data: { received: 1, durable: 1 } });
    await once(relay, 'chunk');
    expect(relay.receivedSequences).toEqual([0, 1]);
  });
});

describe('an interrupted recording', () => {
  it('[U3] is uploaded as far as it is, left without a connection, and goes on in the same recording', async () => {
    const before = await world.record();
    await append(before, 3);
    const [recording] = await world.reopen();
    const reader = relay.expect(recording!.start);
    const closed = once(relay, 'closed');
    upload(recording!);
    await kind('parked');
    await closed;
    expect(reader.outline.at(-1)).toBe('epoch-ended: app-crashed');
    expect(relay.hellos.map(({ isCapturing }) => isCapturing)).toEqual([false]);

    recording!.resume();
    await recording!.beginEpoch(EPOCH);
    await recording!.appendMedia(slice(1), 1);
    await recording!.finish();
    await kind('finished');
    expect(reader.outline.slice(-4)).toEqual([
      'epoch-ended: app-crashed',
      'epoch-started',
      'media',
      'epoch-ended: stopped',
    ]);
    expect(relay.hellos).toHaveLength(2);
  });

  it('[U3] that is not resumed is finished with what there is', async () => {
    const before = await world.record();
    await append(before, 1);
    const [recording] = await world.reopen();
    relay.expect(recording!.start);
    upload(recording!);
    await kind('parked');
    await recording!.finish();
    expect(await kind('finished')).toEqual({ kind: 'finished', chunkCount: 3 });
  });
});

describe('what the relay is told and asks for beside the chunks', () => {
  it('[U6] is what waits on this disk, seldom, and at once when nothing does any more', async () => {
    const recording = await world.record();
    await append(recording, 4);
    relay.expect(recording.start);
    relay.isSilent = true;
    upload(recording, { statusIntervalMs: 20 });
    await once(relay, 'status');
    await once(relay, 'status');
    expect(relay.statuses[0]).toEqual({ backlogBytes: recording.backlogBytes, backlogChunks: 5 });
    relay.isSilent = false;
    relay.send({ type: 'ack', data: { received: 5, durable: 5 } });
    while (relay.statuses.at(-1)?.backlogChunks !== 0) await once(relay, 'status');
    const { length } = relay.statuses;
    await append(recording, 1);
    await durable(recording, 6);
    // Two more intervals at least pass with the answers to these chunks.
    expect(relay.statuses.slice(length).every(({ backlogChunks }) => backlogChunks > 0)).toBe(true);
  });

  it('[U8] are still pictures, as long as they are wanted and the relay is there', async () => {
    const recording = await world.record();
    relay.expect(recording.start);
    const asked = upload(recording);
    const jpeg = Uint8Array.of(0xff, 0xd8, 0xff, 0xd9);
    await durable(recording, 1);
    expect(asked.stillsIntervalMs).toBeNull();
    relay.send({ type: 'stills', data: { intervalMs: 2_000 } });
    await until(() => asked.stillsIntervalMs === 2_000);
    asked.sendStill(jpeg, 42);
    await once(relay, 'still');
    expect(relay.stills[0]).toMatchObject({ captureTimeUs: 42, payload: Buffer.from(jpeg) });
    relay.cut();
    await kind('reconnecting');
    expect(asked.stillsIntervalMs).toBeNull();
    asked.sendStill(jpeg, 43);
    await append(recording, 1);
    await durable(recording, 2);
    expect(relay.stills).toHaveLength(1);
  });
});

describe('a connection that is lost', () => {
  it('[I3] is made again, and goes on where the relay says', async () => {
    const recording = await world.record();
    const reader = relay.expect(recording.start);
    upload(recording);
    await append(recording, 5);
    await durable(recording, 6);
    relay.cut();
    const state = await kind('reconnecting');
    expect(state.reason.code).toBe('UNAVAILABLE');
    await append(recording, 5);
    await recording.finish();
    await kind('finished');
    expect(reader.chunks).toHaveLength(12);
    expect(relay.receivedSequences).toEqual([...Array(12).keys()]);
    expect(relay.helloCount).toBe(2);
  });

  it('sends again what was sent and not counted', async () => {
    const recording = await world.record();
    await append(recording, 5);
    const reader = relay.expect(recording.start);
    relay.isSilent = true;
    upload(recording);
    while (relay.receivedSequences.length < 6) await once(relay, 'chunk');
    expect(recording.durableCount).toBe(0);
    // The relay was killed before its disk had chunks 3 and 4.
    reader.chunks.length = 0;
    relay.expect(recording.start);
    relay.isSilent = false;
    relay.cut();
    await durable(recording, 6);
    expect(relay.receivedSequences).toEqual([0, 1, 2, 3, 4, 5, 0, 1, 2, 3, 4, 5]);
  });

  it('[I15] is tried for ever while there is no relay', async () => {
    const recording = await world.record();
    const { ingestUrl } = relay;
    await relay.close();
    upload(recording);
    await kind('reconnecting');
    const since = uploader?.state;
    await append(recording, 3);
    // The same port, after some attempts have failed.
    const server = createServer((socket) => socket.destroy());
    server.listen(Number(new URL(ingestUrl).port), '127.0.0.1');
    for (let attempt = 0; attempt < 5; attempt++) await once(server, 'connection');
    server.close();
    expect(uploader?.state).toMatchObject({
      kind: 'reconnecting',
      sinceMs: (since as { sinceMs: number }).sinceMs,
    });
    relay = await TestRelay.open();
    relay.expect(recording.start);
    await durable(recording, 4);
  });

  it('is noticed when nothing tells of it, because pings are not answered', async () => {
    const recording = await world.record();
    relay.expect(recording.start);
    upload(recording, { pingIntervalMs: 20 });
    await durable(recording, 1);
    relay.freeze();
    expect((await kind('reconnecting')).reason.code).toBe('TIMEOUT');
    await kind('uploading');
  });

  it('is given up when the relay confirms nothing', async () => {
    const recording = await world.record();
    relay.expect(recording.start);
    relay.isSilent = true;
    upload(recording, { ackTimeoutMs: 100 });
    expect((await kind('reconnecting')).reason.code).toBe('TIMEOUT');
    relay.isSilent = false;
    await durable(recording, 1);
  });

  it('is given up when the relay does not welcome', async () => {
    const recording = await world.record();
    const silent = createServer();
    silent.listen(0, '127.0.0.1');
    await once(silent, 'listening');
    const real = relay;
    const address = silent.address() as { port: number };
    relay = { ingestUrl: `ws://127.0.0.1:${address.port}/`, close: () => real.close() } as TestRelay;
    upload(recording, { connectTimeoutMs: 100 });
    expect((await kind('reconnecting')).reason.code).toBe('TIMEOUT');
    uploader?.close();
    silent.close();
  });

  it('[A8] with a reason that may pass is made again, and the reason is told', async () => {
    const recording = await world.record();
    relay.expect(recording.start);
    upload(recording);
    await durable(recording, 1);
    relay.closeAll(new CodedError('SHUTTING_DOWN', 'The relay restarts.'));
    const { reason } = await kind('reconnecting');
    expect(reason).toMatchObject({ code: 'SHUTTING_DOWN', message: 'The relay restarts.' });
    await kind('uploading');
  });
});

describe('a refusal', () => {
  it('[I6] of a chunk because of its hash makes the uploader send it again, and each that follows once', async () => {
    const recording = await world.record();
    await append(recording, 8);
    const reader = relay.expect(recording.start);
    let refusals = 0;
    relay.judge = (sequence) => (sequence === 3 && refusals++ === 0 ? 'CHUNK_HASH_MISMATCH' : null);
    upload(recording);
    await durable(recording, 9);
    expect(reader.chunks).toHaveLength(9);
    // However much was on its way when the refusal came, the chunk and what follows it is repeated once.
    const { receivedSequences } = relay;
    expect(receivedSequences.filter((sequence) => sequence === 3)).toHaveLength(2);
    expect(receivedSequences.slice(receivedSequences.lastIndexOf(3))).toEqual([3, 4, 5, 6, 7, 8]);
    expect(relay.helloCount).toBe(1);
  });

  it('of the same chunk again and again ends in a failure, with the chunk kept', async () => {
    const recording = await world.record();
    await append(recording, 5);
    relay.expect(recording.start);
    relay.judge = (sequence) => (sequence === 3 ? 'CHUNK_HASH_MISMATCH' : null);
    upload(recording);
    expect((await kind('failed')).reason.code).toBe('SPOOL_FAILED');
    expect(relay.receivedSequences.filter((sequence) => sequence === 3)).toHaveLength(4);
    await recording.readFrame(3);
    expect(relay.helloCount).toBe(1);
  });

  it('[I5] of a gap makes the uploader go back to the number that is expected', async () => {
    const recording = await world.record();
    await append(recording, 8);
    const reader = relay.expect(recording.start);
    // The relay loses a chunk that it has counted: its journal began anew behind the connection.
    let isLost = false;
    relay.judge = (sequence) => {
      if (sequence === 5 && !isLost) {
        isLost = true;
        return 'CHUNK_SEQUENCE_GAP';
      }
      return null;
    };
    upload(recording);
    await recording.finish();
    await kind('finished');
    expect(reader.chunks).toHaveLength(10);
  });

  it.each(['RECORDING_NOT_FOUND', 'DEVICE_REVOKED', 'PROTOCOL_UNSUPPORTED'] as const)(
    'of the recording with %s is final, and the chunks stay here',
    async (code) => {
      const recording = await world.record();
      await append(recording, 2);
      relay.expect(recording.start);
      relay.helloRefusal = new CodedError(code, 'No.');
      upload(recording);
      expect((await kind('failed')).reason.code).toBe(code);
      await expect(recording.appendMedia(slice(1), 1)).rejects.toMatchObject({ code });
      await recording.readFrame(2);
      expect(relay.helloCount).toBe(1);
    },
  );

  it('[I8] of media that is no webm is final', async () => {
    const recording = await world.record();
    await append(recording, 2);
    relay.expect(recording.start);
    relay.judge = (sequence) => (sequence === 1 ? 'WEBM_INVALID' : null);
    upload(recording);
    expect((await kind('failed')).reason.code).toBe('WEBM_INVALID');
  });

  it('of a full disk is not final', async () => {
    const recording = await world.record();
    relay.expect(recording.start);
    relay.helloRefusal = new CodedError('STORAGE_FULL', 'The disk is full.');
    upload(recording);
    expect((await kind('reconnecting')).reason.code).toBe('STORAGE_FULL');
    relay.helloRefusal = undefined;
    await durable(recording, 1);
  });

  it('[I1] of the token makes the uploader fetch a new one', async () => {
    const recording = await world.record();
    relay.expect(recording.start);
    token = 'an-old-token';
    upload(recording);
    expect((await kind('reconnecting')).reason.code).toBe('TOKEN_INVALID');
    await durable(recording, 1);
    expect(discards).toBe(1);
  });

  it('of a revoked device at the door is final', async () => {
    const recording = await world.record();
    relay.upgradeRefusal = new CodedError('DEVICE_REVOKED', 'An admin revoked this device.');
    upload(recording);
    expect((await kind('failed')).reason.code).toBe('DEVICE_REVOKED');
    expect(relay.upgradeCount).toBe(1);
  });
});

describe('a recording that the relay has sealed', () => {
  it('[I14] with everything in it is finished, though the answer to stop was lost', async () => {
    const recording = await world.record();
    await append(recording, 3);
    relay.expect(recording.start);
    relay.losesStopped = true;
    relay.isSilent = true;
    upload(recording);
    await recording.finish();
    expect(await kind('finished')).toEqual({ kind: 'finished', chunkCount: 5 });
    expect(recording.backlogBytes).toBe(0);
  });

  it('[I13] before it had everything is refused, and the rest stays here', async () => {
    const recording = await world.record();
    relay.expect(recording.start);
    upload(recording);
    await durable(recording, 1);
    relay.seal(recording.start);
    // Away until all of it is here.
    relay.refuseHello(recording.start, new CodedError('UNAVAILABLE', 'Not now.'));
    relay.cut();
    await append(recording, 3);
    await recording.finish();
    relay.refuseHello(recording.start, null);
    expect((await kind('failed')).reason.code).toBe('RECORDING_SEALED');
    await recording.readFrame(3);
  });
});

describe('a relay that breaks the protocol', () => {
  it.each<[string, MessageToPublisher]>([
    ['by counting what was not sent', { type: 'ack', data: { received: 100, durable: 100 } }],
    ['by counting more as durable than as received', { type: 'ack', data: { received: 0, durable: 1 } }],
    ['by welcoming twice', { type: 'welcome', data: WELCOME }],
  ])('%s is left and asked again, and nothing is deleted here', async (_how, message) => {
    const recording = await world.record();
    await append(recording, 2);
    relay.expect(recording.start);
    relay.isSilent = true;
    upload(recording);
    await kind('uploading');
    relay.send(message);
    expect((await kind('reconnecting')).reason.code).toBe('INTERNAL');
    expect(recording.durableCount).toBe(0);
    relay.isSilent = false;
    await durable(recording, 3);
  });

  it('by ending a recording that goes on is left and asked again, and nothing is deleted here', async () => {
    const recording = await world.record();
    relay.expect(recording.start);
    upload(recording);
    await durable(recording, 1);
    relay.send({ type: 'stopped', data: { recordingId: recording.start.recordingId, chunkCount: 1 } });
    expect((await kind('reconnecting')).reason.code).toBe('INTERNAL');
    await append(recording, 1);
    await durable(recording, 2);
  });

  it('by sending what is no message is left and asked again', async () => {
    const recording = await world.record();
    relay.expect(recording.start);
    upload(recording);
    await durable(recording, 1);
    relay.sendRaw('{"type":"gift"}');
    expect((await kind('reconnecting')).reason.code).toBe('INTERNAL');
    await kind('uploading');
    relay.sendRaw(Buffer.of(1, 2, 3));
    expect((await kind('reconnecting')).reason.code).toBe('INTERNAL');
    await kind('uploading');
  });

  it('by asking for what it has confirmed, is told so, and nothing is lost here', async () => {
    const recording = await world.record();
    await append(recording, 12);
    relay.expect(recording.start);
    upload(recording);
    await durable(recording, 13);
    relay.expect(recording.start);
    relay.cut();
    const { reason } = await kind('failed');
    expect(reason.message).toContain('asks for chunk 0');
  });
});

describe('a chunk that this disk no longer gives back', () => {
  it('ends the upload with a coded failure', async () => {
    const recording = await world.record();
    await append(recording, 3);
    relay.expect(recording.start);
    const [name] = (await readdir(world.folderOf(recording))).filter((entry) => entry.endsWith('.spool'));
    const path = join(world.folderOf(recording), name!);
    await writeFile(path, (await readFile(path)).subarray(0, 100));
    upload(recording);
    expect((await kind('failed')).reason.code).toBe('SPOOL_FAILED');
  });
});

describe('an upload from a disk that has damaged a chunk', () => {
  /** One bit of the payload of chunk 2 is another one, after the app has ended. */
  async function damage(recording: SpooledRecording): Promise<SpooledRecording> {
    const folder = world.folderOf(recording);
    const name = (await readdir(folder)).find((file) => file.endsWith('.spool'));
    const path = join(folder, name!);
    const bytes = await readFile(path);
    bytes[bytes.indexOf(slice(1).subarray(0, 64)) + 5]! ^= 1;
    await writeFile(path, bytes);
    const [found] = await world.reopen();
    return found!;
  }

  it('[U10] misses nothing when the relay has that one', async () => {
    const recording = await world.record();
    const reader = relay.expect(recording.start);
    const before = upload(recording);
    await append(recording, 3);
    await durable(recording, 4);
    before.close();
    const found = await damage(recording);
    await found.finish();
    upload(found);
    expect(await kind('finished')).toEqual({ kind: 'finished', chunkCount: 5 });
    expect(reader.outline).toEqual([
      'epoch-started',
      ...Array<string>(3).fill('media'),
      'epoch-ended: app-crashed',
    ]);
  });

  it('[U10] delivers what is before it when the relay has not, and keeps all of it', async () => {
    const recording = await world.record();
    const reader = relay.expect(recording.start);
    await append(recording, 3);
    const found = await damage(recording);
    await found.finish();
    upload(found);
    expect((await kind('failed')).reason.code).toBe('SPOOL_FAILED');
    await expect.poll(() => reader.chunks.length).toBe(2);
    await found.readFrame(3);
    await found.close();
    const [again] = await world.reopen();
    expect(again!.appendedCount).toBe(5);
  });
});

describe('an upload that was closed', () => {
  it('makes no connection again, and closing again is harmless', async () => {
    const recording = await world.record();
    relay.expect(recording.start);
    const closing = upload(recording);
    await durable(recording, 1);
    const closed = once(relay, 'closed');
    closing.close();
    closing.close();
    await closed;
    await append(recording, 2);
    expect(relay.connectionCount).toBe(0);
    expect(relay.helloCount).toBe(1);
    expect(closing.state.kind).toBe('uploading');
  });
});
