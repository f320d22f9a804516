import { CodedError, createId, type Id } from '@proofcast/shared';
import { once } from 'node:events';
import { readdir } from 'node:fs/promises';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { KIB, SpoolWorld, UPLOAD_LIMITS } from '../../testing/spool-world.ts';
import { TestRelay, TOKEN } from '../../testing/test-relay.ts';
import type { UploadLimits } from './config.ts';
import type { SpooledRecording } from './spooled-recording.ts';
import { UploadQueue } from './upload-queue.ts';

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

function openQueue(limits: Partial<UploadLimits> = {}): UploadQueue {
  const announce = () => listeners.forEach((listener) => listener());
  queue = new UploadQueue({
    limits: { ...UPLOAD_LIMITS, ...limits },
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
  it('uploads what was left one after the other, the oldest first, each to its end', async () => {
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
    await until(() => world.spool.space.usedBytes === 0);
    expect(await readdir(world.directory)).toEqual(['ballast']);
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

  it('forgets all but the newest of those that are done', async () => {
    const opened = openQueue({ maxDoneShown: 2 });
    const recordings = [await leftover(10), await leftover(20), await leftover(30)];
    for (const recording of recordings) {
      relay.expect(recording.start);
      opened.add(recording);
    }
    await until(() => world.spool.recordings.length === 0);
    expect(opened.uploads.map(({ recording }) => recording)).toEqual(recordings.slice(1));
  });

  it('goes on behind a recording for which the relay has no room, and with that when there is some', async () => {
    const [held, taken] = [await leftover(10), await leftover(20)];
    for (const { start } of [held, taken]) relay.expect(start);
    relay.refuseHello(held.start, new CodedError('STORAGE_FULL', 'The disk is full.'));
    const opened = openQueue();
    for (const recording of [held, taken]) opened.add(recording);
    await until(() => stateOf(taken) === 'finished');
    expect(stateOf(held)).toBe('reconnecting');
    relay.refuseHello(held.start, null);
    await until(() => stateOf(held) === 'finished');
  });
});

describe('a refused recording', () => {
  it('can be discarded, and nothing else can', async () => {
    const [refused, taken] = [await leftover(10), await leftover(20)];
    relay.expect(taken.start);
    const opened = openQueue();
    for (const recording of [refused, taken]) opened.add(recording);
    const { recordingId } = refused.start;
    await expect(opened.discard(taken.start.recordingId)).rejects.toMatchObject({
      code: 'MESSAGE_UNEXPECTED',
    });
    await expect(opened.discard(createId('recording'))).rejects.toMatchObject({ code: 'MESSAGE_UNEXPECTED' });
    await until(() => stateOf(refused) === 'failed' && stateOf(taken) === 'finished');
    await opened.discard(recordingId);
    expect(opened.uploads.map(({ recording }) => recording)).toEqual([taken]);
    await until(() => world.spool.recordings.length === 0);
    expect(await readdir(world.directory)).toEqual(['ballast']);
    await expect(opened.discard(recordingId)).rejects.toMatchObject({ code: 'MESSAGE_UNEXPECTED' });
  });
});

describe('the recording that is being shared', () => {
  it('[U5] does not wait for older ones, which are sent while it has nothing to send', async () => {
    const older = await leftover(10);
    for (let index = 0; index < 4; index++) await leftover(11 + index);
    const all = world.spool.recordings;
    const live = await world.record({ startedAtUs: 100 });
    for (const { start } of [...all, live]) relay.expect(start);
    const opened = openQueue();
    for (const recording of [...all, live]) opened.add(recording);
    opened.putFirst(live.start.recordingId);
    expect(stateOf(older)).toBe('connecting');
    expect(stateOf(live)).toBe('connecting');
    await until(() => live.durableCount === 1);
    // What is captured goes through while the older ones are being uploaded.
    for (let index = 0; index < 5; index++) {
      await live.appendMedia(new Uint8Array(KIB), index);
      await until(() => live.durableCount === live.appendedCount);
    }
    await until(() => all.every((recording) => stateOf(recording) === 'finished'));
    expect(stateOf(live)).toBe('uploading');
  });

  it('[U5] keeps older ones waiting as long as the relay has not counted what it has sent', async () => {
    const older = await leftover(10);
    const live = await world.record({ startedAtUs: 100 });
    for (const { start } of [older, live]) relay.expect(start);
    relay.isSilent = true;
    const opened = openQueue();
    opened.add(live);
    opened.putFirst(live.start.recordingId);
    opened.add(older);
    await until(() => stateOf(older) === 'finishing' && stateOf(live) === 'uploading');
    while (relay.receivedSequences.length < 1) await once(relay, 'chunk');
    // Both connections have answered a message that came behind anything that was sent before.
    relay.send({ type: 'viewers', data: { viewerCount: 1 } });
    await until(() => opened.viewerCountOf(older.start.recordingId) === 1);
    expect(relay.receivedSequences).toEqual([0]);
    relay.isSilent = false;
    relay.acknowledgeAll();
    await until(() => stateOf(older) === 'finished');
  });

  it('[U6] tells the relay its own backlog, and one of the older ones that of all of them', async () => {
    const older = [await leftover(10), await leftover(20)];
    const live = await world.record({ startedAtUs: 100 });
    for (const { start } of [...older, live]) relay.expect(start);
    relay.isSilent = true;
    const opened = openQueue({ statusIntervalMs: 20 });
    for (const recording of [live, ...older]) opened.add(recording);
    opened.putFirst(live.start.recordingId);
    const chunks = () => relay.statuses.map(({ backlogChunks }) => backlogChunks);
    while (!chunks().includes(1) || !chunks().includes(6)) await once(relay, 'status');
  });
});
