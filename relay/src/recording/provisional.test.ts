import { hash } from 'node:crypto';
import { chmod, mkdtemp, readdir, readFile, rm, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Chunk, CodedError, DevicePrincipal, RecordingDetails } from '@proofcast/shared';
import { loadWebmClip } from '@proofcast/shared/testing/webm-clip';
import { afterEach, describe, expect, test } from 'vitest';
import type { ChunkMaker } from '../../testing/chunk-maker.ts';
import { FailingFolder } from '../../testing/failing-folder.ts';
import { HeldTimers } from '../../testing/held-timers.ts';
import { MediaWorld, type MediaWorldOptions } from '../../testing/media-world.ts';
import type { TestPublisher } from '../../testing/test-publisher.ts';
import type { ServedBytes } from './file-bytes.ts';
import { rewriteManifestHead } from './manifest-file.ts';
import { SealedFiles } from './sealed-files.ts';
import { verifyFile } from './verify-file.ts';

const GRACE_MS = 54_321;
const KEEP_MS = 65_432;
const CLIP = loadWebmClip('vp8');

describe('a recording whose publisher is lost', () => {
  let world: MediaWorld;
  let grace: HeldTimers;
  let programs: string | undefined;

  afterEach(async () => {
    await world.close();
    if (programs !== undefined) await rm(programs, { recursive: true, force: true });
  });

  async function openWorld(options: MediaWorldOptions = {}): Promise<DevicePrincipal> {
    grace = new HeldTimers(GRACE_MS);
    world = await MediaWorld.open({
      graceMs: GRACE_MS,
      clock: grace,
      ...options,
      limits: { provisionalKeepMs: KEEP_MS, ...options.limits },
    });
    return world.device();
  }

  /** All chunks of the clip in one epoch, captured a while ago, of which nothing was sent. */
  function makeClip(device: DevicePrincipal): ChunkMaker {
    const maker = world.maker(device, (Date.now() - 60_000) * 1000);
    maker.epoch();
    for (let at = 0; at < CLIP.bytes.length; at += 4_000) maker.media(CLIP.bytes.subarray(at, at + 4_000));
    return maker;
  }

  /** Sends what the relay has not got, up to chunk `until`. */
  async function send(device: DevicePrincipal, maker: ChunkMaker, until: number): Promise<TestPublisher> {
    const publisher = await world.publisher(device, maker);
    const { nextSequence } = await publisher.hello();
    for (let n = nextSequence; n < until; n += 1) publisher.sendFrame(maker.frame(n));
    await publisher.untilDurable(until);
    return publisher;
  }

  /** Its socket breaks, and its grace time passes. */
  async function lose(device: DevicePrincipal, publisher: TestPublisher): Promise<void> {
    const viewer = await world.viewer(device.companyId);
    await viewer.next('streams');
    publisher.socket.terminate();
    await viewer.untilState(device.streamId, 'reconnecting');
    grace.pass();
    await viewer.untilState(device.streamId, 'offline');
    viewer.socket.terminate();
    await world.media.whenSealed();
  }

  const detailsOf = ({ companyId }: DevicePrincipal, { start }: ChunkMaker): Promise<RecordingDetails> =>
    world.media.getRecording(companyId, start.recordingId);
  const journals = (): Promise<string[]> => readdir(join(world.dataDir, 'journals'));

  /** The file of the recording as the API serves it, from wherever it is. */
  async function play(
    { companyId }: DevicePrincipal,
    { start: { recordingId } }: ChunkMaker,
    chunks: number | null = null,
  ): Promise<{ bytes: Buffer; etag: string; chunkCount: number | null }> {
    const answer = await world.media.openRecordingMedia({
      companyId,
      recordingId,
      part: 0,
      chunkCount: chunks,
    });
    if (answer.kind === 'pinned') {
      const again = { companyId, recordingId, part: 0, chunkCount: answer.chunkCount };
      const pinned = await world.media.openRecordingMedia(again);
      if (pinned.kind !== 'bytes') throw new Error('What is pinned has bytes.');
      return { ...(await readAll(pinned.bytes)), chunkCount: answer.chunkCount };
    }
    return { ...(await readAll(answer.bytes)), chunkCount: null };
  }

  /** The chunks again, from the files that were made of the recording. */
  async function rebuilt(maker: ChunkMaker): Promise<Chunk[]> {
    const files = await SealedFiles.open(await manifestPath(maker));
    const chunks: Chunk[] = [];
    for await (const chunk of files.chunks(new AbortController().signal)) chunks.push(chunk);
    await files.close();
    return chunks;
  }

  /** Every chunk once, in order, as it was made. */
  async function expectWhole(device: DevicePrincipal, maker: ChunkMaker): Promise<void> {
    await world.media.whenSealed();
    expect(await world.media.listRecordings(device.companyId, {})).toHaveLength(1);
    expect(await detailsOf(device, maker)).toMatchObject({
      state: 'sealed',
      isComplete: true,
      failure: null,
      chunkCount: maker.chunks.length,
      gapCount: 0,
      gaps: [],
    });
    const summary = (chunks: readonly Chunk[]) =>
      chunks.map(({ kind, sequence, epoch, captureTimeUs, payload }) => [
        kind,
        sequence,
        epoch,
        captureTimeUs,
        hash('sha256', payload),
      ]);
    expect(summary(await rebuilt(maker))).toEqual(summary(maker.chunks));
    expect(await journals()).toEqual([]);
  }

  test('[P1] is provisional when the grace time is over, stays in its journal, and can be played', async () => {
    const device = await openWorld();
    const maker = makeClip(device);
    await lose(device, await send(device, maker, 20));
    const details = await detailsOf(device, maker);
    expect(details).toMatchObject({
      state: 'provisional',
      isComplete: false,
      failure: null,
      chunkCount: 20,
      parts: [{ part: 0, startedAtMs: details.startedAtMs }],
      gaps: [{ reason: 'publisher-offline' }],
      gapCount: 1,
    });
    expect(details.durationMs).toBeGreaterThan(0);
    expect((await journals()).length).toBe(1);
    const { bytes } = await play(device, maker);
    expect(bytes.length).toBe(details.parts[0]?.sizeBytes);
    expect((await world.media.listStreams(device.companyId))[0]?.state.kind).toBe('offline');
  });

  test('[P2] goes on when its publisher comes back, with nothing lost and nothing twice', async () => {
    const device = await openWorld();
    const maker = makeClip(device);
    await lose(device, await send(device, maker, 20));
    const again = await send(device, maker, maker.chunks.length);
    const live = await detailsOf(device, maker);
    expect(live).toMatchObject({ state: 'recording', isComplete: false, endedAtMs: null, gapCount: null });
    expect((await world.media.listStreams(device.companyId))[0]?.state.kind).toBe('live');
    await again.stop();
    await expectWhole(device, maker);
  });

  test('[P2] goes on after any number of losses and restarts of the relay', async () => {
    const device = await openWorld();
    const maker = makeClip(device);
    for (const until of [5, 5, 9, 20, maker.chunks.length]) {
      await lose(device, await send(device, maker, until));
      await world.restart();
      expect(await detailsOf(device, maker)).toMatchObject({ state: 'provisional', chunkCount: until });
    }
    await (await send(device, maker, maker.chunks.length)).stop();
    await expectWhole(device, maker);
  });

  test('[P2] is waited for again when the relay died while it wrote the end', async () => {
    const device = await openWorld();
    const maker = makeClip(device);
    await lose(device, await send(device, maker, 20));
    await world.shutDown();
    const [name = ''] = await journals();
    const path = join(world.dataDir, 'journals', name);
    await truncate(path, (await readFile(path)).length - 1);
    await world.restart();
    expect(await detailsOf(device, maker)).toMatchObject({ state: 'reconnecting', chunkCount: 20 });
    expect((await world.media.listStreams(device.companyId))[0]?.state.kind).toBe('reconnecting');
    await (await send(device, maker, maker.chunks.length)).stop();
    await expectWhole(device, maker);
  });

  test('[P3] is merged when the keep time is over, and stays provisional', async () => {
    const device = await openWorld();
    const maker = makeClip(device);
    await lose(device, await send(device, maker, 20));
    // Counted from the loss: after a restart with a shorter time nothing of it is left.
    await world.restart({ limits: { provisionalKeepMs: 0 } });
    await untilMerged(device, maker);
    expect(await journals()).toEqual([]);
    const merged = await detailsOf(device, maker);
    expect(merged).toMatchObject({
      state: 'provisional',
      isComplete: false,
      chunkCount: 20,
      gaps: [{ reason: 'publisher-offline' }],
      gapCount: 1,
    });
    expect(merged.sizeBytes).toBe((await play(device, maker)).bytes.length);
    await world.restart();
    expect(await detailsOf(device, maker)).toMatchObject({ state: 'provisional', gaps: merged.gaps });
  });

  test('[A11] has the same bytes and the same tag live, provisional and merged, also while that changes', async () => {
    const device = await openWorld();
    const maker = makeClip(device);
    const publisher = await send(device, maker, 20);
    const live = await play(device, maker);
    await lose(device, publisher);
    expect(await play(device, maker)).toEqual(live);
    await world.restart({ limits: { provisionalKeepMs: 0 } });
    await untilMerged(device, maker);
    const merged = await play(device, maker);
    expect(merged).toMatchObject({ etag: live.etag, chunkCount: null });
    expect(merged.bytes.equals(live.bytes)).toBe(true);
    expect(await play(device, maker, 20)).toEqual(merged);
    await expect(play(device, maker, 19)).rejects.toMatchObject({ code: 'SNAPSHOT_GONE' });
  });

  test('[P4] goes on also after it was merged: the journal is made again from file and manifest', async () => {
    const device = await openWorld({ limits: { provisionalKeepMs: 0 } });
    const maker = makeClip(device);
    for (const until of [9, 20]) {
      await lose(device, await send(device, maker, until));
      await untilMerged(device, maker);
      expect(await journals()).toEqual([]);
    }
    const last = await send(device, maker, maker.chunks.length);
    expect(await detailsOf(device, maker)).toMatchObject({ state: 'recording', sizeBytes: null });
    expect((await journals()).length).toBe(1);
    await last.stop();
    await expectWhole(device, maker);
  });

  test('[P4] is as it was when the relay died before anything was added to the journal that was made again', async () => {
    const device = await openWorld({ limits: { provisionalKeepMs: 0 } });
    const maker = makeClip(device);
    await lose(device, await send(device, maker, 20));
    await untilMerged(device, maker);
    const merged = await detailsOf(device, maker);
    await world.shutDown();
    const path = join(world.dataDir, 'journals', `${maker.start.recordingId}.journal`);
    await writeFile(`${path}.importing`, 'half of it');
    await writeFile(path, 'as good as the file');
    await world.restart();
    expect(await journals()).toEqual([]);
    expect(await detailsOf(device, maker)).toMatchObject({ ...merged, derivatives: expect.anything() });
    await (await send(device, maker, maker.chunks.length)).stop();
    await expectWhole(device, maker);
  });

  test('[P4] is refused when its file is not what it was, and says so', async () => {
    const device = await openWorld({ limits: { provisionalKeepMs: 0 } });
    const maker = makeClip(device);
    await lose(device, await send(device, maker, 20));
    await untilMerged(device, maker);
    const row = await world.database.selectFrom('recordings').select('media_path').executeTakeFirstOrThrow();
    const path = join(world.dataDir, 'recordings', row.media_path ?? '');
    const bytes = await readFile(path);
    bytes[bytes.length - 100] = (bytes.at(-100) ?? 0) ^ 1;
    await writeFile(path, bytes);
    const late = await world.publisher(device, maker);
    late.hello().catch(() => undefined);
    expect(await late.next('refused')).toMatchObject({ code: 'RECORDING_DAMAGED' });
    expect(await journals()).toEqual([]);
    expect(await detailsOf(device, maker)).toMatchObject({ state: 'provisional', chunkCount: 20 });
  });

  test('[P4] waits for room on the disk before its journal is made again', async () => {
    let disk: FailingFolder | undefined;
    const device = await openWorld({
      limits: { provisionalKeepMs: 0 },
      wrapJournals: (folder) => (disk = new FailingFolder(folder)),
    });
    const maker = makeClip(device);
    await lose(device, await send(device, maker, 20));
    await untilMerged(device, maker);
    disk?.failures.push({ operation: 'datasync', code: 'ENOSPC' });
    const refused = await world.publisher(device, maker);
    refused.hello().catch(() => undefined);
    expect(await refused.next('refused')).toMatchObject({ code: 'STORAGE_FAILED' });
    expect(await journals()).toEqual([]);
    if (disk) disk.failures.length = 0;
    await (await send(device, maker, maker.chunks.length)).stop();
    await expectWhole(device, maker);
  });

  test('[P5] goes on while it is being merged, which is then given up', async () => {
    programs = await mkdtemp(join(tmpdir(), 'proofcast-programs-'));
    const ffprobe = join(programs, 'ffprobe');
    await writeFile(ffprobe, `#!/bin/sh\ntouch '${programs}/begun'\nexec sleep 1000\n`);
    await chmod(ffprobe, 0o700);
    const device = await openWorld({
      ffmpegPath: join(programs, 'ffmpeg'),
      limits: { provisionalKeepMs: 0 },
    });
    const maker = makeClip(device);
    const publisher = await send(device, maker, 20);
    publisher.socket.terminate();
    await publisher.closed;
    while (grace.size === 0) await new Promise(setImmediate);
    grace.pass();
    while (!(await readdir(programs)).includes('begun')) await new Promise(setImmediate);
    const again = await send(device, maker, maker.chunks.length);
    expect(await detailsOf(device, maker)).toMatchObject({ state: 'recording' });
    await world.restart({ ffmpegPath: 'ffmpeg' });
    again.socket.terminate();
    await (await send(device, maker, maker.chunks.length)).stop();
    await expectWhole(device, maker);
  });

  test('[P6] keeps the journals of only so many for one stream; the oldest is merged before its time', async () => {
    const device = await openWorld({ limits: { maxOpenRecordingsPerStream: 2 } });
    const makers: ChunkMaker[] = [];
    for (let n = 0; n < 3; n += 1) {
      const maker = makeClip(device);
      await lose(device, await send(device, maker, 20));
      makers.push(maker);
    }
    const [oldest] = makers;
    await untilMerged(device, oldest as ChunkMaker);
    expect((await journals()).toSorted()).toEqual(
      makers
        .slice(1)
        .map(({ start }) => `${start.recordingId}.journal`)
        .toSorted(),
    );
  });

  test('[P7] is complete, and sealed, when its device is revoked', async () => {
    const device = await openWorld();
    const maker = makeClip(device);
    await lose(device, await send(device, maker, 20));
    world.media.disconnectDevice(device.deviceId, { code: 'DEVICE_REVOKED' } as CodedError);
    while ((await detailsOf(device, maker)).state !== 'sealed') await new Promise(setImmediate);
    expect(await detailsOf(device, maker)).toMatchObject({ isComplete: true, chunkCount: 20 });
  });

  test('[P7] is complete when its device was revoked while the relay did not run', async () => {
    const device = await openWorld();
    const maker = makeClip(device);
    await lose(device, await send(device, maker, 20));
    await world.shutDown();
    await world.database.updateTable('devices').set({ revoked_at_ms: 1 }).execute();
    await world.restart();
    await world.media.whenSealed();
    expect(await detailsOf(device, maker)).toMatchObject({ state: 'sealed', isComplete: true });
  });

  test('[P7] is complete when its device is revoked after it was merged, and its manifest says so', async () => {
    const device = await openWorld({ limits: { provisionalKeepMs: 0 } });
    const other = await world.device(device.companyId, 'Desk 2');
    const [maker, others] = [makeClip(device), makeClip(other)];
    await lose(device, await send(device, maker, 20));
    await lose(other, await send(other, others, 20));
    await untilMerged(device, maker);
    await untilMerged(other, others);
    const before = await SealedFiles.open(await manifestPath(maker));
    const gaps = (await detailsOf(device, maker)).gaps;
    await world.database
      .updateTable('devices')
      .set({ revoked_at_ms: 1 })
      .where('device_id', '=', device.deviceId)
      .execute();
    world.media.disconnectDevice(device.deviceId, { code: 'DEVICE_REVOKED' } as CodedError);
    while ((await detailsOf(device, maker)).state !== 'sealed') await new Promise(setImmediate);
    expect(await detailsOf(device, maker)).toMatchObject({ isComplete: true, chunkCount: 20, gaps });
    const path = await manifestPath(maker);
    const after = await SealedFiles.open(path);
    expect(before.manifest.head).toMatchObject({ endReason: 'publisher-lost', isComplete: false });
    const { sealedAtMs } = after.manifest.head;
    expect(after.manifest.head).toEqual({
      ...before.manifest.head,
      endReason: 'device-revoked',
      isComplete: true,
      sealedAtMs,
    });
    await Promise.all([before.close(), after.close()]);
    const { signal } = new AbortController();
    expect((await verifyFile({ manifestPath: path, signal })).kind).toBe('intact');
    expect(await detailsOf(other, others)).toMatchObject({ state: 'provisional', isComplete: false });
    const late = await world.publisher(device, maker);
    late.hello().catch(() => undefined);
    expect(await late.next('refused')).toMatchObject({ code: 'STREAM_NOT_FOUND' });
  });

  test('[P7] is complete at the next start when its device was revoked after it was merged, also after a crash in between', async () => {
    const device = await openWorld({ limits: { provisionalKeepMs: 0 } });
    const maker = makeClip(device);
    await lose(device, await send(device, maker, 20));
    await untilMerged(device, maker);
    const path = await manifestPath(maker);
    await world.shutDown();
    await world.database.updateTable('devices').set({ revoked_at_ms: 1 }).execute();
    // The manifest was written, the database was not.
    const { signal } = new AbortController();
    const temporaryPath = `${path}.temporary`;
    await rewriteManifestHead({ path, temporaryPath, fields: { endReason: 'device-revoked' }, signal });
    await world.restart();
    await world.media.whenSealed();
    expect(await detailsOf(device, maker)).toMatchObject({ state: 'sealed', isComplete: true });
    expect((await verifyFile({ manifestPath: path, signal })).kind).toBe('intact');
  });

  test('[P7] stays provisional, with its files, when its manifest cannot be written, and is complete at the next start', async () => {
    const device = await openWorld({ limits: { provisionalKeepMs: 0 } });
    const maker = makeClip(device);
    await lose(device, await send(device, maker, 20));
    await untilMerged(device, maker);
    const path = await manifestPath(maker);
    const original = await readFile(path);
    await writeFile(path, 'not a manifest');
    await world.database.updateTable('devices').set({ revoked_at_ms: 1 }).execute();
    await world.restart();
    await world.media.whenSealed();
    expect(await detailsOf(device, maker)).toMatchObject({ state: 'provisional', isComplete: false });
    expect(await readFile(path, 'utf8')).toBe('not a manifest');
    await writeFile(path, original);
    await world.restart();
    await world.media.whenSealed();
    expect(await detailsOf(device, maker)).toMatchObject({ state: 'sealed', isComplete: true });
  });

  test('[P8] takes nothing more once its publisher has stopped', async () => {
    const device = await openWorld();
    const maker = makeClip(device);
    await lose(device, await send(device, maker, 20));
    const last = await send(device, maker, 21);
    last.say({ type: 'stop', data: { chunkCount: 21 } });
    await last.next('stopped');
    const late = await world.publisher(device, maker);
    late.hello().catch(() => undefined);
    expect(await late.next('refused')).toMatchObject({
      code: 'RECORDING_SEALED',
      details: { chunkCount: 21 },
    });
    await world.media.whenSealed();
    const later = await world.publisher(device, maker);
    later.hello().catch(() => undefined);
    expect(await later.next('refused')).toMatchObject({
      code: 'RECORDING_SEALED',
      details: { chunkCount: 21 },
    });
  });

  test('without a chunk leaves nothing, and may begin again under its id', async () => {
    const device = await openWorld();
    const maker = makeClip(device);
    const publisher = await world.publisher(device, maker);
    await publisher.hello();
    await lose(device, publisher);
    expect(await world.media.listRecordings(device.companyId, {})).toEqual([]);
    expect(await journals()).toEqual([]);
    await (await send(device, maker, maker.chunks.length)).stop();
    await expectWhole(device, maker);
  });

  test('without a picture goes on as well, however late', async () => {
    const device = await openWorld({ limits: { provisionalKeepMs: 0 } });
    const maker = makeClip(device);
    await lose(device, await send(device, maker, 1));
    while ((await detailsOf(device, maker)).state !== 'failed') await new Promise(setImmediate);
    expect(await detailsOf(device, maker)).toMatchObject({ failure: { code: 'RECORDING_EMPTY' } });
    await world.restart();
    await (await send(device, maker, maker.chunks.length)).stop();
    await expectWhole(device, maker);
  });

  async function manifestPath({ start: { recordingId } }: ChunkMaker): Promise<string> {
    const row = await world.database
      .selectFrom('recordings')
      .select('manifest_path')
      .where('recording_id', '=', recordingId)
      .executeTakeFirstOrThrow();
    return join(world.dataDir, 'recordings', row.manifest_path ?? '');
  }

  async function untilMerged(device: DevicePrincipal, maker: ChunkMaker): Promise<void> {
    while ((await detailsOf(device, maker)).sizeBytes === null) await new Promise(setImmediate);
    await world.media.whenSealed();
  }
});

async function readAll(bytes: ServedBytes): Promise<{ bytes: Buffer; etag: string }> {
  const pieces: Uint8Array[] = [];
  for await (const piece of bytes.read(0, bytes.sizeBytes)) pieces.push(piece.slice());
  bytes.close();
  return { bytes: Buffer.concat(pieces), etag: bytes.etag };
}
