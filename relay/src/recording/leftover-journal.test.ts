import { readdir, readFile, rm, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { DevicePrincipal, Id } from '@proofcast/shared';
import { loadWebmClip } from '@proofcast/shared/testing/webm-clip';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { ChunkMaker } from '../../testing/chunk-maker.ts';
import { FailingFolder } from '../../testing/failing-folder.ts';
import { HeldTimers } from '../../testing/held-timers.ts';
import { LogCapture } from '../../testing/log-capture.ts';
import { MediaWorld, type MediaWorldOptions } from '../../testing/media-world.ts';

const CLIP = loadWebmClip('vp8');
const GRACE_MS = 54_321;

describe('a journal beside the files that were made of it', () => {
  let world: MediaWorld;
  let device: DevicePrincipal;
  let disk: FailingFolder;
  let log: LogCapture;
  let grace: HeldTimers;

  beforeEach(async () => {
    log = new LogCapture();
    grace = new HeldTimers(GRACE_MS);
    const wrapJournals: MediaWorldOptions['wrapJournals'] = (folder) => (disk = new FailingFolder(folder));
    world = await MediaWorld.open({
      wrapJournals,
      log: log.logger,
      clock: grace,
      graceMs: GRACE_MS,
      limits: { provisionalKeepMs: 0 },
    });
    device = await world.device();
  });
  afterEach(() => world.close());

  function makeClip(): ChunkMaker {
    const maker = world.maker(device, (Date.now() - 60_000) * 1000);
    maker.epoch();
    for (let at = 0; at < CLIP.bytes.length; at += 9_000) maker.media(CLIP.bytes.subarray(at, at + 9_000));
    return maker;
  }

  async function send(maker: ChunkMaker, until: number) {
    const publisher = await world.publisher(device, maker);
    const { nextSequence } = await publisher.hello();
    for (let n = nextSequence; n < until; n += 1) publisher.sendFrame(maker.frame(n));
    await publisher.untilDurable(until);
    return publisher;
  }

  /** A sealed recording whose journal the disk does not let go. */
  async function sealedWithJournal(): Promise<ChunkMaker> {
    disk.failures.push({ operation: 'remove', code: 'EIO' });
    const maker = makeClip();
    await (await send(maker, maker.chunks.length)).stop();
    await world.media.whenSealed();
    expect(await journals()).toHaveLength(1);
    return maker;
  }

  /** The next run, on a disk that is whole again. */
  async function startAgain(): Promise<void> {
    log.text = '';
    await world.restart();
    await world.media.whenSealed();
  }

  const journals = (): Promise<string[]> => readdir(join(world.dataDir, 'journals'));

  async function pathsOf(recordingId: Id): Promise<{ media: string; manifest: string }> {
    const row = await world.database
      .selectFrom('recordings')
      .select(['media_path', 'manifest_path'])
      .where('recording_id', '=', recordingId)
      .executeTakeFirstOrThrow();
    const root = join(world.dataDir, 'recordings');
    return { media: join(root, row.media_path ?? ''), manifest: join(root, row.manifest_path ?? '') };
  }

  const details = ({ start }: ChunkMaker) => world.media.getRecording(device.companyId, start.recordingId);
  const codes = (): unknown[] => log.lines.flatMap(({ code }) => (code === undefined ? [] : [code]));

  async function flip(path: string, fromEnd: number): Promise<void> {
    const bytes = await readFile(path);
    const at = bytes.length - fromEnd;
    await writeFile(path, bytes.with(at, (bytes[at] ?? 0) ^ 1));
  }

  test('[J26] goes when the files hold all of it', async () => {
    await sealedWithJournal();
    await startAgain();
    expect(await journals()).toEqual([]);
    expect(codes()).toEqual([]);
  });

  test.each([
    ['whose media is missing', 'RECORDING_DAMAGED', ({ media }: { media: string }) => rm(media)],
    [
      'whose media is not what it was',
      'RECORDING_DAMAGED',
      ({ media }: { media: string }) => flip(media, 300),
    ],
    ['whose media is cut', 'RECORDING_DAMAGED', ({ media }: { media: string }) => truncate(media, 5_000)],
    ['whose manifest is missing', 'STORAGE_FAILED', ({ manifest }: { manifest: string }) => rm(manifest)],
    [
      'whose manifest is not what it was',
      'MANIFEST_INVALID',
      ({ manifest }: { manifest: string }) => flip(manifest, 200),
    ],
  ])('[J26] of a recording %s is kept with %s in the log, and sealed again', async (_, code, damage) => {
    const maker = await sealedWithJournal();
    const paths = await pathsOf(maker.start.recordingId);
    const [media, before] = [await readFile(paths.media), await details(maker)];
    await damage(paths);
    await startAgain();
    expect(codes()).toEqual([code]);
    expect(await details(maker)).toMatchObject({
      state: 'sealed',
      isComplete: true,
      chunkCount: maker.chunks.length,
      gaps: before.gaps,
    });
    expect((await readFile(paths.media)).equals(media)).toBe(true);
    expect(await journals()).toEqual([]);
  });

  test('[J26] that has more chunks than the files is kept, and sealed again with all of them', async () => {
    const maker = await sealedWithJournal();
    await world.database
      .updateTable('recordings')
      .set({ chunk_count: maker.chunks.length - 1 })
      .execute();
    await startAgain();
    expect(codes()).toEqual(['RECORDING_DAMAGED']);
    expect(await details(maker)).toMatchObject({ state: 'sealed', chunkCount: maker.chunks.length });
  });

  test('[J26] that is as bad as the files is kept with them, and judged again at each start', async () => {
    const maker = await sealedWithJournal();
    const { media } = await pathsOf(maker.start.recordingId);
    const whole = await readFile(media);
    await flip(media, 300);
    const [name = ''] = await journals();
    await truncate(join(world.dataDir, 'journals', name), 5_000);
    for (let start = 0; start < 2; start += 1) {
      await startAgain();
      expect(codes()).toEqual(['RECORDING_DAMAGED']);
      expect(await journals()).toEqual([name]);
      expect(await details(maker)).toMatchObject({ state: 'sealed', chunkCount: maker.chunks.length });
    }
    await writeFile(media, whole);
    await startAgain();
    expect(await journals()).toEqual([]);
  });

  test('[J26] is what a publisher that comes back goes on in, when the files are not what they were', async () => {
    disk.failures.push({ operation: 'remove', code: 'EIO' });
    const maker = makeClip();
    const lost = await send(maker, 5);
    lost.socket.terminate();
    await expect.poll(() => grace.size).toBe(1);
    grace.pass();
    await expect.poll(async () => (await details(maker)).sizeBytes).not.toBeNull();
    await world.media.whenSealed();
    await flip((await pathsOf(maker.start.recordingId)).media, 300);
    disk.failures.length = 0;
    const again = await send(maker, maker.chunks.length);
    expect(codes()).toEqual(['RECORDING_DAMAGED']);
    await again.stop();
    await world.media.whenSealed();
    expect(await details(maker)).toMatchObject({
      state: 'sealed',
      chunkCount: maker.chunks.length,
      gaps: [],
    });
  });

  test('[J9] of which nothing can be read although chunks were acknowledged is damaged, and not removed', async () => {
    const maker = makeClip();
    const lost = await send(maker, 5);
    lost.socket.terminate();
    await expect.poll(() => grace.size).toBe(1);
    await world.shutDown();
    const [name = ''] = await journals();
    // As of one that had its end; that is when the database is told how many there are.
    await world.database.updateTable('recordings').set({ state: 'provisional', chunk_count: 5 }).execute();
    await writeFile(join(world.dataDir, 'journals', name), '');
    await world.restart();
    expect(await details(maker)).toMatchObject({ state: 'failed', failure: { code: 'STORAGE_FAILED' } });
    expect(await journals()).toEqual([name]);
  });
});
