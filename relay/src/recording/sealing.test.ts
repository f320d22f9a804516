import { execFile } from 'node:child_process';
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';
import { createId, WebmScanner, type DevicePrincipal, type Recording } from '@proofcast/shared';
import { loadWebmClip, loadWebmClips } from '@proofcast/shared/testing/webm-clip';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { fakeFfmpeg } from '../../testing/fake-ffmpeg.ts';
import { HeldTimers } from '../../testing/held-timers.ts';
import { MediaWorld, type MediaWorldOptions } from '../../testing/media-world.ts';
import type { TestPublisher } from '../../testing/test-publisher.ts';

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

  async function sealed(
    device: DevicePrincipal,
  ): Promise<{ recording: Recording; path: string; bytes: Buffer }> {
    await world.media.whenSealed();
    const [recording] = await world.media.listRecordings(device.companyId, {});
    if (recording === undefined) throw new Error('There is no recording.');
    const { path, sizeBytes } = await world.media.recordingMediaPath(device.companyId, recording.recordingId);
    const bytes = await readFile(path);
    expect(bytes.length).toBe(sizeBytes);
    return { recording, path, bytes };
  }

  async function failed(device: DevicePrincipal): Promise<Recording> {
    await world.media.whenSealed();
    const [recording] = await world.media.listRecordings(device.companyId, {});
    expect(recording?.state).toBe('failed');
    return recording as Recording;
  }

  const journals = (): Promise<string[]> => readdir(join(world.dataDir, 'journals'));

  test('[J14] is one seekable file that holds every picture of it, of whatever codec', async () => {
    const device = await openWorld();
    for (const clip of loadWebmClips()) {
      await record(device, [clip]);
      const { recording, path, bytes } = await sealed(device);
      const original = new WebmScanner().push(clip.bytes).filter((item) => item.type === 'block');
      const lastMs = Math.max(...original.map((block) => block.timestampMs));
      expect(recording, clip.name).toMatchObject({ state: 'sealed', failure: null, hasThumbnail: true });
      expect(recording.durationMs).toBeGreaterThanOrEqual(lastMs);
      expect(recording.durationMs).toBeLessThan(lastMs + 500);
      expect(await frameHashes(path), clip.name).toEqual(await frameHashes(clip.path));
      // EBML header and Segment; in the Segment SeekHead, Void or not, Info, Tracks, then Cues before any Cluster.
      const ids = segmentChildren(bytes);
      expect(ids.indexOf('1c53bb6b'), clip.name).toBeGreaterThan(0);
      expect(ids.indexOf('1c53bb6b'), clip.name).toBeLessThan(ids.indexOf('1f43b675'));
      const [init] = new WebmScanner().push(bytes);
      expect(init).toMatchObject({ type: 'init', durationMs: recording.durationMs });
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

  test('[J15] fails with the reason when its epochs cannot share a file, and keeps its journal', async () => {
    const device = await openWorld();
    await record(device, [VP8, VP9]);
    const { failure } = await failed(device);
    expect(failure).toMatchObject({ code: 'DERIVATIVE_FAILED' });
    expect(failure?.message).toMatch(/V_VP8.*V_VP9/);
    expect((await journals()).length).toBe(1);
  });

  test('[J15] leaves out an epoch without a picture', async () => {
    const device = await openWorld();
    await record(device, [VP8, { bytes: VP9.bytes.subarray(0, 100) }, { bytes: new Uint8Array() }]);
    const { path } = await sealed(device);
    expect(await frameHashes(path)).toEqual(await frameHashes(VP8.path));
  });

  test('[J16] leaves nothing but the file and its thumbnail, also where an earlier attempt died', async () => {
    const device = await openWorld({
      ffmpegPath: await fakeFfmpeg(programs, 'hangs'),
      limits: { sealShutdownMs: 0, ffmpegKillDelayMs: 10 },
    });
    const publisher = await record(device, [VP8]);
    await untilFile((name) => name.endsWith('webm') || name.includes(device.companyId));
    await world.shutDown();
    expect((await journals()).length).toBe(1);
    const folder = await soleFolder(device);
    const leftOver = `${await timeOf(publisher)}-${publisher.maker.start.recordingId}.part-0.webm`;
    await writeFile(join(folder, leftOver), 'half a file');

    await world.restart({ ffmpegPath: 'ffmpeg' });
    const { path } = await sealed(device);
    const kinds = (await readdir(dirname(path))).map((name) => name.split('.').at(-1));
    expect(new Set(kinds)).toEqual(new Set(['jpg', 'webm']));
    expect(kinds.length).toBe(2);
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

  test.each([
    ['crashes', /exited with code 1/],
    ['lies', /has \d+ pictures in \d+ ms, the journal \d+ in \d+ ms/],
    ['skips', /has \d+ pictures in \d+ ms, the journal \d+ in \d+ ms/],
    ['hangs', /it took more than 300 ms/],
  ] as const)('[J17] is failed when ffmpeg %s, and sealed at the next start', async (failure, message) => {
    const device = await openWorld({
      ffmpegPath: await fakeFfmpeg(programs, failure),
      limits: { ...(failure === 'hangs' ? { ffmpegTimeoutMs: 300 } : {}), ffmpegKillDelayMs: 10 },
    });
    await record(device, [VP8]);
    const recording = await failed(device);
    expect(recording.failure).toMatchObject({
      code: 'DERIVATIVE_FAILED',
      message: expect.stringMatching(message),
    });
    expect(recording.failure?.message).not.toContain(world.dataDir);
    const attempt = world.media.recordingMediaPath(device.companyId, recording.recordingId);
    await expect(attempt).rejects.toMatchObject({ code: 'RECORDING_NOT_READY' });
    expect((await journals()).length).toBe(1);
    expect(await readdir(await soleFolder(device))).toEqual([]);

    await world.restart({ ffmpegPath: 'ffmpeg', limits: {} });
    const { path, recording: again } = await sealed(device);
    expect(again.failure).toBeNull();
    expect(await frameHashes(path)).toEqual(await frameHashes(VP8.path));
    expect(await journals()).toEqual([]);
  });

  test('[J17] is failed when there is no ffmpeg at all', async () => {
    const device = await openWorld({ ffmpegPath: join(programs, 'no-such-ffmpeg') });
    await record(device, [VP8]);
    expect((await failed(device)).failure).toMatchObject({ code: 'DERIVATIVE_FAILED' });
    expect((await journals()).length).toBe(1);
  });

  test('[J9] is failed when its journal is damaged, and keeps it as it is', async () => {
    const device = await openWorld({ ffmpegPath: await fakeFfmpeg(programs, 'crashes') });
    await record(device, [VP8]);
    await failed(device);
    const [name = ''] = await journals();
    const path = join(world.dataDir, 'journals', name);
    const bytes = await readFile(path);
    for (const damage of [flipped(bytes, 20_000), bytes.subarray(0, 50_000)]) {
      await writeFile(path, damage);
      await world.restart({ ffmpegPath: 'ffmpeg' });
      expect((await failed(device)).failure).toMatchObject({ code: 'STORAGE_FAILED' });
      expect((await readFile(path)).equals(damage)).toBe(true);
    }
  });

  test('[J18] without a picture is failed with RECORDING_EMPTY, and not tried again', async () => {
    const device = await openWorld();
    await record(device, [{ bytes: VP8.bytes.subarray(0, 200) }]);
    const { failure } = await failed(device);
    expect(failure).toEqual({
      code: 'RECORDING_EMPTY',
      message: 'No picture arrived before the recording ended.',
    });
    await world.restart({ ffmpegPath: join(programs, 'no-such-ffmpeg') });
    expect((await failed(device)).failure).toEqual(failure);
  });

  test('[J18] without a chunk leaves nothing', async () => {
    const device = await openWorld();
    await record(device, []);
    await world.media.whenSealed();
    expect(await world.media.listRecordings(device.companyId, {})).toEqual([]);
    expect(await journals()).toEqual([]);
  });

  test('[J19] is sealed without a thumbnail when that cannot be made', async () => {
    const device = await openWorld({ ffmpegPath: await fakeFfmpeg(programs, 'crashes', 'mjpeg') });
    await record(device, [VP8]);
    const { recording } = await sealed(device);
    expect(recording).toMatchObject({ state: 'sealed', hasThumbnail: false });
    await expect(world.media.thumbnailPath(device.companyId, recording.recordingId)).rejects.toMatchObject({
      code: 'NOT_FOUND',
    });
  });

  test('[J19] has a JPEG of a picture in it as its thumbnail', async () => {
    const device = await openWorld();
    await record(device, [VP8]);
    const { recording } = await sealed(device);
    const path = await world.media.thumbnailPath(device.companyId, recording.recordingId);
    const entries = 'stream=codec_name,width,height';
    const { stdout } = await run('ffprobe', [
      '-v',
      'error',
      '-show_entries',
      entries,
      '-of',
      'csv=p=0',
      path,
    ]);
    expect(stdout.trim()).toBe('mjpeg,480,270');
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
      ffmpegPath: await fakeFfmpeg(programs, 'hangs'),
      limits: { sealShutdownMs: 0, ffmpegKillDelayMs: 10 },
    });
    const publisher = await record(device, [VP8]);
    await world.shutDown();
    const stateOf = async () => (await world.media.listRecordings(device.companyId, {}))[0]?.state;
    expect(await stateOf()).toBe('sealing');
    // As if the relay had died right after the end was written into the journal.
    const { recordingId } = publisher.maker.start;
    await world.database
      .updateTable('recordings')
      .set({ state: 'recording', chunk_count: null })
      .where('recording_id', '=', recordingId)
      .execute();
    const timers = new HeldTimers(GRACE_MS);
    await world.restart({ ffmpegPath: 'ffmpeg', clock: timers, limits: {} });
    expect(timers.size).toBe(0);
    await sealed(device);
  });

  test('[A2] exists for its own company only', async () => {
    const device = await openWorld();
    await record(device, [VP8]);
    const { recording } = await sealed(device);
    const foreign = await world.company();
    const { media } = world;
    for (const [companyId, recordingId] of [
      [foreign, recording.recordingId],
      [device.companyId, createId('recording')],
    ] as const) {
      for (const attempt of [
        media.getRecording(companyId, recordingId),
        media.recordingMediaPath(companyId, recordingId),
        media.thumbnailPath(companyId, recordingId),
      ]) {
        await expect(attempt).rejects.toMatchObject({ code: 'RECORDING_NOT_FOUND' });
      }
    }
    expect(await media.listRecordings(foreign, {})).toEqual([]);
    expect(await media.getRecording(device.companyId, recording.recordingId)).toEqual(recording);
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
