import { CodedError, createId, type ErrorCode, type Id } from '@proofcast/shared';
import { once } from 'node:events';
import { readdir, truncate } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { ChunkReader } from '../../testing/chunk-reader.ts';
import { EPOCH, KIB, SOURCE, SpoolWorld, UPLOAD_LIMITS } from '../../testing/spool-world.ts';
import { TestRelay, TOKEN } from '../../testing/test-relay.ts';
import { Recordings } from './recordings.ts';
import type { SpooledRecording } from './spooled-recording.ts';
import { UploadQueue } from './upload-queue.ts';

const MINUTE_MS = 60_000;
const PUBLISHER = {
  serverUrl: 'http://127.0.0.1:1',
  deviceId: createId('device'),
  streamId: createId('stream'),
};

let world: SpoolWorld;
let relay: TestRelay;
let queue: UploadQueue | undefined;
let recordings: Recordings | undefined;
let listeners: Set<() => void>;

beforeEach(async () => {
  world = await SpoolWorld.open();
  relay = await TestRelay.open();
  listeners = new Set();
});
afterEach(async () => {
  recordings?.close();
  queue?.close();
  recordings = undefined;
  queue = undefined;
  await relay.close();
  await world.close();
});

function open(options: { resumeWindowMs?: number; isOurs?: boolean } = {}): Recordings {
  const announce = () => listeners.forEach((listener) => listener());
  queue = new UploadQueue({
    limits: UPLOAD_LIMITS,
    log: world.log,
    accessFor: () => ({
      get: () => Promise.resolve({ url: relay.ingestUrl, token: TOKEN }),
      discard: () => undefined,
    }),
    remove: (recording) => world.spool.remove(recording).finally(announce),
    onChanged: announce,
  });
  recordings = new Recordings({
    spool: world.spool,
    queue,
    stallAfterMs: MINUTE_MS,
    resumeWindowMs: options.resumeWindowMs ?? 30 * MINUTE_MS,
    isOurs: () => options.isOurs ?? true,
    log: world.log,
    onChanged: announce,
  });
  return recordings;
}

function until(condition: () => boolean): Promise<void> {
  return new Promise((resolve) => {
    const check = () => {
      if (!condition()) return;
      listeners.delete(check);
      resolve();
    };
    listeners.add(check);
    check();
  });
}

function expectAtRelay(recordingId: Id): ChunkReader {
  return relay.expect(world.spool.recordings.find(({ start }) => start.recordingId === recordingId)!.start);
}

const slice = (epoch: number, captureTimeUs = Date.now() * 1000) => ({
  epoch,
  captureTimeUs,
  bytes: new Uint8Array(KIB),
});

/** A share with one slice. */
async function share(opened: Recordings): Promise<{ recordingId: Id; reader: ChunkReader; epoch: number }> {
  const recordingId = await opened.openCurrent(PUBLISHER, SOURCE);
  const reader = expectAtRelay(recordingId);
  const epoch = await opened.beginEpoch(recordingId, EPOCH);
  await opened.appendMedia(recordingId, slice(epoch));
  return { recordingId, reader, epoch };
}

/** What an app that was killed while it shared leaves behind, with its last slice so long ago. */
async function interrupted(agoMs = 0, source = SOURCE): Promise<SpooledRecording> {
  const startedAtUs = (Date.now() - agoMs - MINUTE_MS) * 1000;
  const start = { ...PUBLISHER, recordingId: createId('recording'), startedAtUs };
  const recording = await world.spool.create(start, source);
  await recording.beginEpoch(EPOCH);
  await recording.appendMedia(new Uint8Array(KIB), (Date.now() - agoMs) * 1000);
  return recording;
}

describe('a share', () => {
  it('tells how far its recording is', async () => {
    const opened = open();
    expect(opened.path).toEqual({ kind: 'idle' });
    const { recordingId, epoch } = await share(opened);
    await until(() => opened.path.kind === 'uploading' && opened.path.backlogBytes === 0);
    expect(opened.isCurrentSettled).toBe(false);
    await opened.endEpoch(recordingId, { epoch, reason: 'stopped' });
    await opened.endCurrent();
    await until(() => opened.isCurrentSettled);
    expect(opened.path).toMatchObject({ kind: 'finished', recordingId, chunkCount: 3, backlogBytes: 0 });
    expect(opened.uploads).toEqual([]);
  });

  it('[U2] is one recording, however often the recorder, the source or the page ends', async () => {
    const opened = open();
    const { recordingId, reader, ...first } = await share(opened);
    let { epoch } = first;
    for (const reason of ['recorder-failed', 'source-ended', 'source-changed'] as const) {
      await opened.endEpoch(recordingId, { epoch, reason });
      expect(await opened.openCurrent(PUBLISHER, SOURCE)).toBe(recordingId);
      epoch = await opened.beginEpoch(recordingId, EPOCH);
    }
    await opened.onPageGone();
    expect(await opened.openCurrent(PUBLISHER, SOURCE)).toBe(recordingId);
    await opened.beginEpoch(recordingId, EPOCH);
    const stopped = once(relay, 'stopped');
    await opened.endCurrent();
    await stopped;
    expect(reader.outline.filter((line) => line !== 'media')).toEqual([
      'epoch-started',
      'epoch-ended: recorder-failed',
      'epoch-started',
      'epoch-ended: source-ended',
      'epoch-started',
      'epoch-ended: source-changed',
      'epoch-started',
      'epoch-ended: page-crashed',
      'epoch-started',
      'epoch-ended: stopped',
    ]);
    await opened.endCurrent();
  });

  it('that follows one that was stopped is another recording', async () => {
    const opened = open();
    const { recordingId } = await share(opened);
    await opened.endCurrent();
    expect(await opened.openCurrent(PUBLISHER, SOURCE)).not.toBe(recordingId);
  });

  it('takes nothing for any other recording', async () => {
    const opened = open();
    const { recordingId } = await share(opened);
    const other = createId('recording');
    await expect(opened.appendMedia(other, slice(0))).rejects.toThrow('not the running');
    await expect(opened.beginEpoch(other, EPOCH)).rejects.toThrow('not the running');
    await opened.endCurrent();
    await opened.openCurrent(PUBLISHER, SOURCE);
    const end = { epoch: 0, reason: 'stopped' } as const;
    await expect(opened.endEpoch(recordingId, end)).rejects.toThrow('not the running');
  });

  it('[U2] takes nothing for an epoch that another one has followed, and does not end that one', async () => {
    const opened = open();
    const { recordingId, reader, epoch } = await share(opened);
    const next = await opened.beginEpoch(recordingId, EPOCH);
    expect(next).toBe(epoch + 1);
    const late = opened.appendMedia(recordingId, slice(epoch));
    await expect(late).rejects.toMatchObject({ code: 'MESSAGE_UNEXPECTED' });
    await opened.endEpoch(recordingId, { epoch, reason: 'source-ended' });
    await opened.appendMedia(recordingId, slice(next));
    await opened.endCurrent();
    await until(() => opened.path.kind === 'finished');
    expect(reader.outline).toEqual([
      'epoch-started',
      'media',
      'epoch-ended: recorder-restarted',
      'epoch-started',
      'media',
      'epoch-ended: stopped',
    ]);
  });

  it.each([
    ['chunks', { maxChunks: 20, maxEpochs: 100, maxEvents: 100 }],
    ['epochs', { maxChunks: 100, maxEpochs: 5, maxEvents: 100 }],
    ['events', { maxChunks: 100, maxEpochs: 100, maxEvents: 10 }],
  ])(
    '[U12] goes on in another recording before the relay has as many %s as it takes of one',
    async (_what, limits) => {
      relay.recordingLimits = limits;
      const opened = open();
      const recordingId = await opened.openCurrent(PUBLISHER, SOURCE);
      const reader = expectAtRelay(recordingId);
      await until(() => opened.path.kind === 'uploading');
      let next = recordingId;
      while (next === recordingId) {
        const epoch = await opened.beginEpoch(recordingId, EPOCH);
        await opened.appendMedia(recordingId, slice(epoch));
        await opened.endEpoch(recordingId, { epoch, reason: 'recorder-failed' });
        next = await opened.openCurrent(PUBLISHER, SOURCE);
      }
      await until(() => opened.uploads[0]?.state.kind === 'done');
      const count = (kind: (line: string) => boolean) => reader.outline.filter(kind).length;
      const parts = [
        reader.chunks.length / limits.maxChunks,
        count((line) => line === 'epoch-started') / limits.maxEpochs,
        count((line) => line !== 'media') / limits.maxEvents,
      ];
      expect(Math.max(...parts)).toBeLessThanOrEqual(1);
      expect(Math.max(...parts)).toBeGreaterThanOrEqual(0.9);
    },
  );

  it('[U12] is told with a slice that its recording is nearly full', async () => {
    relay.recordingLimits = { maxChunks: 20, maxEpochs: 100, maxEvents: 100 };
    const opened = open();
    const { recordingId, epoch } = await share(opened);
    await until(() => opened.path.kind === 'uploading');
    const answers: boolean[] = [];
    for (let count = 2; count < 20; count++)
      answers.push(await opened.appendMedia(recordingId, slice(epoch)));
    expect(answers).toEqual([...Array<boolean>(15).fill(false), true, true, true]);
  });

  it('[U12] that goes on after the end of the app knows how full its recording is', async () => {
    const before = await interrupted();
    for (let count = 0; count < 9; count++) await before.beginEpoch(EPOCH);
    await world.reopen();
    relay.recordingLimits = { maxChunks: 100, maxEpochs: 100, maxEvents: 20 };
    expectAtRelay(before.start.recordingId);
    const opened = open();
    await until(() => opened.uploads[0]?.state.kind === 'interrupted');
    await opened.resume(before.start.recordingId);
    expect(await opened.openCurrent(PUBLISHER, SOURCE)).not.toBe(before.start.recordingId);
  });

  it.each<ErrorCode>([
    'RECORDING_FULL',
    'RECORDING_SEALED',
    'RECORDING_DAMAGED',
    'RECORDING_DELETED',
    'RECORDING_NOT_FOUND',
    'WEBM_INVALID',
    'WEBM_UNSUPPORTED',
    'EVENT_INVALID',
    'CHUNK_CHAIN_MISMATCH',
    'CHUNK_EPOCH_INVALID',
  ])('[U11] goes on in another recording when the relay refuses the one it has with %s', async (code) => {
    const opened = open();
    const { recordingId, epoch } = await share(opened);
    await until(() => opened.path.kind === 'uploading' && opened.path.backlogBytes === 0);
    relay.judge = () => code;
    await opened.appendMedia(recordingId, slice(epoch));
    await until(() => opened.path.kind === 'failed');
    await expect(opened.appendMedia(recordingId, slice(epoch))).rejects.toMatchObject({ code });
    relay.judge = () => null;
    const next = await share(opened);
    expect(next.recordingId).not.toBe(recordingId);
    expect(opened.uploads).toMatchObject([{ recordingId, state: { kind: 'refused', reason: { code } } }]);
    await opened.endCurrent();
    await until(() => opened.path.kind === 'finished');
    await opened.discard(recordingId);
  });

  it('[U11] goes on in another recording when this disk does not give back what the relay wants of the one it has', async () => {
    relay.upgradeRefusal = new CodedError('UNAVAILABLE', 'Not now.');
    const opened = open();
    const { recordingId } = await share(opened);
    const folder = world.folderOf(world.spool.recordings[0]!);
    for (const name of await readdir(folder))
      if (name.endsWith('.spool')) await truncate(join(folder, name), 100);
    relay.upgradeRefusal = undefined;
    await until(() => opened.path.kind === 'failed');
    expect(opened.path).toMatchObject({ reason: { code: 'SPOOL_FAILED' } });
    expect((await share(opened)).recordingId).not.toBe(recordingId);
  });

  it.each<ErrorCode>(['DEVICE_REVOKED', 'FORBIDDEN', 'PROTOCOL_UNSUPPORTED'])(
    '[U11] goes on in no other recording when the relay refuses the device with %s',
    async (code) => {
      const opened = open();
      await share(opened);
      await until(() => opened.path.kind === 'uploading');
      relay.helloRefusal = new CodedError(code, 'Not this one.');
      relay.cut();
      await until(() => opened.path.kind === 'failed');
      await expect(opened.openCurrent(PUBLISHER, SOURCE)).rejects.toMatchObject({ code });
    },
  );

  it('tells what of this enrolment waits on this disk', async () => {
    relay.upgradeRefusal = new CodedError('UNAVAILABLE', 'Not now.');
    const opened = open();
    expect(opened.backlogBytes).toBe(0);
    const { recordingId } = await share(opened);
    expect(opened.backlogBytes).toBeGreaterThan(KIB);
    relay.upgradeRefusal = undefined;
    await opened.endCurrent();
    await until(() => opened.path.kind === 'finished');
    expect(opened.path).toMatchObject({ recordingId });
    expect(opened.backlogBytes).toBe(0);
  });

  it('does not count what waits under another enrolment', async () => {
    relay.upgradeRefusal = new CodedError('UNAVAILABLE', 'Not now.');
    const opened = open({ isOurs: false });
    await share(opened);
    expect(opened.backlogBytes).toBe(0);
  });

  it('goes on in another recording when the relay has sealed the one it has, and in none when it is revoked', async () => {
    const opened = open();
    const { recordingId } = await share(opened);
    await until(() => opened.path.kind === 'uploading' && opened.path.backlogBytes === 0);
    relay.seal(world.spool.recordings[0]!.start);
    relay.cut();
    await until(() => opened.path.kind === 'failed');
    const next = await opened.openCurrent(PUBLISHER, SOURCE);
    expect(next).not.toBe(recordingId);
    expect(opened.uploads).toMatchObject([{ recordingId, state: { kind: 'refused' } }]);

    expectAtRelay(next);
    await until(() => opened.path.kind === 'uploading');
    relay.helloRefusal = new CodedError('DEVICE_REVOKED', 'An admin revoked this device.');
    relay.cut();
    await until(() => opened.path.kind === 'failed');
    await expect(opened.openCurrent(PUBLISHER, SOURCE)).rejects.toMatchObject({ code: 'DEVICE_REVOKED' });
  });

  it('whose recording is refused can be discarded when it is over, and not before', async () => {
    const opened = open();
    const { recordingId } = await share(opened);
    relay.helloRefusal = new CodedError('DEVICE_REVOKED', 'An admin revoked this device.');
    relay.cut();
    await until(() => opened.path.kind === 'failed');
    expect(opened.uploads).toEqual([]);
    await expect(opened.discard(recordingId)).rejects.toMatchObject({ code: 'MESSAGE_UNEXPECTED' });
    await opened.endCurrent();
    expect(opened.uploads).toMatchObject([{ recordingId, state: { kind: 'refused' } }]);
    await opened.discard(recordingId);
    expect(opened.path).toEqual({ kind: 'idle' });
    expect(opened.uploads).toEqual([]);
    expect(world.spool.recordings).toEqual([]);
    await expect(opened.discard(recordingId)).rejects.toMatchObject({ code: 'MESSAGE_UNEXPECTED' });
  });

  it('[U5] does not wait for what earlier runs have left', async () => {
    const earlier = await interrupted();
    await earlier.finish();
    relay.expect(earlier.start);
    relay.refuseHello(earlier.start, new CodedError('UNAVAILABLE', 'Not now.'));
    const opened = open();
    await share(opened);
    await until(() => opened.path.kind === 'uploading' && opened.path.backlogBytes === 0);
    expect(opened.uploads).toMatchObject([{ sourceName: SOURCE.name, state: { kind: 'waiting' } }]);
    relay.refuseHello(earlier.start, null);
    await until(() => opened.uploads[0]?.state.kind === 'done');
  });
});

describe('a share that the end of the app has interrupted', () => {
  it('[U3] can be resumed for a limited time, and goes on in the same recording', async () => {
    const before = await interrupted(MINUTE_MS, { sourceId: 'screen:1:0', name: 'Second screen' });
    await world.reopen();
    const reader = expectAtRelay(before.start.recordingId);
    const opened = open();
    const { recordingId } = before.start;
    const lastMs = Math.floor(before.lastCaptureTimeUs / 1000);
    expect(opened.resumable).toEqual({
      recordingId,
      source: { sourceId: 'screen:1:0', name: 'Second screen' },
      interruptedAtMs: lastMs,
      untilMs: lastMs + 30 * MINUTE_MS,
    });
    await until(() => opened.uploads[0]?.state.kind === 'interrupted');
    await opened.resume(recordingId);
    expect(opened.resumable).toBeNull();
    expect(await opened.openCurrent(PUBLISHER, SOURCE)).toBe(recordingId);
    await opened.appendMedia(recordingId, slice(await opened.beginEpoch(recordingId, EPOCH), 2));
    await opened.endCurrent();
    await until(() => opened.path.kind === 'finished');
    expect(reader.outline).toEqual([
      'epoch-started',
      'media',
      'epoch-ended: app-crashed',
      'epoch-started',
      'media',
      'epoch-ended: stopped',
    ]);
    await expect(opened.resume(recordingId)).rejects.toMatchObject({ code: 'RECORDING_NOT_FOUND' });
  });

  it.each<[string, (opened: Recordings) => unknown, number]>([
    ['declines', (opened) => opened.declineResumption(), 30 * MINUTE_MS],
    ['shares something else', (opened) => opened.openCurrent(PUBLISHER, SOURCE), 30 * MINUTE_MS],
    ['does nothing in time', () => undefined, MINUTE_MS + 50],
  ])('[U3] is finished when the person %s', async (_what, act, resumeWindowMs) => {
    const before = await interrupted(MINUTE_MS);
    await world.reopen();
    const reader = expectAtRelay(before.start.recordingId);
    const opened = open({ resumeWindowMs });
    await act(opened);
    await until(() => opened.uploads[0]?.state.kind === 'done');
    expect(reader.outline).toEqual(['epoch-started', 'media', 'epoch-ended: app-crashed']);
    expect(opened.resumable).toBeNull();
  });

  it('[U3] is finished at once when its time was over before the app started', async () => {
    const before = await interrupted(31 * MINUTE_MS);
    await world.reopen();
    expectAtRelay(before.start.recordingId);
    const opened = open();
    await until(() => opened.uploads[0]?.state.kind === 'done');
  });

  it('[U3] cannot be resumed under another enrolment', async () => {
    await interrupted();
    await world.reopen();
    expect(open({ isOurs: false }).resumable).toBeNull();
  });

  it('[U3] can be resumed only as the newest of several', async () => {
    const older = await interrupted(20 * MINUTE_MS);
    const newer = await interrupted(10 * MINUTE_MS);
    await world.reopen();
    for (const { start } of [older, newer]) relay.expect(start);
    const opened = open();
    expect(opened.resumable?.recordingId).toBe(newer.start.recordingId);
    await until(() => opened.uploads[0]?.state.kind === 'done');
    expect(opened.uploads[1]?.recordingId).toBe(newer.start.recordingId);
  });
});
