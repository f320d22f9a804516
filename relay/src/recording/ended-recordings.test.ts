import { chmod, mkdtemp, readdir, readFile, readlink, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { CodedError, type DevicePrincipal, type Id } from '@proofcast/shared';
import { loadWebmClip } from '@proofcast/shared/testing/webm-clip';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { ChunkMaker } from '../../testing/chunk-maker.ts';
import { HeldTimers } from '../../testing/held-timers.ts';
import { MediaWorld, type MediaWorldOptions } from '../../testing/media-world.ts';
import type { JournalFile, JournalFolder } from '../journal/journal-files.ts';

const CLIP = loadWebmClip('vp8');
/** One chunk with a few pictures. */
const BYTES = CLIP.bytes.subarray(0, 40_000);
const MAX_OPEN = 2;
const CONCURRENT = 2;
/** Beside what may stay open: what is being read at the start, for players too, and what seals read once more. */
const MAX_FILES = MAX_OPEN + 2 * CONCURRENT + CONCURRENT;

describe('recordings that wait to be sealed', () => {
  let world: MediaWorld;
  let programs: string;
  /** The most files of journals that were open at a time. */
  let mostOpen: number;

  beforeEach(async () => {
    programs = await mkdtemp(join(tmpdir(), 'proofcast-programs-'));
    mostOpen = 0;
  });
  afterEach(async () => {
    await letSealsGo();
    await world.close();
    await rm(programs, { recursive: true, force: true });
  });

  const limits = {
    maxOpenEndedRecordings: MAX_OPEN,
    concurrentSeals: CONCURRENT,
    concurrentRecoveries: CONCURRENT,
    sealShutdownMs: 0,
  };
  const letSealsGo = (): Promise<void> => writeFile(join(programs, 'go'), '');

  /** Seals wait for their last check until `letSealsGo`. */
  async function openWorld(options: MediaWorldOptions = {}): Promise<DevicePrincipal> {
    const ffprobe = join(programs, 'ffprobe');
    await writeFile(
      ffprobe,
      `#!/bin/sh\nwhile [ -d '${programs}' ] && [ ! -e '${programs}/go' ]; do sleep 0.2; done\nexec ffprobe "$@"\n`,
    );
    await chmod(ffprobe, 0o700);
    world = await MediaWorld.open({
      ffmpegPath: join(programs, 'ffmpeg'),
      limits,
      wrapJournals: watched,
      ...options,
    });
    return world.device();
  }

  async function record(device: DevicePrincipal, count: number): Promise<Id[]> {
    const recordingIds: Id[] = [];
    for (let n = 0; n < count; n += 1) {
      const publisher = await world.publisher(device);
      await publisher.hello();
      publisher.maker.epoch();
      publisher.maker.media(BYTES);
      publisher.upload();
      await publisher.stop();
      recordingIds.push(publisher.maker.start.recordingId);
    }
    return recordingIds;
  }

  const journals = (): Promise<string[]> => readdir(join(world.dataDir, 'journals'));

  /** How many files this process has open in the folder of journals. */
  async function openJournals(): Promise<number> {
    const folder = join(world.dataDir, 'journals/');
    return (await openPaths()).filter((path) => path.startsWith(folder)).length;
  }

  async function openPaths(): Promise<string[]> {
    const fds = await readdir('/proc/self/fd');
    // One of them was that of the folder which was just read.
    return Promise.all(fds.map((fd) => readlink(join('/proc/self/fd', fd)).catch(() => '')));
  }

  /** Looks how many are open whenever another one was opened. */
  function watched(folder: JournalFolder): JournalFolder {
    const look = async (file: Promise<JournalFile>): Promise<JournalFile> => {
      const opened = await file;
      mostOpen = Math.max(mostOpen, await openJournals());
      return opened;
    };
    return {
      ...folder,
      open: (name) => look(folder.open(name)),
      create: (name) => look(folder.create(name)),
    };
  }

  async function play(
    { companyId }: DevicePrincipal,
    recordingId: Id,
  ): Promise<{ etag: string; bytes: Buffer }> {
    const request = { companyId, recordingId, part: 0, chunkCount: 2 };
    const answer = await world.media.openRecordingMedia(request);
    if (answer.kind !== 'bytes') throw new Error('What is pinned has bytes.');
    const { bytes } = answer;
    try {
      const pieces: Uint8Array[] = [];
      for await (const piece of bytes.read(0, bytes.sizeBytes)) pieces.push(piece.slice());
      return { etag: bytes.etag, bytes: Buffer.concat(pieces) };
    } finally {
      bytes.close();
    }
  }

  test('[J25] have few of their files open, however many there are, are played meanwhile, and all sealed in the end', async () => {
    const device = await openWorld();
    const recordingIds = await record(device, 300);
    expect(await openJournals()).toBeGreaterThan(0);
    expect(await journals()).toHaveLength(recordingIds.length);
    // The oldest, whose turn is next, and the newest.
    const [oldest = '', some = '', newest = ''] = [5, 150, 299].map((index) => recordingIds[index]);
    const before = await Promise.all([oldest, some, newest].map((id) => play(device, id)));
    expect(await world.media.getRecording(device.companyId, some)).toMatchObject({
      state: 'sealing',
      chunkCount: 2,
      parts: [{ part: 0, sizeBytes: before[1]?.bytes.length }],
    });

    await world.restart();
    expect(await journals()).toHaveLength(recordingIds.length);
    expect(await play(device, oldest)).toEqual(before[0]);
    // What is deleted is not opened again; of the others each takes its time.
    const kept = new Set([oldest, some, newest, ...recordingIds.slice(0, 10)]);
    for (const recordingId of recordingIds) {
      if (kept.has(recordingId)) continue;
      await world.media.deleteRecording(device.companyId, recordingId, () => Promise.resolve());
    }
    expect((await journals()).toSorted()).toEqual([...kept].map((id) => `${id}.journal`).toSorted());
    await letSealsGo();
    await world.media.whenSealed();
    expect(mostOpen).toBeLessThanOrEqual(MAX_FILES);
    expect(await journals()).toEqual([]);
    expect(await openJournals()).toBe(0);
    const states = await world.database
      .selectFrom('recordings')
      .select(({ fn }) => ['state', 'is_complete', 'chunk_count', fn.countAll<number>().as('count')])
      .groupBy(['state', 'is_complete', 'chunk_count'])
      .execute();
    expect(states).toEqual([{ state: 'sealed', is_complete: 1, chunk_count: 2, count: kept.size }]);
    expect(await Promise.all([oldest, some, newest].map((id) => play(device, id)))).toEqual(before);
  }, 240_000);

  test('[J25] are gone on with by their publisher also when their files are closed, and refuse it after its stop', async () => {
    const grace = new HeldTimers(54_321);
    const device = await openWorld({ clock: grace, graceMs: 54_321 });
    const lost = await loseOne(device, grace);
    await record(await world.device(device.companyId, 'Desk 2'), 2 * MAX_OPEN);
    expect(await isOpen(lost.start.recordingId)).toBe(false);
    const again = await world.publisher(device, lost);
    expect(await again.hello()).toMatchObject({ nextSequence: 2 });
    lost.media(CLIP.bytes.subarray(BYTES.length));
    again.upload(2);
    await again.stop();
    await record(await world.device(device.companyId, 'Desk 3'), 2 * MAX_OPEN);
    const late = await world.publisher(device, lost);
    late.hello().catch(() => undefined);
    expect(await late.next('refused')).toMatchObject({
      code: 'RECORDING_SEALED',
      details: { chunkCount: 3 },
    });
    await letSealsGo();
    await world.media.whenSealed();
    const { companyId } = device;
    expect(await world.media.getRecording(companyId, lost.start.recordingId)).toMatchObject({
      state: 'sealed',
      chunkCount: 3,
      gaps: [],
    });
  });

  test('[J25] are sealed for good when their device is revoked while their files are closed', async () => {
    const grace = new HeldTimers(54_321);
    const device = await openWorld({ clock: grace, graceMs: 54_321 });
    const lost = await loseOne(device, grace);
    await record(await world.device(device.companyId, 'Desk 2'), 2 * MAX_OPEN);
    expect(await isOpen(lost.start.recordingId)).toBe(false);
    world.media.disconnectDevice(device.deviceId, new CodedError('DEVICE_REVOKED', 'It was revoked.'));
    await letSealsGo();
    const details = () => world.media.getRecording(device.companyId, lost.start.recordingId);
    await expect.poll(async () => (await details()).state, { timeout: 20_000 }).toBe('sealed');
    expect(await details()).toMatchObject({ isComplete: true, chunkCount: 2 });
  });

  test('[J9] are failed when their journals were damaged while they were closed, and the others are not', async () => {
    const device = await openWorld();
    const [first = '', ...others] = await record(device, 3 * MAX_OPEN);
    // Two are being sealed.
    const [damaged = ''] = others.slice(2);
    expect(await isOpen(damaged)).toBe(false);
    const path = join(world.dataDir, 'journals', `${damaged}.journal`);
    await writeFile(path, (await readFile(path)).fill(0, 300, 5_000));
    await expect(play(device, damaged)).rejects.toMatchObject({ code: 'STORAGE_FAILED' });
    await letSealsGo();
    await world.media.whenSealed();
    const { companyId } = device;
    expect(await world.media.getRecording(companyId, damaged)).toMatchObject({
      state: 'failed',
      failure: { code: 'STORAGE_FAILED' },
    });
    expect(await journals()).toEqual([`${damaged}.journal`]);
    expect(await world.media.getRecording(companyId, first)).toMatchObject({ state: 'sealed' });
  });

  test('[J24] are deleted also while they are being sealed, which is given up', async () => {
    const device = await openWorld();
    const [running = '', , waiting = '', ...kept] = await record(device, 5);
    // What is being sealed has come to its last check.
    await expect.poll(async () => (await sealedNames()).some((name) => name.includes(running))).toBe(true);
    for (const recordingId of [running, waiting]) {
      await world.media.deleteRecording(device.companyId, recordingId, () => Promise.resolve());
    }
    await letSealsGo();
    await world.media.whenSealed();
    const recordings = await world.media.listRecordings(device.companyId, {});
    expect(recordings.map(({ state }) => state)).toEqual(['sealed', 'sealed', 'sealed']);
    expect(recordings.map(({ recordingId }) => recordingId)).toEqual(expect.arrayContaining(kept));
    const names = await sealedNames();
    expect(names.filter((name) => name.includes(running) || name.includes(waiting))).toEqual([]);
    expect(await journals()).toEqual([]);
  });

  test('[A2] are not opened for another company', async () => {
    const device = await openWorld();
    const [, , closed = ''] = await record(device, 3 * MAX_OPEN);
    const foreign = { ...device, companyId: await world.company() };
    await expect(play(foreign, closed)).rejects.toMatchObject({ code: 'RECORDING_NOT_FOUND' });
    await expect(world.media.getRecording(foreign.companyId, closed)).rejects.toMatchObject({
      code: 'RECORDING_NOT_FOUND',
    });
    expect(await isOpen(closed)).toBe(false);
  });

  async function sealedNames(): Promise<string[]> {
    const names = await readdir(join(world.dataDir, 'recordings'), { recursive: true });
    return names.filter((name) => /rec_.*\.webm$/.test(name));
  }

  /** Its publisher is lost after two chunks, and its grace time passes. */
  async function loseOne(device: DevicePrincipal, grace: HeldTimers): Promise<ChunkMaker> {
    const publisher = await world.publisher(device);
    await publisher.hello();
    publisher.maker.epoch();
    publisher.maker.media(BYTES);
    publisher.upload();
    await publisher.untilDurable();
    const viewer = await world.viewer(device.companyId);
    await viewer.next('streams');
    publisher.socket.terminate();
    await viewer.untilState(device.streamId, 'reconnecting');
    grace.pass();
    await viewer.untilState(device.streamId, 'offline');
    return publisher.maker;
  }

  async function isOpen(recordingId: Id): Promise<boolean> {
    return (await openPaths()).some((path) => path.includes(recordingId));
  }
});
