import { hash } from 'node:crypto';
import { mkdir, readFile, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { createId, type Id, type RetentionPolicy } from '@proofcast/shared';
import { pino } from 'pino';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { filesOnDisk } from '../../testing/files-on-disk.ts';
import {
  connectPublisher,
  openPublisher,
  publishClip,
  publishRecording,
} from '../../testing/publish-recording.ts';
import { ShiftedClock } from '../../testing/shifted-clock.ts';
import type { TestClient } from '../../testing/test-client.ts';
import { TestDevice } from '../../testing/test-device.ts';
import { startTestRelay, type TestRelay } from '../../testing/test-relay.ts';
import { Retention } from './retention.ts';

const DAY_MS = 24 * 60 * 60 * 1000;

// Posters and sprites of several recordings are made by a real ffmpeg.
vi.setConfig({ testTimeout: 90_000 });

let test: TestRelay;
let clock: ShiftedClock;
let admin: TestClient;
let device: TestDevice;

beforeEach(async () => {
  clock = new ShiftedClock();
  test = await startTestRelay({
    clock,
    env: { RECONNECT_GRACE_MS: '50', MIN_FREE_BYTES: '0', WARN_FREE_BYTES: '0' },
  });
  admin = await test.signInAdmin();
  device = await TestDevice.enrol(admin);
});
afterEach(() => test.close());

/** A recording that is sealed; posters and the like may still be in the making. */
async function makeSealed(of: TestDevice = device): Promise<Id> {
  const recordingId = await publishRecording({ device: of, client: test.client(), nowMs: clock.nowMs() });
  await test.relay.media.whenSealed();
  return recordingId;
}

/** Resolves when nothing is being made of any recording. */
async function settle(): Promise<void> {
  await test.relay.media.whenResumed();
  await test.relay.media.whenSealed();
  await test.relay.media.derivatives.whenIdle();
}

const setPolicy = (body: RetentionPolicy, client = admin) => client.call('setRetentionPolicy', { body });

/** The days pass, and with them the session. */
async function pass(days: number): Promise<void> {
  clock.shift(days * DAY_MS);
  admin = await test.signInAdmin();
}

/** Resolves when the first sweep of the new run has ended. */
async function startAgain(): Promise<void> {
  await test.restart();
  admin = await test.signInAdmin();
  await settle();
  const swept = async () =>
    Number(
      /^proofcast_retention_swept_timestamp_seconds (\S+)$/m.exec(
        await (await admin.get('/metrics')).text(),
      )?.[1],
    );
  await expect.poll(swept, { timeout: 20_000 }).toBeGreaterThan(0);
}

/** All files of recordings and journals, with their sizes. */
async function recordedFiles(): Promise<Map<string, number>> {
  const [recordings, journals] = ['recordings', 'journals'].map((name) => join(test.dataDir, name));
  return new Map([...(await filesOnDisk(recordings!)), ...(await filesOnDisk(journals!))]);
}

const filesOf = async (recordingId: Id) =>
  [...(await recordedFiles()).keys()].filter((path) => path.includes(recordingId));

const sum = (numbers: Iterable<number>) => [...numbers].reduce((total, number) => total + number, 0);

describe('the policy of a company', () => {
  it('[K1] keeps everything until an admin says otherwise, and is kept over a restart', async () => {
    expect(await admin.call('retentionPolicy')).toEqual({ deleteAfterDays: null, keepAtLeastDays: 0 });
    const policy = { deleteAfterDays: 90, keepAtLeastDays: 30 };
    expect(await setPolicy(policy)).toEqual(policy);
    await setPolicy({ ...policy, keepAtLeastDays: 90 });
    await startAgain();
    expect(await admin.call('retentionPolicy')).toEqual({ deleteAfterDays: 90, keepAtLeastDays: 90 });
    const never = { deleteAfterDays: null, keepAtLeastDays: 36_500 };
    expect(await setPolicy(never)).toEqual(never);
  });

  it('[K1] is not taken when it contradicts itself or is none, and then stays what it was', async () => {
    const policy = { deleteAfterDays: 10, keepAtLeastDays: 5 };
    await setPolicy(policy);
    for (const body of [
      { deleteAfterDays: 4, keepAtLeastDays: 5 },
      { deleteAfterDays: 0, keepAtLeastDays: 0 },
      { deleteAfterDays: -1, keepAtLeastDays: 0 },
      { deleteAfterDays: 1.5, keepAtLeastDays: 1 },
      { deleteAfterDays: 10 },
      { keepAtLeastDays: 1 },
      { deleteAfterDays: null, keepAtLeastDays: 1e9 },
      { deleteAfterDays: 10, keepAtLeastDays: 5, companyId: createId('company') },
      null,
    ]) {
      expect(await admin.refusal('setRetentionPolicy', { body })).toMatchObject({ code: 'MESSAGE_INVALID' });
    }
    const query = { keepAtLeastDays: '11' };
    expect(await admin.refusal('retentionPreview', { query })).toMatchObject({ code: 'MESSAGE_INVALID' });
    expect(await admin.call('retentionPolicy')).toEqual(policy);
  });

  it('[A2] is the company’s own', async () => {
    const foreign = await test.signInAs('admin', await test.createCompany('Beta'));
    await setPolicy({ deleteAfterDays: 1, keepAtLeastDays: 1 });
    expect(await foreign.call('retentionPolicy')).toEqual({ deleteAfterDays: null, keepAtLeastDays: 0 });
    await setPolicy({ deleteAfterDays: 7, keepAtLeastDays: 0 }, foreign);
    expect((await admin.call('retentionPolicy')).deleteAfterDays).toBe(1);
  });
});

describe('age', () => {
  /** Which of these recordings are ten days old, when so much is known of them. */
  async function dueOf(
    rows: Record<string, { createdAgo: number; endedAgo: number | null; sealedAgo: number | null }>,
  ) {
    const { streamId } = await device.publishTokens(test.client(), { nowMs: clock.nowMs() });
    const names = new Map<Id, string>();
    const agoMs = (days: number | null) => (days === null ? null : clock.nowMs() - days * DAY_MS);
    for (const [name, { createdAgo, endedAgo, sealedAgo }] of Object.entries(rows)) {
      const recordingId = createId('recording');
      names.set(recordingId, name);
      await test.relay.database
        .insertInto('recordings')
        .values({
          recording_id: recordingId,
          company_id: test.companyId,
          stream_id: streamId,
          device_id: device.deviceId,
          state: sealedAgo === null ? 'failed' : 'sealed',
          started_at_us: 0,
          started_at_ms: 0,
          source_name: '',
          created_at_ms: agoMs(createdAgo) ?? 0,
          ended_at_ms: agoMs(endedAgo),
          sealed_at_ms: agoMs(sealedAgo),
        })
        .execute();
    }
    const { recordings } = await admin.call('retentionPreview', { query: { deleteAfterDays: '10' } });
    return recordings.map(({ recordingId }) => names.get(recordingId));
  }

  it('[K2] counts from the last picture, but only within what the relay itself has seen', async () => {
    const due = await dueOf({
      'ended eleven days ago': { createdAgo: 12, endedAgo: 11, sealedAgo: 11 },
      'ended nine days ago, begun long before': { createdAgo: 30, endedAgo: 9, sealedAgo: 9 },
      'captured long ago, delivered nine days ago': { createdAgo: 9, endedAgo: 400, sealedAgo: 9 },
      'from a clock in the past': { createdAgo: 1, endedAgo: 10_000, sealedAgo: 1 },
      'from a clock in the future': { createdAgo: 13, endedAgo: -10_000, sealedAgo: 12 },
      'failed without an end': { createdAgo: 14, endedAgo: null, sealedAgo: null },
      'failed young': { createdAgo: 5, endedAgo: null, sealedAgo: null },
    });
    // Oldest first.
    expect(due).toEqual(['failed without an end', 'from a clock in the future', 'ended eleven days ago']);
  });

  it('[K2] reaches the limit exactly after so many days', async () => {
    clock.nowMs = () => 1_800_000_000_000;
    admin = await test.signInAdmin();
    const due = await dueOf({
      'to the millisecond': { createdAgo: 10, endedAgo: 10, sealedAgo: 10 },
      'one millisecond less': { createdAgo: 20, endedAgo: 10 - 1 / DAY_MS, sealedAgo: 10 - 1 / DAY_MS },
    });
    expect(due).toEqual(['to the millisecond']);
  });
});

describe('the sweep', () => {
  it('[K3] deletes exactly what the dry run named, byte for byte, and nothing else', async () => {
    const [first, second] = [await makeSealed(), await makeSealed()];
    const provisional = await publishClip({ device, client: test.client(), nowMs: clock.nowMs() });
    provisional.socket.terminate();
    await stateOf(provisional.maker.start.recordingId, 'provisional');
    await pass(8);
    const young = await makeSealed();
    await settle();
    await setPolicy({ deleteAfterDays: 7, keepAtLeastDays: 1 });

    const preview = await admin.call('retentionPreview');
    const old = [first, second, provisional.maker.start.recordingId];
    expect(preview.recordings.map(({ recordingId }) => recordingId)).toEqual(old);
    expect(preview).toMatchObject({ recordingCount: 3, policy: { deleteAfterDays: 7, keepAtLeastDays: 1 } });
    const before = await recordedFiles();
    // A dry run does nothing.
    expect(await admin.call('retentionPreview')).toEqual(preview);
    expect(await recordedFiles()).toEqual(before);

    await retentionOf().sweep();
    const after = await recordedFiles();
    expect(sum(before.values()) - sum(after.values())).toBe(preview.sizeBytes);
    const { tombstones } = await admin.call('tombstones');
    const sizes = (of: readonly { recordingId: Id; sizeBytes: number }[]) =>
      Object.fromEntries(of.map(({ recordingId, sizeBytes }) => [recordingId, sizeBytes]));
    expect(sizes(tombstones)).toEqual(sizes(preview.recordings));
    const { policy } = preview;
    for (const one of tombstones) {
      expect(one).toMatchObject({ deletedBy: { kind: 'retention' }, isFinished: true, policy });
    }
    for (const recordingId of old) expect(await filesOf(recordingId)).toEqual([]);
    const { recordings } = await admin.call('recordings');
    expect(recordings.map(({ recordingId }) => recordingId)).toEqual([young]);
    expect((await filesOf(young)).length).toBeGreaterThan(1);
    const nothing = { recordingCount: 0, sizeBytes: 0, recordings: [] };
    expect(await admin.call('retentionPreview')).toMatchObject(nothing);
  });

  it('[K3] comes with the start of the relay', async () => {
    const recordingId = await makeSealed();
    await setPolicy({ deleteAfterDays: 7, keepAtLeastDays: 7 });
    await pass(6);
    await startAgain();
    expect((await filesOf(recordingId)).length).toBeGreaterThan(1);
    await pass(1);
    await startAgain();
    expect(await filesOf(recordingId)).toEqual([]);
    expect((await admin.call('tombstones')).tombstones).toMatchObject([{ recordingId }]);
  });

  it('[K3] deletes nothing of a recording that is being made, however old', async () => {
    await setPolicy({ deleteAfterDays: 1, keepAtLeastDays: 0 });
    const live = await publishClip({ device, client: test.client(), nowMs: clock.nowMs() });
    await pass(400);
    expect((await admin.call('retentionPreview')).recordings).toEqual([]);
    const retention = retentionOf();
    await retention.sweep();
    expect(await admin.call('tombstones')).toEqual({ tombstones: [] });
    await live.stop();
  });

  it('[K3] counts more in a dry run than it lists', async () => {
    const all = [await makeSealed(), await makeSealed(), await makeSealed()];
    await settle();
    await pass(2);
    const preview = await retentionOf(2).preview(test.companyId, { deleteAfterDays: 1 });
    expect(preview.recordings.map(({ recordingId }) => recordingId)).toEqual(all.slice(0, 2));
    expect(preview.recordingCount).toBe(3);
    expect(preview.sizeBytes).toBe(sum((await recordedFiles()).values()));
  });

  it('[K4] goes on with the other recordings and companies when one recording cannot be deleted', async () => {
    const [broken, whole] = [await makeSealed(), await makeSealed()];
    const beta = await test.createCompany('Beta');
    const betaAdmin = await test.signInAs('admin', beta);
    const foreign = await makeSealed(await TestDevice.enrol(betaAdmin));
    for (const client of [admin, betaAdmin])
      await setPolicy({ deleteAfterDays: 1, keepAtLeastDays: 0 }, client);
    const manifest = (await filesOf(broken)).find((path) => path.endsWith('.manifest.json'))!;
    await rm(manifest);
    // Neither read nor removed as a file.
    await mkdir(manifest);
    await pass(2);
    const retention = retentionOf();
    await retention.sweep();
    expect(await filesOf(whole)).toEqual([]);
    expect(await filesOf(foreign)).toEqual([]);
    expect(retention.counts).toMatchObject({ byRetention: 2, failures: 1 });
    expect((await admin.call('recordings')).recordings).toMatchObject([{ recordingId: broken }]);

    await rm(manifest, { recursive: true });
    await retention.sweep();
    expect(await filesOf(broken)).toEqual([]);
    expect(retention.counts).toMatchObject({ byRetention: 3, byUser: 0, failures: 1 });
  });

  /** Retention as the relay has it, to be told when to sweep. */
  function retentionOf(maxPreviewedRecordings = 1_000): Retention {
    const { media, database } = test.relay;
    return new Retention({ database, media, clock, log: pino({ level: 'silent' }), maxPreviewedRecordings });
  }
});

describe('deleting by hand', () => {
  const del = (recordingId: Id, client = admin) =>
    client.call('deleteRecording', { params: { recordingId } });
  const refusal = (recordingId: Id, client = admin) =>
    client.refusal('deleteRecording', { params: { recordingId } });

  it('[K5] is refused while the policy keeps the recording, and done afterwards', async () => {
    await setPolicy({ deleteAfterDays: null, keepAtLeastDays: 3 });
    const recordingId = await makeSealed();
    await settle();
    const files = await filesOf(recordingId);
    expect(await refusal(recordingId)).toMatchObject({
      code: 'RETENTION_KEEPS',
      details: { keepUntilMs: expect.closeTo(clock.nowMs() + 3 * DAY_MS, -5) as number },
    });
    await pass(2);
    expect(await refusal(recordingId)).toMatchObject({ code: 'RETENTION_KEEPS' });
    expect(await filesOf(recordingId)).toEqual(files);
    await pass(1);
    expect(await del(recordingId)).toMatchObject({ recordingId, isFinished: true });
    expect(await filesOf(recordingId)).toEqual([]);
    expect(await refusal(recordingId)).toMatchObject({ code: 'RECORDING_NOT_FOUND' });
  });

  it('[K5] is refused while the recording has a publisher or waits for one', async () => {
    const publisher = await publishClip({ device, client: test.client(), nowMs: clock.nowMs() });
    const { recordingId } = publisher.maker.start;
    expect(await refusal(recordingId)).toMatchObject({ code: 'RECORDING_NOT_READY' });
    publisher.socket.terminate();
    await stateOf(recordingId, 'provisional');
    // Its journal is all that there is of it.
    const [journal] = await filesOf(recordingId);
    const bytes = await readFile(journal!);
    expect(await del(recordingId)).toMatchObject({
      sizeBytes: bytes.length,
      files: [{ kind: 'journal', sizeBytes: bytes.length, sha256: hash('sha256', bytes) }],
    });
    expect(await filesOf(recordingId)).toEqual([]);
  });

  it('[A2] does not reach recordings of other companies', async () => {
    const recordingId = await makeSealed();
    const foreign = await test.signInAs('admin', await test.createCompany('Beta'));
    expect(await refusal(recordingId, foreign)).toMatchObject({ code: 'RECORDING_NOT_FOUND' });
    expect(await refusal(createId('recording'))).toMatchObject({ code: 'RECORDING_NOT_FOUND' });
    expect((await filesOf(recordingId)).length).toBeGreaterThan(0);
    expect((await foreign.call('tombstones')).tombstones).toEqual([]);
  });

  it('[K6] leaves a tombstone that says what it was, with the hashes of what was deleted', async () => {
    const recordingId = await makeSealed();
    await settle();
    const recording = await admin.call('recording', { params: { recordingId } });
    const files = await recordedFiles();
    const evidence = [];
    for (const [path, sizeBytes] of files) {
      const kind = path.endsWith('.webm') ? 'media' : path.endsWith('.manifest.json') ? 'manifest' : null;
      if (kind === null) continue;
      evidence.push({
        kind,
        name: path.split('/').at(-1),
        sizeBytes,
        sha256: hash('sha256', await readFile(path)),
      });
    }
    expect(evidence).toHaveLength(2);
    const { userId, name } = await admin.call('me');
    const tombstone = await del(recordingId);
    expect(tombstone).toEqual({
      recordingId,
      streamId: recording.streamId,
      deviceId: device.deviceId,
      deviceName: 'Desk 1',
      startedAtMs: recording.startedAtMs,
      endedAtMs: recording.endedAtMs,
      durationMs: recording.durationMs,
      deletedAtMs: expect.closeTo(clock.nowMs(), -4) as number,
      policy: { deleteAfterDays: null, keepAtLeastDays: 0 },
      deletedBy: { kind: 'user', userId, name },
      sizeBytes: sum(files.values()),
      files: expect.arrayContaining(evidence) as unknown,
      isFinished: true,
    });
    expect(tombstone.files).toHaveLength(2);
    expect(await admin.call('tombstones')).toEqual({ tombstones: [tombstone] });
  });

  it('[K6] deletes nothing when the tombstone cannot be written', async () => {
    const recordingId = await makeSealed();
    await settle();
    const files = await recordedFiles();
    await test.relay.database.schema.alterTable('tombstones').dropColumn('size_bytes').execute();
    expect(await refusal(recordingId)).toMatchObject({ code: 'INTERNAL' });
    expect(await recordedFiles()).toEqual(files);
    const recording = await admin.call('recording', { params: { recordingId } });
    expect(recording.state).toBe('sealed');
    const media = await admin.fetch('recordingMedia', { params: { recordingId } });
    expect((await media.arrayBuffer()).byteLength).toBe(recording.sizeBytes);
  });

  it('[K6] says so when files are left, and the next sweep removes them', async () => {
    const recordingId = await makeSealed();
    // Has no hash to be taken, and cannot be removed as a file.
    const [media] = await filesOf(recordingId);
    const stubborn = `${media!.slice(0, media!.lastIndexOf(recordingId) + recordingId.length)}.left.jpg`;
    await mkdir(stubborn);
    expect(await del(recordingId)).toMatchObject({ recordingId, isFinished: false });
    expect((await admin.call('tombstones')).tombstones).toMatchObject([{ isFinished: false }]);
    await rm(stubborn, { recursive: true });
    await startAgain();
    expect(await filesOf(recordingId)).toEqual([]);
    expect((await admin.call('tombstones')).tombstones).toMatchObject([{ recordingId, isFinished: true }]);
  });

  it('[K8] is for everybody from the tombstone on, also while the disk keeps files of it', async () => {
    const recordingId = await makeSealed();
    await settle();
    const params = { recordingId };
    const mediaPath = (await filesOf(recordingId)).find((path) => path.endsWith('.webm'))!;
    const reading = await test.relay.media.openRecordingMedia({
      companyId: test.companyId,
      recordingId,
      part: 0,
      chunkCount: null,
    });
    if (reading.kind !== 'bytes') throw new Error('It has a file.');
    // Cannot be removed as a file.
    const stubborn = mediaPath.replace(/\.webm$/, '.left.jpg');
    await mkdir(stubborn);
    expect(await del(recordingId)).toMatchObject({ recordingId, isFinished: false });
    for (let round = 0; round < 2; round++) {
      expect((await stat(stubborn)).isDirectory()).toBe(true);
      // It keeps nothing else of the recording.
      expect(await filesOf(recordingId)).toEqual([]);
      expect(await admin.call('recordings')).toEqual({ recordings: [] });
      for (const name of [
        'recording',
        'recordingMedia',
        'recordingManifest',
        'recordingThumbnail',
        'recordingSpriteTiles',
      ] as const) {
        expect(await admin.refusal(name, { params }), name).toMatchObject({ code: 'RECORDING_NOT_FOUND' });
      }
      const poster = { params: { ...params, kind: 'poster' } };
      expect(await admin.refusal('recordingDerivative', poster)).toMatchObject({
        code: 'RECORDING_NOT_FOUND',
      });
      const mp4 = { params, body: { kind: 'mp4' } };
      expect(await admin.refusal('createExport', mp4)).toMatchObject({ code: 'RECORDING_NOT_FOUND' });
      expect(await refusal(recordingId)).toMatchObject({ code: 'RECORDING_NOT_FOUND' });
      await expect(reading.bytes.read(0, 10).next()).rejects.toMatchObject({ code: 'STORAGE_FAILED' });
      await startAgain();
    }
    const rows = await test.relay.database.selectFrom('derivatives').select('kind').execute();
    expect(rows).toEqual([]);
    reading.bytes.close();
  });

  it('[K8] is for good: the recording is not found, and its publisher cannot bring it back', async () => {
    const publisher = await publishClip({ device, client: test.client(), nowMs: clock.nowMs() });
    publisher.socket.terminate();
    const { maker } = publisher;
    const { recordingId } = maker.start;
    await stateOf(recordingId, 'provisional');
    await del(recordingId);
    const params = { recordingId };
    for (const name of ['recording', 'recordingMedia', 'recordingManifest', 'recordingThumbnail'] as const) {
      expect((await admin.refusal(name, { params })).code).toMatch(/NOT_FOUND$/);
    }
    for (let round = 0; round < 2; round++) {
      const again = await openPublisher({ device, client: test.client(), nowMs: clock.nowMs(), maker });
      const welcome = again.hello();
      expect(await again.next('refused')).toMatchObject({ code: 'RECORDING_DELETED' });
      await expect(welcome).rejects.toThrow('closed: 4410');
      expect(await filesOf(recordingId)).toEqual([]);
      await startAgain();
    }
    // The stream itself goes on.
    const next = await connectPublisher({ device, client: test.client(), nowMs: clock.nowMs() });
    next.socket.terminate();
  });
});

describe('a deletion that was cut off behind its tombstone', () => {
  it('[K7] is finished at the next start, with a journal or with files, and does not come back', async () => {
    const sealed = await makeSealed();
    const publisher = await publishClip({ device, client: test.client(), nowMs: clock.nowMs() });
    publisher.socket.terminate();
    const { recordingId: provisional } = publisher.maker.start;
    await stateOf(provisional, 'provisional');
    for (const recordingId of [sealed, provisional]) await writeTombstone(recordingId);
    await startAgain();
    const { tombstones } = await admin.call('tombstones');
    expect(tombstones).toMatchObject([{ isFinished: true }, { isFinished: true }]);
    for (const recordingId of [sealed, provisional]) {
      expect(await filesOf(recordingId)).toEqual([]);
      const refusal = await admin.refusal('recording', { params: { recordingId } });
      expect(refusal).toMatchObject({ code: 'RECORDING_NOT_FOUND' });
    }
    expect((await admin.call('recordings')).recordings).toEqual([]);
  });

  /** What a relay that dies at that moment leaves behind. */
  async function writeTombstone(recordingId: Id): Promise<void> {
    const { streamId } = await device.publishTokens(test.client(), { nowMs: clock.nowMs() });
    await test.relay.database
      .insertInto('tombstones')
      .values({
        recording_id: recordingId,
        company_id: test.companyId,
        stream_id: streamId,
        device_id: device.deviceId,
        started_at_ms: 0,
        keep_at_least_days: 0,
        deleted_at_ms: clock.nowMs(),
        size_bytes: 0,
        files: '[]',
      })
      .execute();
  }
});

describe('tombstones', () => {
  it('[K9] stay, newest first and page by page, for admins and auditors of the company alone', async () => {
    const deleted: Id[] = [];
    for (let n = 0; n < 3; n++) {
      const recordingId = await makeSealed();
      await admin.call('deleteRecording', { params: { recordingId } });
      deleted.unshift(recordingId);
    }
    await pass(10_000);
    await startAgain();
    const auditor = await test.signInAs('auditor');
    const { tombstones } = await auditor.call('tombstones');
    expect(tombstones.map(({ recordingId }) => recordingId)).toEqual(deleted);
    const page = await auditor.call('tombstones', { query: { limit: '2' } });
    expect(page.tombstones).toEqual(tombstones.slice(0, 2));
    const after = page.tombstones.at(-1)!.recordingId;
    expect((await auditor.call('tombstones', { query: { after } })).tombstones).toEqual(tombstones.slice(2));
    const unknown = { after: createId('recording') };
    expect((await auditor.call('tombstones', { query: unknown })).tombstones).toEqual([]);
    const foreign = await test.signInAs('auditor', await test.createCompany('Beta'));
    expect((await foreign.call('tombstones')).tombstones).toEqual([]);
    expect((await foreign.call('tombstones', { query: { after } })).tombstones).toEqual([]);
    const viewer = await test.signInAs('viewer');
    expect(await viewer.refusal('tombstones')).toMatchObject({ code: 'FORBIDDEN' });
  });
});

/** Resolves when the recording is in this state. */
async function stateOf(recordingId: Id, state: string): Promise<void> {
  await expect
    .poll(async () => (await admin.call('recording', { params: { recordingId } })).state, { timeout: 10_000 })
    .toBe(state);
}
