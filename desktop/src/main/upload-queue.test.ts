import { CodedError, createId, type Id } from '@proofcast/shared';
import { once } from 'node:events';
import { readdir } from 'node:fs/promises';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { EPOCH, KIB, SpoolWorld } from '../../testing/spool-world.ts';
import { TestRelay, TOKEN } from '../../testing/test-relay.ts';
import { Recordings } from './recordings.ts';
import type { SpooledRecording } from './spooled-recording.ts';
import { UploadQueue } from './upload-queue.ts';

/** Longer than any test takes. */
const STALL_AFTER_MS = 60_000;

let world: SpoolWorld;
let relay: TestRelay;
let queue: UploadQueue | undefined;
/** Devices that this device may upload for; all when null. */
let ownDevices: Id[] | null;
let listeners: Set<() => void>;

beforeEach(async () => {
  world = await SpoolWorld.open();
  relay = await TestRelay.open();
  ownDevices = null;
  listeners = new Set();
});
afterEach(async () => {
  queue?.close();
  queue = undefined;
  await relay.close();
  await world.close();
});

function openQueue(): UploadQueue {
  const announce = () => listeners.forEach((listener) => listener());
  queue = new UploadQueue({
    limits: {
      reconnect: { initialDelayMs: 10, maxDelayMs: 50 },
      connectTimeoutMs: 5_000,
      maxInFlightBytes: 1024 * KIB,
      pingIntervalMs: 5_000,
      maxSilentPings: 3,
      ackTimeoutMs: 5_000,
      maxRefusalsOfOneChunk: 3,
    },
    log: world.log,
    accessFor: ({ start }) =>
      ownDevices === null || ownDevices.includes(start.deviceId)
        ? { get: () => Promise.resolve({ url: relay.ingestUrl, token: TOKEN }), discard: () => undefined }
        : null,
    remove: (recording) => world.spool.remove(recording).finally(announce),
    onChanged: announce,
  });
  return queue;
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

async function leftover(startedAtUs: number, deviceId = createId('device')): Promise<SpooledRecording> {
  const recording = await world.record({ startedAtUs, deviceId });
  await recording.appendMedia(new Uint8Array(KIB), 1);
  await recording.finish();
  return recording;
}

const stateOf = (recording: SpooledRecording) => queue?.stateOf(recording.start.recordingId).kind;

describe('the queue of uploads', () => {
  it('[I12] uploads one recording after the other, the oldest first, each to its end', async () => {
    const recordings = [await leftover(10), await leftover(20), await leftover(30)];
    for (const { start } of recordings) relay.expect(start);
    const events: (SpooledRecording | 'stopped' | undefined)[] = [];
    relay.on('hello', () => {
      events.push(recordings.find((recording) => stateOf(recording) === 'connecting'));
    });
    relay.on('stopped', () => events.push('stopped'));
    const opened = openQueue();
    for (const recording of recordings) opened.add(recording);
    expect(recordings.map(stateOf)).toEqual(['connecting', 'waiting', 'waiting']);
    await until(() => world.spool.recordings.length === 0);
    expect(events).toEqual(recordings.flatMap((recording) => [recording, 'stopped']));
  });

  it('deletes a recording here when all of it is there', async () => {
    const recording = await leftover(10);
    relay.expect(recording.start);
    openQueue().add(recording);
    await until(() => stateOf(recording) === 'finished');
    await until(() => world.spool.usedBytes === 0);
    expect(await readdir(world.directory)).toEqual([]);
  });

  it('goes on behind a recording that the relay refuses, which stays here', async () => {
    const [refused, taken] = [await leftover(10), await leftover(20)];
    relay.expect(taken.start);
    const opened = openQueue();
    opened.add(refused);
    opened.add(taken);
    await until(() => stateOf(taken) === 'finished');
    expect(opened.stateOf(refused.start.recordingId)).toMatchObject({
      kind: 'failed',
      reason: { code: 'RECORDING_NOT_FOUND' },
    });
    await refused.readFrame(0);
  });

  it('sends nothing of another enrolment, until the device has that one again', async () => {
    const recording = await leftover(10);
    relay.expect(recording.start);
    ownDevices = [];
    const opened = openQueue();
    opened.add(recording);
    expect(opened.stateOf(recording.start.recordingId)).toMatchObject({
      kind: 'failed',
      reason: { code: 'FORBIDDEN' },
    });
    expect(relay.upgradeCount).toBe(0);
    ownDevices = [recording.start.deviceId];
    opened.restart();
    await until(() => stateOf(recording) === 'finished');
  });

  it('makes no connection after it was closed', async () => {
    const recording = await leftover(10);
    relay.expect(recording.start);
    const opened = openQueue();
    opened.close();
    opened.add(recording);
    opened.restart();
    expect(stateOf(recording)).toBe('waiting');
    expect(relay.upgradeCount).toBe(0);
  });
});

describe('the recordings of this device', () => {
  const publisher = {
    serverUrl: 'http://127.0.0.1:1',
    deviceId: createId('device'),
    streamId: createId('stream'),
  };

  function expectAtRelay(recordingId: Id): void {
    relay.expect(world.spool.recordings.find(({ start }) => start.recordingId === recordingId)!.start);
  }

  it('have a running one that tells how far it is', async () => {
    const recordings = new Recordings(world.spool, openQueue(), STALL_AFTER_MS);
    expect(recordings.path).toEqual({ kind: 'idle' });
    const recordingId = await recordings.begin(publisher);
    expectAtRelay(recordingId);
    await recordings.beginEpoch(recordingId, EPOCH);
    await recordings.appendMedia(recordingId, new Uint8Array(KIB), 1);
    await until(() => recordings.path.kind === 'uploading' && recordings.path.backlogBytes === 0);
    expect(recordings.isCurrentSettled).toBe(false);
    expect(await recordings.end(recordingId)).toBe(2);
    await until(() => recordings.isCurrentSettled);
    expect(recordings.path).toMatchObject({ kind: 'finished', recordingId, chunkCount: 2, backlogBytes: 0 });
    expect(recordings.leftovers).toEqual({ count: 0, bytes: 0, refusal: null });
  });

  it('take nothing for any other recording', async () => {
    const recordings = new Recordings(world.spool, openQueue(), STALL_AFTER_MS);
    const recordingId = await recordings.begin(publisher);
    const other = createId('recording');
    await expect(recordings.appendMedia(other, new Uint8Array(1), 1)).rejects.toThrow('not the running');
    await expect(recordings.beginEpoch(other, EPOCH)).rejects.toThrow('not the running');
    const next = await recordings.begin(publisher);
    expect(next).not.toBe(recordingId);
    await expect(recordings.end(recordingId)).rejects.toThrow('not the running');
  });

  it('of earlier runs are uploaded first, and counted until they are', async () => {
    const earlier = await leftover(10);
    relay.expect(earlier.start);
    relay.helloRefusal = new CodedError('STORAGE_FULL', 'The disk is full.');
    const recordings = new Recordings(world.spool, openQueue(), STALL_AFTER_MS);
    const recordingId = await recordings.begin(publisher);
    expectAtRelay(recordingId);
    expect(recordings.path.kind).toBe('waiting');
    expect(recordings.leftovers).toMatchObject({ count: 1, refusal: null });
    await recordings.beginEpoch(recordingId, EPOCH);
    relay.helloRefusal = undefined;
    await until(() => recordings.path.kind === 'uploading');
    expect(recordings.leftovers.count).toBe(0);
  });

  it('that the relay refuses are counted with the reason', async () => {
    await leftover(10);
    const recordings = new Recordings(world.spool, openQueue(), STALL_AFTER_MS);
    await until(() => recordings.leftovers.refusal !== null);
    expect(recordings.leftovers).toMatchObject({ count: 1, refusal: { code: 'RECORDING_NOT_FOUND' } });
  });

  it('end when the page that fed them is gone', async () => {
    const recordings = new Recordings(world.spool, openQueue(), STALL_AFTER_MS);
    const recordingId = await recordings.begin(publisher);
    expectAtRelay(recordingId);
    await recordings.beginEpoch(recordingId, EPOCH);
    const stopped = once(relay, 'stopped');
    await recordings.endCurrent();
    await stopped;
    await recordings.endCurrent();
  });
});
