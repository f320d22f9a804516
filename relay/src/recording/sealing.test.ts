import { execFile } from 'node:child_process';
import { chmod, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, dirname, join } from 'node:path';
import { promisify } from 'node:util';
import { WebmScanner, type DevicePrincipal, type Id, type Recording } from '@proofcast/shared';
import { loadWebmClip, loadWebmClips } from '@proofcast/shared/testing/webm-clip';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { FailingFolder } from '../../testing/failing-folder.ts';
import { HeldTimers } from '../../testing/held-timers.ts';
import { MediaWorld, type MediaWorldOptions } from '../../testing/media-world.ts';
import type { TestPublisher } from '../../testing/test-publisher.ts';
import type { ServedBytes } from './file-bytes.ts';

const run = promisify(execFile);
const GRACE_MS = 54_321;
const VP8 = loadWebmClip('vp8');
const VP9 = loadWebmClip('vp9');

describe('a recording that has ended', () => {
  let world: MediaWorld;
  let programs: string;

  beforeEach(async () => {
    programs = await mkdtemp(join(tmpdir(), 'proofcast-programs-'));
  });
  afterEach(async () => {
    await world.close();
    await rm(programs, { recursive: true, force: true });
  });

  async function openWorld(options: MediaWorldOptions = {}): Promise<DevicePrincipal> {
    world = await MediaWorld.open({ graceMs: GRACE_MS, ...options });
    return world.device();
  }

  /** Records clips as epochs that begin so many seconds after the start. */
  async function record(
    device: DevicePrincipal,
    epochs: readonly { bytes: Uint8Array; mimeType?: string; atSeconds?: number }[],
  ): Promise<TestPublisher> {
    const publisher = await world.publisher(device);
    const { maker } = publisher;
    await publisher.hello();
    for (const { bytes, mimeType, atSeconds = 0 } of epochs) {
      const startedAtUs = maker.start.startedAtUs + atSeconds * 1_000_000;
      maker.epoch({ startedAtUs, ...(mimeType === undefined ? {} : { mimeType }) });
      for (let at = 0; at < bytes.length; at += 9_000) maker.media(bytes.subarray(at, at + 9_000));
    }
    publisher.upload();
    await publisher.stop();
    return publisher;
  }

  async function newest({ companyId }: DevicePrincipal): Promise<Recording> {
    const [recording] = await world.media.listRecordings(companyId, {});
    if (recording === undefined) throw new Error('There is no recording.');
    return recording;
  }

  /** The newest recording and its first file. */
  async function sealed(
    device: DevicePrincipal,
  ): Promise<{ recording: Recording; path: string; bytes: Buffer }> {
    await world.media.whenSealed();
    const recording = await newest(device);
    expect(recording).toMatchObject({ state: 'sealed', failure: null });
    const [path = ''] = await filesOf(recording.recordingId);
    const bytes = await readFile(path);
    return { recording, path, bytes };
  }

  /** The media files of a merged recording, in the order of its parts. */
  async function filesOf(recordingId: Id): Promise<string[]> {
    const rows = await world.database
      .selectFrom('recording_parts')
      .select(['media_path', 'media_bytes'])
      .where('recording_id', '=', recordingId)
      .orderBy('part')
      .execute();
    const paths = rows.map((row) => join(world.dataDir, 'recordings', row.media_path));
    for (const [index, path] of paths.entries()) {
      expect((await readFile(path)).length).toBe(rows[index]?.media_bytes);
    }
    return paths;
  }

  async function failed(device: DevicePrincipal): Promise<Recording> {
    await world.media.whenSealed();
    const recording = await newest(device);
    expect(recording.state).toBe('failed');
    return recording;
  }

  /** A program in place of ffprobe; the ffmpeg beside it does not matter. */
  async function fakeFfprobe(script: string): Promise<string> {
    const path = join(programs, 'ffprobe');
    await writeFile(path, `#!/bin/sh\n${script}\n`);
    await chmod(path, 0o700);
    return join(programs, 'ffmpeg');
  }

  const journals = (): Promise<string[]> => readdir(join(world.dataDir, 'journals'));

  test('[J14] is one seekable file that holds every picture of it, of whatever codec', async () => {
    const device = await openWorld();
    for (const clip of loadWebmClips()) {
      await record(device, [clip]);
      const { recording, path, bytes } = await sealed(device);
      const original = new WebmScanner().push(clip.bytes).filter((item) => item.type === 'block');
      const lastMs = Math.max(...original.map((block) => block.timestampMs));
      expect(recording, clip.name).toMatchObject({ isComplete: true, gapCount: 0 });
      expect(recording.durationMs).toBeGreaterThanOrEqual(lastMs);
      expect(recording.durationMs).toBeLessThan(lastMs + 500);
      expect(await frameHashes(path), clip.name).toEqual(await frameHashes(clip.path));
      // EBML header and Segment; in the Segment SeekHead, Void or not, Info, Tracks, then Cues before any Cluster.
      const ids = segmentChildren(bytes);
      expect(ids.indexOf('1c53bb6b'), clip.name).toBeGreaterThan(0);
      expect(ids.indexOf('1c53bb6b'), clip.name).toBeLessThan(ids.indexOf('1f43b675'));
      const [init] = new WebmScanner().push(bytes);
      expect(init).toMatchObject({ type: 'init', durationMs: expect.closeTo(recording.durationMs ?? 0, 0) });
    }
    expect(await journals()).toEqual([]);
  });

  test('[J14] ends with the last whole picture when the recorder was cut off in the middle of one', async () => {
    const device = await openWorld();
    for (const length of [VP8.bytes.length - 1, VP8.bytes.length - 5_000, 40_000]) {
      const bytes = VP8.bytes.subarray(0, length);
      await record(device, [{ bytes }]);
      const { path } = await sealed(device);
      const blocks = new WebmScanner().push(bytes).filter((item) => item.type === 'block');
      expect((await frameHashes(path)).length).toBe(blocks.length);
      expect(await frameHashes(path)).toEqual((await frameHashes(VP8.path)).slice(0, blocks.length));
    }
  });

  test('[J15] becomes one file of several epochs, in which a gap is as long as it was', async () => {
    const device = await openWorld();
    const clip = loadWebmClip('vp8-opus');
    await record(device, [clip, { ...clip, atSeconds: 20 }, { ...clip, atSeconds: 26 }]);
    const { recording, path } = await sealed(device);
    const once = await frameHashes(clip.path);
    expect(await frameHashes(path)).toEqual([...once, ...once, ...once]);
    const starts = (await frameTimes(path)).filter((_, index) => index % once.length === 0);
    expect(starts.map((seconds) => Math.round(seconds * 10) / 10)).toEqual([0, 20, 26]);
    expect(recording.durationMs).toBeGreaterThan(31_000);
    expect(recording.durationMs).toBeLessThan(32_000);
    expect(recording.endedAtMs).toBeGreaterThan(recording.startedAtMs + 31_000);
    // It can be sought: what is asked for from the middle of the last part on is there.
    const late = await frameTimes(path, ['-read_intervals', '29%']);
    expect(late.length).toBeGreaterThan(10);
    expect(late.length).toBeLessThan(once.length);
  });

  test('[J15] never lets epochs overlap, also when the clock of the publisher jumped back', async () => {
    const device = await openWorld();
    await record(device, [VP8, { ...VP8, atSeconds: -3600 }, { ...VP8, atSeconds: 1 }]);
    const { path } = await sealed(device);
    const times = await frameTimes(path);
    expect(times.length).toBe(3 * (await frameHashes(VP8.path)).length);
    expect(times).toEqual(times.toSorted((a, b) => a - b));
    expect(times.at(-1)).toBeLessThan(18);
  });

  test('[J15] has a file for each run of epochs that can share one', async () => {
    const device = await openWorld();
    await record(device, [
      VP8,
      { ...VP9, atSeconds: 10 },
      { ...VP9, atSeconds: 20 },
      { ...VP8, atSeconds: 30 },
    ]);
    const { recording, path } = await sealed(device);
    const paths = await filesOf(recording.recordingId);
    expect(paths.length).toBe(3);
    const [vp8, vp9] = [await frameHashes(VP8.path), await frameHashes(VP9.path)];
    expect(await Promise.all(paths.map(frameHashes))).toEqual([vp8, [...vp9, ...vp9], vp8]);
    expect(paths.map((file) => file.replace(path.slice(0, -'.webm'.length), ''))).toEqual([
      '.webm',
      '.2.webm',
      '.3.webm',
    ]);
    const { parts, startedAtMs } = await world.media.getRecording(device.companyId, recording.recordingId);
    expect(parts.map((part) => part.startedAtMs - startedAtMs)).toEqual([0, 10_000, 30_000]);
    expect(recording.sizeBytes).toBe(parts.reduce((sum, part) => sum + part.sizeBytes, 0));
  });

  test('[J15] leaves out an epoch without a picture', async () => {
    const device = await openWorld();
    await record(device, [VP8, { bytes: VP9.bytes.subarray(0, 100) }, { bytes: new Uint8Array() }]);
    const { path } = await sealed(device);
    expect(await frameHashes(path)).toEqual(await frameHashes(VP8.path));
  });

  test('[J16] leaves nothing but its file and manifest, also where an earlier attempt died', async () => {
    const device = await openWorld({
      ffmpegPath: await fakeFfprobe('exec sleep 1000'),
      limits: { sealShutdownMs: 0 },
    });
    const publisher = await record(device, [VP8]);
    await untilFile((name) => name.endsWith('.manifest.json'));
    // Until the last check the recording lives in its journal.
    expect(await newest(device)).toMatchObject({ state: 'sealing', sizeBytes: null });
    await world.shutDown();
    expect((await journals()).length).toBe(1);
    const folder = await soleFolder(device);
    const leftOver = `${await timeOf(publisher)}-${publisher.maker.start.recordingId}.part`;
    await writeFile(join(folder, leftOver), 'half a file');
    await writeFile(join(folder, `${leftOver}.of-an-older-relay`), 'half a file');

    await world.restart({ ffmpegPath: 'ffmpeg', limits: {} });
    const { path } = await sealed(device);
    const name = basename(path, '.webm');
    expect((await readdir(dirname(path))).toSorted()).toEqual([`${name}.manifest.json`, `${name}.webm`]);
    expect(await frameHashes(path)).toEqual(await frameHashes(VP8.path));
    expect(await journals()).toEqual([]);
  });

  test('[J16] that was noted as sealed has its journal removed at the next start', async () => {
    const device = await openWorld();
    const publisher = await record(device, [VP8]);
    await sealed(device);
    const left = join(world.dataDir, 'journals', `${publisher.maker.start.recordingId}.journal`);
    await writeFile(left, 'whatever is left');
    await world.restart();
    expect(await journals()).toEqual([]);
    expect((await sealed(device)).recording.state).toBe('sealed');
  });

  test('[J16] is sealed although its journal cannot be removed at once', async () => {
    let disk: FailingFolder | undefined;
    const device = await openWorld({ wrapJournals: (folder) => (disk = new FailingFolder(folder)) });
    disk?.failures.push({ operation: 'remove', code: 'EIO' });
    await record(device, [VP8]);
    await sealed(device);
    expect((await journals()).length).toBe(1);
    if (disk) disk.failures.length = 0;
    await world.restart();
    expect(await journals()).toEqual([]);
    await sealed(device);
  });

  test.each([
    ['cannot be run', 'exit 127', /could not read/],
    ['does not end', 'exec sleep 1000', /could not read/],
    [
      'finds fewer pictures',
      `exec ffprobe "$@" -read_intervals '%+#100'`,
      /has \d+ pictures, the journal \d+/,
    ],
  ])(
    '[J17] stays in its journal when ffprobe %s, says why, and is tried again',
    async (_, script, message) => {
      const timers = new HeldTimers(9_876);
      const device = await openWorld({
        clock: timers,
        ffmpegPath: await fakeFfprobe(script),
        limits: { ffmpegTimeoutMs: 1_500, sealRetryMs: 9_876 },
      });
      await record(device, [VP8]);
      await world.media.whenSealed();
      const recording = await newest(device);
      expect(recording).toMatchObject({
        state: 'sealing',
        failure: { code: 'DERIVATIVE_FAILED', message: expect.stringMatching(message) },
      });
      expect(recording.failure?.message).not.toContain(world.dataDir);
      expect((await journals()).length).toBe(1);
      const { companyId } = device;
      const { recordingId } = recording;
      const answer = await world.media.openRecordingMedia({
        companyId,
        recordingId,
        part: 0,
        chunkCount: null,
      });
      expect(answer.kind).toBe('pinned');

      await fakeFfprobe('exec ffprobe "$@"');
      expect(timers.size).toBe(1);
      timers.pass();
      const { path } = await sealed(device);
      expect(await frameHashes(path)).toEqual(await frameHashes(VP8.path));
      expect(await journals()).toEqual([]);
    },
  );

  test('[J17] waits longer after each failure, and is tried again at the next start', async () => {
    const timers = new HeldTimers(1_000);
    const device = await openWorld({
      clock: timers,
      ffmpegPath: await fakeFfprobe('exit 1'),
      limits: { sealRetryMs: 1_000, maxSealRetryMs: 1_500 },
    });
    const laterTimers = new HeldTimers(1_500);
    await record(device, [VP8]);
    await world.media.whenSealed();
    expect(timers.size).toBe(1);
    timers.pass();
    await world.media.whenSealed();
    expect(timers.size).toBe(0);
    await world.restart({ clock: laterTimers, limits: { sealRetryMs: 500, maxSealRetryMs: 1_500 } });
    await world.media.whenSealed();
    expect(laterTimers.size).toBe(0);
    await world.restart({ ffmpegPath: 'ffmpeg', limits: {} });
    await sealed(device);
  });

  test('[J17] is not merged while that would leave no room for the recordings that run', async () => {
    const timers = new HeldTimers(9_876);
    const device = await openWorld({ clock: timers, limits: { sealRetryMs: 9_876 } });
    const publisher = await world.publisher(device);
    await publisher.hello();
    publisher.maker.epoch();
    publisher.maker.media(VP8.bytes);
    publisher.upload();
    await publisher.untilDurable();
    await world.restart({ limits: { sealRetryMs: 9_876, minFreeBytes: Number.MAX_SAFE_INTEGER } });
    const again = await world.publisher(device, publisher.maker);
    await again.hello();
    await again.stop();
    await world.media.whenSealed();
    expect(await newest(device)).toMatchObject({ state: 'sealing', failure: { code: 'STORAGE_FULL' } });
    await world.restart({ limits: {} });
    await sealed(device);
  });

  test('[J9] is failed when its journal is damaged, and keeps it as it is', async () => {
    const device = await openWorld({ ffmpegPath: await fakeFfprobe('exit 1') });
    await record(device, [VP8]);
    await world.media.whenSealed();
    await world.shutDown();
    const [name = ''] = await journals();
    const path = join(world.dataDir, 'journals', name);
    const bytes = await readFile(path);
    for (const damage of [flipped(bytes, 20_000), bytes.subarray(0, 50_000)]) {
      await writeFile(path, damage);
      await world.restart({ ffmpegPath: 'ffmpeg' });
      const { recordingId, failure } = await failed(device);
      expect(failure).toMatchObject({ code: 'STORAGE_FAILED' });
      expect((await readFile(path)).equals(damage)).toBe(true);
      const attempt = world.media.openRecordingMedia({
        companyId: device.companyId,
        recordingId,
        part: 0,
        chunkCount: null,
      });
      await expect(attempt).rejects.toMatchObject({ code: 'RECORDING_NOT_READY' });
    }
    // What was damaged in memory only, or was mended by hand, is as good as before.
    await writeFile(path, bytes);
    await world.restart({ ffmpegPath: 'ffmpeg' });
    await sealed(device);
  });

  test('[J9] is failed when its journal is damaged while it is being sealed', async () => {
    const timers = new HeldTimers(9_876);
    const device = await openWorld({
      clock: timers,
      ffmpegPath: await fakeFfprobe('exit 1'),
      limits: { sealRetryMs: 9_876 },
    });
    await record(device, [VP8]);
    await world.media.whenSealed();
    const [name = ''] = await journals();
    const path = join(world.dataDir, 'journals', name);
    const damaged = flipped(await readFile(path), 20_000);
    await writeFile(path, damaged);
    await fakeFfprobe('exec ffprobe "$@"');
    timers.pass();
    expect((await failed(device)).failure).toMatchObject({ code: 'STORAGE_FAILED' });
    expect((await readFile(path)).equals(damaged)).toBe(true);
  });

  test('[J18] without a picture is failed with RECORDING_EMPTY, and not tried again', async () => {
    const device = await openWorld();
    await record(device, [{ bytes: VP8.bytes.subarray(0, 200) }]);
    const { failure } = await failed(device);
    expect(failure).toEqual({
      code: 'RECORDING_EMPTY',
      message: 'No picture arrived before the recording ended.',
    });
    await world.restart();
    expect((await failed(device)).failure).toEqual(failure);
    expect((await journals()).length).toBe(1);
  });

  test('[J18] without a chunk leaves nothing', async () => {
    const device = await openWorld();
    await record(device, []);
    await world.media.whenSealed();
    expect(await world.media.listRecordings(device.companyId, {})).toEqual([]);
    expect(await journals()).toEqual([]);
  });

  test('[J20] lies where its ids and its start say', async () => {
    const device = await openWorld();
    const publisher = await record(device, [VP8]);
    const { path } = await sealed(device);
    const { recordingId, startedAtUs } = publisher.maker.start;
    const [date = '', time = ''] = new Date(startedAtUs / 1000).toISOString().split('T');
    const name = `${time.slice(0, 8).replaceAll(':', '')}-${recordingId}.webm`;
    expect(path).toBe(join(world.dataDir, 'recordings', device.companyId, device.deviceId, date, name));
  });

  test('[J12] goes on being sealed at the next start, without waiting for a publisher', async () => {
    const device = await openWorld({
      ffmpegPath: await fakeFfprobe('exec sleep 1000'),
      limits: { sealShutdownMs: 0 },
    });
    const publisher = await record(device, [VP8]);
    await world.shutDown();
    expect((await newest(device)).state).toBe('sealing');
    // As if the relay had died right after the end was written into the journal.
    const { recordingId } = publisher.maker.start;
    await world.database
      .updateTable('recordings')
      .set({ state: 'recording', chunk_count: null, is_complete: 0 })
      .where('recording_id', '=', recordingId)
      .execute();
    const timers = new HeldTimers(GRACE_MS);
    await world.restart({ ffmpegPath: 'ffmpeg', clock: timers, limits: {} });
    expect(timers.size).toBe(0);
    await sealed(device);
  });

  test('[A11] is read to the end from where it was being read, also when its journal goes meanwhile', async () => {
    const timers = new HeldTimers(8_765);
    const device = await openWorld({ clock: timers, limits: { readerGraceMs: 8_765 } });
    const publisher = await world.publisher(device);
    const { maker } = publisher;
    await publisher.hello();
    maker.epoch();
    for (let at = 0; at < VP8.bytes.length; at += 9_000) maker.media(VP8.bytes.subarray(at, at + 9_000));
    publisher.upload();
    await publisher.untilDurable();
    const open = async (): Promise<ServedBytes> => {
      const { recordingId } = maker.start;
      const { companyId } = device;
      const request = { companyId, recordingId, part: 0, chunkCount: maker.chunks.length };
      const answer = await world.media.openRecordingMedia(request);
      if (answer.kind !== 'bytes') throw new Error('What is pinned has bytes.');
      return answer.bytes;
    };
    const [kept, late] = [await open(), await open()];
    const reading = kept.read(0, kept.sizeBytes);
    const pieces = [Buffer.from((await reading.next()).value as Uint8Array)];
    await publisher.stop();
    const { bytes } = await sealed(device);
    expect(await journals()).toEqual([]);
    for await (const piece of reading) pieces.push(Buffer.from(piece));
    expect(Buffer.concat(pieces).equals(bytes)).toBe(true);
    // One that takes for ever is cut off in the end.
    expect(timers.size).toBe(1);
    timers.pass();
    await expect(late.read(0, late.sizeBytes).next()).rejects.toMatchObject({ code: 'STORAGE_FAILED' });
    kept.close();
    late.close();
    const again = await open();
    expect(again.etag).toBe(kept.etag);
    again.close();
  });

  test('[J22] has its turn before all is sealed that another company has', async () => {
    const device = await openWorld({
      ffmpegPath: await fakeFfprobe(
        `while [ ! -e '${programs}/go' ]; do sleep 0.02; done; exec ffprobe "$@"`,
      ),
    });
    const other = await world.device();
    const ended: Id[] = [];
    // The first is being sealed while the others come.
    for (const next of [device, device, device, other]) {
      ended.push((await record(next, [VP8])).maker.start.recordingId);
    }
    await writeFile(join(programs, 'go'), '');
    await world.media.whenSealed();
    const rows = await world.database
      .selectFrom('recordings')
      .select('recording_id')
      .orderBy('sealed_at_ms')
      .execute();
    const [first, second, third, others] = ended;
    expect(rows.map((row) => row.recording_id)).toEqual([first, second, others, third]);
  });

  test('is listed newest first, by stream and page by page', async () => {
    const device = await openWorld();
    const second = await world.stream(device, 1);
    for (const [index, stream] of [device, second, device].entries()) {
      const maker = world.maker(stream, 1_790_000_000_000_000 + index * 1_000_000);
      const publisher = await world.publisher(stream, maker);
      await publisher.hello();
      maker.epoch();
      VP8.slices.forEach((slice) => maker.media(slice));
      publisher.upload();
      await publisher.stop();
    }
    await world.media.whenSealed();
    const list = async (query: object) =>
      (await world.media.listRecordings(device.companyId, query)).map(
        ({ startedAtMs }) => startedAtMs - 1_790_000_000_000,
      );
    expect(await list({})).toEqual([2000, 1000, 0]);
    expect(await list({ limit: 2 })).toEqual([2000, 1000]);
    expect(await list({ beforeMs: 1_790_000_001_000 })).toEqual([0]);
    expect(await list({ streamId: device.streamId })).toEqual([2000, 0]);
  });

  async function soleFolder(device: DevicePrincipal): Promise<string> {
    const folder = join(world.dataDir, 'recordings', device.companyId, device.deviceId);
    const [date = ''] = await readdir(folder);
    return join(folder, date);
  }

  async function untilFile(wants: (name: string) => boolean): Promise<void> {
    const folder = join(world.dataDir, 'recordings');
    while (!(await readdir(folder, { recursive: true })).some(wants)) await new Promise(setImmediate);
  }

  async function timeOf(publisher: TestPublisher): Promise<string> {
    return new Date(publisher.maker.start.startedAtUs / 1000).toISOString().slice(11, 19).replaceAll(':', '');
  }
});

function flipped(bytes: Buffer, at: number): Buffer {
  const copy = Buffer.from(bytes);
  copy[at] = (copy[at] ?? 0) ^ 1;
  return copy;
}

/** The ids of the elements in the Segment, in order; all sizes are known (RFC 8794). */
function segmentChildren(bytes: Buffer): string[] {
  const headerAt = (at: number) => {
    const idLength = Math.clz32(bytes[at] ?? 0) - 23;
    const sizeLength = Math.clz32(bytes[at + idLength] ?? 0) - 23;
    let size = (bytes[at + idLength] ?? 0) & (0xff >> sizeLength);
    for (let i = 1; i < sizeLength; i++) size = size * 256 + (bytes[at + idLength + i] ?? 0);
    return { id: bytes.toString('hex', at, at + idLength), dataStart: at + idLength + sizeLength, size };
  };
  const ebml = headerAt(0);
  const segment = headerAt(ebml.dataStart + ebml.size);
  const ids: string[] = [];
  for (let at = segment.dataStart; at < bytes.length;) {
    const { id, dataStart, size } = headerAt(at);
    ids.push(id);
    at = dataStart + size;
  }
  return ids;
}

/** A hash of every decoded picture. */
async function frameHashes(path: string): Promise<string[]> {
  const { stdout } = await run('ffmpeg', [
    '-v',
    'error',
    '-i',
    path,
    '-map',
    '0:v',
    '-vsync',
    'passthrough',
    '-f',
    'framemd5',
    '-',
  ]);
  const lines = stdout.split('\n').filter((line) => line !== '' && !line.startsWith('#'));
  return lines.map((line) => line.split(',').at(-1)?.trim() ?? '');
}

/** When each picture is shown, in seconds. */
async function frameTimes(path: string, inputOptions: string[] = []): Promise<number[]> {
  const entries = ['-select_streams', 'v', '-show_entries', 'frame=pts_time', '-of', 'csv=p=0'];
  const { stdout } = await run('ffprobe', ['-v', 'error', ...inputOptions, ...entries, path]);
  return stdout
    .split('\n')
    .filter((line) => line !== '')
    .map(Number.parseFloat);
}
