import { readdir } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { createId, type DevicePrincipal, type Id } from '@proofcast/shared';
import { loadWebmClip } from '@proofcast/shared/testing/webm-clip';
import { afterEach, describe, expect, test } from 'vitest';
import { filesOnDisk } from '../testing/files-on-disk.ts';
import { HeldTimers } from '../testing/held-timers.ts';
import { MediaWorld, type MediaWorldOptions } from '../testing/media-world.ts';
import type { TestPublisher } from '../testing/test-publisher.ts';
import type { RecordingFile } from './retention/recording-file.ts';

const GRACE_MS = 54_321;
const CLIP = loadWebmClip('vp8');

describe('a recording that is to be deleted', () => {
  let world: MediaWorld;
  let grace: HeldTimers;

  afterEach(() => world.close());

  async function openWorld(options: MediaWorldOptions = {}): Promise<DevicePrincipal> {
    grace = new HeldTimers(GRACE_MS);
    world = await MediaWorld.open({ graceMs: GRACE_MS, clock: grace, ...options });
    return world.device();
  }

  async function publish(device: DevicePrincipal): Promise<TestPublisher> {
    const publisher = await world.publisher(device);
    await publisher.hello();
    publisher.maker.epoch();
    for (const slice of CLIP.slices) publisher.maker.media(slice);
    publisher.upload();
    await publisher.untilDurable();
    return publisher;
  }

  async function sealed(device: DevicePrincipal): Promise<Id> {
    const { recordingId } = await (await publish(device)).stop();
    await world.media.whenSealed();
    return recordingId;
  }

  async function provisional(device: DevicePrincipal): Promise<TestPublisher> {
    const publisher = await publish(device);
    const viewer = await world.viewer(device.companyId);
    await viewer.next('streams');
    publisher.socket.terminate();
    await viewer.untilState(device.streamId, 'reconnecting');
    grace.pass();
    await viewer.untilState(device.streamId, 'offline');
    await world.media.whenSealed();
    return publisher;
  }

  const write = (files: readonly RecordingFile[]): Promise<void> => {
    written.push(files);
    return Promise.resolve();
  };
  let written: (readonly RecordingFile[])[] = [];

  async function filesLeft(): Promise<string[]> {
    const journals = await readdir(join(world.dataDir, 'journals'));
    const files = await filesOnDisk(join(world.dataDir, 'recordings'));
    return [...journals, ...[...files.keys()].map((path) => basename(path))];
  }

  /** Writes down that a recording was deleted, and does nothing more. */
  async function bury(device: DevicePrincipal, recordingId: Id): Promise<void> {
    await world.database
      .insertInto('tombstones')
      .values({
        recording_id: recordingId,
        company_id: device.companyId,
        stream_id: device.streamId,
        device_id: device.deviceId,
        started_at_ms: 0,
        ended_at_ms: null,
        duration_ms: null,
        delete_after_days: null,
        keep_at_least_days: 0,
        deleted_by: null,
        deleted_at_ms: 0,
        size_bytes: 0,
        files: '[]',
        finished_at_ms: null,
      })
      .execute();
  }

  test('[J24] leaves nothing of its files and its row, whatever it consists of', async () => {
    const device = await openWorld();
    const { media } = world;
    const { companyId } = device;
    const merged = await sealed(device);
    const waiting = (await provisional(device)).maker.start.recordingId;
    written = [];
    await media.deleteRecording(companyId, merged, write);
    await media.deleteRecording(companyId, waiting, write);
    const kinds = written.map((files) => new Set(files.map(({ kind }) => kind)));
    expect(kinds[0]).toContain('media');
    expect(kinds[0]).toContain('manifest');
    expect(kinds[1]).toEqual(new Set(['journal']));
    expect(written[0]?.find(({ kind }) => kind === 'media')?.sha256).toMatch(/^[0-9a-f]{64}$/);
    expect(await filesLeft()).toEqual([]);
    expect(await media.listRecordings(companyId, {})).toEqual([]);
    for (const recordingId of [merged, waiting]) {
      await expect(media.getRecording(companyId, recordingId)).rejects.toMatchObject({
        code: 'RECORDING_NOT_FOUND',
      });
      await expect(media.deleteRecording(companyId, recordingId, write)).rejects.toMatchObject({
        code: 'RECORDING_NOT_FOUND',
      });
      await media.finishDeletion(recordingId);
    }
  });

  test('[J24] stays as it is while it is being made, in another company, or when its tombstone cannot be written', async () => {
    const device = await openWorld();
    const { media } = world;
    const { companyId } = device;
    const live = (await publish(device)).maker.start.recordingId;
    const merged = await sealed(await world.device(companyId, 'Desk 2'));
    const lost = await provisional(await world.device(companyId, 'Desk 3'));
    const before = await filesLeft();
    await expect(media.deleteRecording(companyId, live, write)).rejects.toMatchObject({
      code: 'RECORDING_NOT_READY',
    });
    const foreign = await world.company();
    for (const recordingId of [live, merged, createId('recording')]) {
      await expect(media.deleteRecording(foreign, recordingId, write)).rejects.toMatchObject({
        code: 'RECORDING_NOT_FOUND',
      });
    }
    const refuse = (): Promise<void> => Promise.reject(new Error('no tombstone'));
    for (const recordingId of [merged, lost.maker.start.recordingId]) {
      await expect(media.deleteRecording(companyId, recordingId, refuse)).rejects.toThrow('no tombstone');
    }
    expect(await filesLeft()).toEqual(expect.arrayContaining(before));
    // Its publisher can still go on in it.
    const { maker } = lost;
    const again = await world.publisher(await deviceOf(maker.start.streamId), maker);
    expect(await again.hello()).toMatchObject({ nextSequence: maker.chunks.length });
  });

  test('[J24] is not gone on with meanwhile, nor after', async () => {
    const device = await openWorld();
    const { media } = world;
    const lost = await provisional(device);
    const { recordingId } = lost.maker.start;
    const begun = Promise.withResolvers<void>();
    const tombstone = Promise.withResolvers<void>();
    const deleting = media.deleteRecording(device.companyId, recordingId, () => {
      begun.resolve();
      return tombstone.promise;
    });
    await begun.promise;
    const early = await world.publisher(device, lost.maker);
    early.hello().catch(() => undefined);
    expect(await early.next('refused')).toMatchObject({ code: 'RECORDING_NOT_READY' });
    await expect(media.deleteRecording(device.companyId, recordingId, write)).rejects.toMatchObject({
      code: 'RECORDING_NOT_READY',
    });
    await bury(device, recordingId);
    tombstone.resolve();
    await deleting;
    const late = await world.publisher(device, lost.maker);
    late.hello().catch(() => undefined);
    expect(await late.next('refused')).toMatchObject({ code: 'RECORDING_DELETED' });
    // Who it did not belong to does not learn that it ever was.
    for (const stranger of [await world.device(), await world.stream(device, 1)]) {
      const other = await world.publisher(stranger, lost.maker);
      other.hello().catch(() => undefined);
      expect(await other.next('refused')).toMatchObject({ code: 'RECORDING_NOT_FOUND' });
    }
    expect(await filesLeft()).toEqual([]);
  });

  test('[J24] is finished after a crash between its tombstone and its last file', async () => {
    const device = await openWorld();
    const lost = await provisional(device);
    const { recordingId } = lost.maker.start;
    await world.shutDown();
    await bury(device, recordingId);
    await world.restart();
    expect(world.media.journalsToRead).toBe(0);
    await world.media.finishDeletion(recordingId);
    expect(await filesLeft()).toEqual([]);
    expect(await world.media.listRecordings(device.companyId, {})).toEqual([]);
  });

  test('[J24] cuts off who reads from its journal, and nobody else', async () => {
    const device = await openWorld();
    const { companyId } = device;
    const lost = (await provisional(device)).maker.start.recordingId;
    const other = (await publish(await world.device(companyId, 'Desk 2'))).maker.start.recordingId;
    const open = async (recordingId: Id) => {
      const request = { companyId, recordingId, part: 0 };
      const answer = await world.media.openRecordingMedia({
        ...request,
        chunkCount: CLIP.slices.length + 1,
      });
      if (answer.kind !== 'bytes') throw new Error('What is pinned has bytes.');
      return answer.bytes;
    };
    const [reading, kept] = [await open(lost), await open(other)];
    await world.media.deleteRecording(companyId, lost, write);
    const readAll = async (bytes: typeof reading): Promise<number> => {
      let count = 0;
      for await (const piece of bytes.read(0, bytes.sizeBytes)) count += piece.length;
      return count;
    };
    await expect(readAll(reading)).rejects.toMatchObject({ code: 'STORAGE_FAILED' });
    expect(await readAll(kept)).toBe(kept.sizeBytes);
    reading.close();
    kept.close();
  });

  async function deviceOf(streamId: Id): Promise<DevicePrincipal> {
    const row = await world.database
      .selectFrom('streams')
      .selectAll()
      .where('stream_id', '=', streamId)
      .executeTakeFirstOrThrow();
    return { kind: 'device', deviceId: row.device_id, companyId: row.company_id, streamId };
  }
});
