import { CodedError, createId, type Id } from '@proofcast/shared';
import { once } from 'node:events';
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

/** A share with one slice. */
async function share(opened: Recordings): Promise<{ recordingId: Id; reader: ChunkReader }> {
  const recordingId = await opened.openCurrent(PUBLISHER, SOURCE);
  const reader = expectAtRelay(recordingId);
  await opened.beginEpoch(recordingId, EPOCH);
  await opened.appendMedia(recordingId, new Uint8Array(KIB), Date.now() * 1000);
  return { recordingId, reader };
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
    const { recordingId } = await share(opened);
    await until(() => opened.path.kind === 'uploading' && opened.path.backlogBytes === 0);
    expect(opened.isCurrentSettled).toBe(false);
    await opened.endEpoch(recordingId, 'stopped');
    await opened.endCurrent();
    await until(() => opened.isCurrentSettled);
    expect(opened.path).toMatchObject({ kind: 'finished', recordingId, chunkCount: 3, backlogBytes: 0 });
    expect(opened.uploads).toEqual([]);
  });

  it('[U2] is one recording, however often the recorder, the source or the page ends', async () => {
    const opened = open();
    const { recordingId, reader } = await share(opened);
    for (const reason of ['recorder-failed', 'source-ended', 'source-changed'] as const) {
      await opened.endEpoch(recordingId, reason);
      expect(await opened.openCurrent(PUBLISHER, SOURCE)).toBe(recordingId);
      await opened.beginEpoch(recordingId, EPOCH);
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
    await expect(opened.appendMedia(other, new Uint8Array(1), 1)).rejects.toThrow('not the running');
    await expect(opened.beginEpoch(other, EPOCH)).rejects.toThrow('not the running');
    await opened.endCurrent();
    await opened.openCurrent(PUBLISHER, SOURCE);
    await expect(opened.endEpoch(recordingId, 'stopped')).rejects.toThrow('not the running');
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
    await opened.beginEpoch(recordingId, EPOCH);
    await opened.appendMedia(recordingId, new Uint8Array(KIB), 2);
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
