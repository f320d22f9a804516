import { execFile } from 'node:child_process';
import { mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { createId, type Gap } from '@proofcast/shared';
import { loadWebmClip } from '@proofcast/shared/testing/webm-clip';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import {
  DerivativeWorld,
  hashesOf,
  makeWebm,
  packetTimes,
  STARTED_AT_MS,
} from '../../testing/derivative-world.ts';

const run = promisify(execFile);

/** Twenty seconds of pictures with thirty seconds of nothing after the first ten. */
const GAP: Gap = { fromMs: STARTED_AT_MS + 9_900, toMs: STARTED_AT_MS + 40_000, reason: 'paused' };
const WITH_GAP_MS = 49_900;
/** How bright the picture is that was on the screen at a time of the file: four steps more each second. */
const brightnessAt = (timeMs: number): number =>
  40 + (4 * (timeMs < 10_000 ? timeMs : timeMs - 30_000)) / 1000;

let clips: string;
let withGap: string;
let withSound: string;
let vp9: string;

beforeAll(async () => {
  clips = await mkdtemp(join(tmpdir(), 'proofcast-clips-'));
  withGap = join(clips, 'with-gap.webm');
  const brightening = "color=black:s=320x180:r=10:d=20,geq=lum='40+4*T':cb=128:cr=128";
  const vp8 = ['-c:v', 'libvpx', '-deadline', 'realtime', '-b:v', '2M', '-g', '10', '-auto-alt-ref', '0'];
  const filters = `${brightening},setpts='PTS+if(gte(T,10),30/TB,0)'`;
  await makeWebm(withGap, ['-f', 'lavfi', '-i', filters, '-fps_mode', 'passthrough', ...vp8]);
  withSound = join(clips, 'with-sound.webm');
  await makeWebm(withSound, ['-f', 'webm', '-i', loadWebmClip('vp8-opus').path, '-c', 'copy']);
  vp9 = join(clips, 'vp9.webm');
  await makeWebm(vp9, ['-f', 'webm', '-i', loadWebmClip('vp9').path, '-c', 'copy']);
});
afterAll(() => rm(clips, { recursive: true, force: true }));

describe('derivatives of a sealed recording', { timeout: 120_000 }, () => {
  let world: DerivativeWorld;

  beforeEach(async () => {
    world = await DerivativeWorld.open();
    world.derivatives.start();
  });
  afterEach(() => world.close());

  const recordWithGap = () => world.recording([{ path: withGap, durationMs: WITH_GAP_MS }], { gaps: [GAP] });

  test('[D1] are a poster and a sprite, made without being asked for, and leave it as it is', async () => {
    const recording = await recordWithGap();
    const before = await hashesOf(recording.mediaPaths);
    world.derivatives.onSealed(recording.recordingId);
    await world.derivatives.whenIdle();
    const made = await world.derivatives.list(recording.recordingId);
    expect(made.map(({ kind, state, progress, failure }) => ({ kind, state, progress, failure }))).toEqual([
      { kind: 'poster', state: 'done', progress: 1, failure: null },
      { kind: 'sprite', state: 'done', progress: 1, failure: null },
    ]);
    for (const { kind, sizeBytes } of made) {
      expect((await stat(await world.pathOf(recording, kind))).size).toBe(sizeBytes);
    }
    const row = await world.database.selectFrom('recordings').selectAll().executeTakeFirstOrThrow();
    expect(join(world.recordingsDir, row.thumbnail_path ?? '')).toBe(await world.pathOf(recording, 'poster'));
    expect(await hashesOf(recording.mediaPaths)).toEqual(before);
    expect(await world.leftIn()).toEqual([]);
  });

  test('[D4] have a poster that shows the recording a moment after its start', async () => {
    const recording = await recordWithGap();
    await world.make(recording, 'poster');
    const { width, height, gray } = await decode(await world.pathOf(recording, 'poster'));
    expect([width, height]).toEqual([480, 270]);
    const shown = gray[(height / 2) * width + width / 2] ?? 0;
    expect(Math.abs(shown - brightnessAt(WITH_GAP_MS * 0.1))).toBeLessThan(3);
  });

  test('[D5] have a sprite whose times are those of its pictures, with none in a gap', async () => {
    const recording = await recordWithGap();
    await world.make(recording, 'sprite');
    const tiles = await world.derivatives.spriteTiles(recording.companyId, recording.recordingId);
    const { width, height, gray } = await decode(await world.pathOf(recording, 'sprite'));
    expect(width).toBe(tiles.columns * tiles.tileWidthPx);
    expect(height).toBe(Math.ceil(tiles.timesMs.length / tiles.columns) * tiles.tileHeightPx);
    expect(tiles.timesMs.length).toBeGreaterThan(8);
    for (const [index, timeMs] of tiles.timesMs.entries()) {
      expect(timeMs < 10_000 || timeMs >= 40_000).toBe(true);
      const x = ((index % tiles.columns) + 0.5) * tiles.tileWidthPx;
      const y = (Math.floor(index / tiles.columns) + 0.5) * tiles.tileHeightPx;
      expect(Math.abs((gray[y * width + x] ?? 0) - brightnessAt(timeMs))).toBeLessThan(3);
    }
    expect(tiles.timesMs).toEqual([...new Set(tiles.timesMs)].toSorted((a, b) => a - b));
  });

  test('[D5] have a sprite of a bounded number of pictures, however long they are', async () => {
    const long = join(clips, 'long.webm');
    const source = ['-f', 'lavfi', '-i', 'testsrc2=s=64x36:r=1/10:d=14400'];
    await makeWebm(long, [...source, '-c:v', 'libvpx', '-deadline', 'realtime', '-cpu-used', '8', '-g', '1']);
    const recording = await world.recording([{ path: long, durationMs: 14_400_000 }]);
    await world.make(recording, 'sprite');
    const { timesMs } = await world.derivatives.spriteTiles(recording.companyId, recording.recordingId);
    expect(timesMs.length).toBe(100);
    expect(timesMs.at(-1)).toBeGreaterThan(14_200_000);
  });

  test('[D6] have an MP4 with every picture at its time, the gap as long as it was and in its chapters', async () => {
    const recording = await recordWithGap();
    const before = await hashesOf(recording.mediaPaths);
    const made = await world.make(recording, 'mp4');
    expect(made).toMatchObject({ state: 'done', progress: 1, failure: null });
    const path = await world.pathOf(recording, 'mp4');
    const times = await packetTimes(path);
    const original = await packetTimes(withGap);
    expect(times.length).toBe(original.length);
    times.forEach((time, index) => expect(Math.abs(time - (original[index] ?? 0))).toBeLessThan(0.0015));
    const { streams, chapters, format } = await describeFile(path);
    expect(streams).toEqual([
      expect.objectContaining({ codec_name: 'h264', width: 320, height: 180 }),
      expect.objectContaining({ codec_type: 'data' }),
    ]);
    expect(chapters).toEqual([
      { start_time: '0.000000', end_time: '9.900000', tags: { title: '2026-11-22 10:00:00 UTC' } },
      { start_time: '9.900000', end_time: '40.000000', tags: { title: 'Gap of 30 s: paused by the person' } },
      { start_time: '40.000000', end_time: '49.900000', tags: { title: '2026-11-22 10:00:40 UTC' } },
    ]);
    expect(format.tags['title']).toBe(`Proofcast recording ${recording.recordingId}`);
    // The index stands in front, so that it plays while it is fetched.
    const bytes = await readFile(path);
    expect(bytes.indexOf('moov')).toBeLessThan(bytes.indexOf('mdat'));
    expect(await hashesOf(recording.mediaPaths)).toEqual(before);
  });

  test('[D6] have an MP4 whose sound lies at its time, also behind more silence than memory holds', async () => {
    // Half an hour of samples would fill what the encoders leave of it.
    await world.restart({ limits: { ffmpegMaxMemoryBytes: 2 ** 30 } });
    const twice = join(clips, 'twice.webm');
    const list = join(clips, 'twice.ffconcat');
    const lines = [`file '${withSound}'`, 'duration 1800', `file '${withSound}'`];
    await writeFile(list, lines.join('\n'));
    await makeWebm(twice, ['-f', 'concat', '-safe', '0', '-i', list, '-c', 'copy']);
    const recording = await world.recording([{ path: twice, durationMs: 1_805_500 }]);
    expect(await world.make(recording, 'mp4')).toMatchObject({ state: 'done', failure: null });
    const path = await world.pathOf(recording, 'mp4');
    const loudness = (from: number) => loudnessOf(path, from);
    const original = await loudnessOf(withSound, 1);
    expect(Math.abs((await loudness(1)) - original)).toBeLessThan(2);
    expect(Math.abs((await loudness(1801)) - original)).toBeLessThan(2);
    expect(await loudness(900)).toBeLessThan(-80);
    // No hole between two packets of sound: players would play what follows too early.
    const times = await packetTimes(path, 'a');
    const holes = times.slice(1, -1).filter((time, index) => time - (times[index] ?? 0) > 0.03);
    expect(holes).toEqual([]);
  });

  test('[D7] with parts that do not fit together have a joined copy on the clock of the wall, which says what it is', async () => {
    const recording = await world.recording([
      { path: withSound, durationMs: 5_500 },
      { path: vp9, durationMs: 5_500, offsetMs: 20_000 },
    ]);
    const before = await hashesOf(recording.mediaPaths);
    world.derivatives.onSealed(recording.recordingId);
    await world.derivatives.whenIdle();
    expect(await world.derivativeOf(recording.recordingId, 'joined')).toMatchObject({ state: 'done' });
    const path = await world.pathOf(recording, 'joined');
    const expected = [
      ...(await packetTimes(withSound)),
      ...(await packetTimes(vp9)).map((time) => time + 20),
    ];
    const times = await packetTimes(path);
    expect(times.length).toBe(expected.length);
    // All of it begins with the delay of the encoder of sound, 6.5 ms (RFC 7845, 4.2).
    times.forEach((time, index) => expect(Math.abs(time - (expected[index] ?? 0))).toBeLessThan(0.0085));
    const { streams, format } = await describeFile(path);
    expect(streams.map(({ codec_name }) => codec_name)).toEqual(['vp8', 'opus']);
    expect(format.tags['title']).toContain('Convenience copy');
    expect(await loudnessOf(path, 20)).toBeLessThan(-80);
    expect(await loudnessOf(path, 1)).toBeGreaterThan(-20);
    // An export of it is of all parts, too.
    await world.make(recording, 'mp4');
    expect((await packetTimes(await world.pathOf(recording, 'mp4'))).length).toBe(expected.length);
    expect(await hashesOf(recording.mediaPaths)).toEqual(before);
  });

  test('[D7] that is whole in one part is not joined', async () => {
    const { companyId, recordingId } = await recordWithGap();
    world.derivatives.onSealed(recordingId);
    await world.derivatives.whenIdle();
    expect((await world.derivatives.list(recordingId)).map(({ kind }) => kind)).not.toContain('joined');
    const refused = world.derivatives.request(companyId, recordingId, 'joined');
    await expect(refused).rejects.toMatchObject({ code: 'MESSAGE_UNEXPECTED' });
  });

  test('[D2] are of the company they are asked by, or do not exist', async () => {
    const recording = await recordWithGap();
    const { recordingId } = recording;
    const foreign = createId('company');
    await world.make(recording, 'poster');
    for (const attempt of [
      world.derivatives.request(foreign, recordingId, 'mp4'),
      world.derivatives.file(foreign, recordingId, 'poster'),
      world.derivatives.spriteTiles(foreign, recordingId),
      world.derivatives.request(recording.companyId, createId('recording'), 'mp4'),
    ]) {
      await expect(attempt).rejects.toMatchObject({ code: 'RECORDING_NOT_FOUND' });
    }
    const missing = world.derivatives.file(recording.companyId, recordingId, 'mp4');
    await expect(missing).rejects.toMatchObject({ code: 'NOT_FOUND' });
  });

  test('[D2] cannot be asked for before there is a file', async () => {
    const { companyId, recordingId } = await recordWithGap();
    await world.database.updateTable('recordings').set({ media_path: null, state: 'recording' }).execute();
    const early = world.derivatives.request(companyId, recordingId, 'mp4');
    await expect(early).rejects.toMatchObject({ code: 'RECORDING_NOT_READY' });
    world.derivatives.onSealed(recordingId);
    await world.derivatives.whenIdle();
    expect(await world.derivatives.list(recordingId)).toEqual([]);
  });

  test('[D8] are made again when the recording went on and was merged anew, exports as well', async () => {
    const recording = await world.recording([{ path: vp9, durationMs: 5_500 }]);
    await world.make(recording, 'mp4');
    await world.make(recording, 'poster');
    const [mediaPath = ''] = recording.mediaPaths;
    await run('cp', [withGap, mediaPath]);
    await world.database.updateTable('recordings').set({ chunk_count: 90 }).execute();
    await world.database.updateTable('recording_parts').set({ duration_ms: WITH_GAP_MS }).execute();
    const stale = world.derivatives.file(recording.companyId, recording.recordingId, 'mp4');
    await expect(stale).rejects.toMatchObject({ code: 'DERIVATIVE_NOT_READY' });
    world.derivatives.onSealed(recording.recordingId);
    await world.derivatives.whenIdle();
    const states = (await world.derivatives.list(recording.recordingId)).map(({ state }) => state);
    expect(states).toEqual(['done', 'done', 'done']);
    const times = await packetTimes(await world.pathOf(recording, 'mp4'));
    expect(times.length).toBe((await packetTimes(withGap)).length);
  });

  test('[D9] go with the recording: what runs ends, and every file is removed', async () => {
    const recording = await recordWithGap();
    const { companyId, recordingId } = recording;
    world.derivatives.onSealed(recordingId);
    await world.derivatives.whenIdle();
    const paths = [await world.pathOf(recording, 'poster'), await world.pathOf(recording, 'sprite')];
    expect((await world.derivatives.files(recordingId)).map(({ path }) => path)).toEqual(paths);
    await world.derivatives.request(companyId, recordingId, 'mp4');
    await world.until(recordingId, 'mp4', ({ state }) => state === 'running');
    await world.derivatives.removeAll(recordingId);
    expect(await world.derivatives.list(recordingId)).toEqual([]);
    expect(await world.derivatives.files(recordingId)).toEqual([]);
    for (const path of paths) await expect(stat(path)).rejects.toThrow('ENOENT');
    expect(await world.leftIn()).toEqual([]);
    const row = await world.database.selectFrom('recordings').selectAll().executeTakeFirstOrThrow();
    expect(row.thumbnail_path).toBeNull();
    // A second time there is nothing to do, and the recording itself has lost nothing.
    await world.derivatives.removeAll(recordingId);
    await hashesOf(recording.mediaPaths);
  });

  test('[D10] that are missing are made at the next start, once', async () => {
    const old = await recordWithGap();
    await world.restart();
    await world.derivatives.whenIdle();
    const states = await world.derivatives.list(old.recordingId);
    expect(states.map(({ kind, state }) => `${kind} ${state}`)).toEqual(['poster done', 'sprite done']);
    const { mtimeMs } = await stat(await world.pathOf(old, 'sprite'));
    await world.restart();
    await world.derivatives.whenIdle();
    expect((await stat(await world.pathOf(old, 'sprite'))).mtimeMs).toBe(mtimeMs);
  });

  test('are not begun after the close', async () => {
    const { recordingId } = await recordWithGap();
    await world.derivatives.close();
    world.derivatives.onSealed(recordingId);
    await world.derivatives.whenIdle();
    expect(await world.derivatives.list(recordingId)).toEqual([]);
    await world.derivatives.close();
  });
});

/** The first picture of a file, in shades of grey from 0 to 255 as its own range has them. */
async function decode(path: string): Promise<{ width: number; height: number; gray: Buffer }> {
  const { streams } = await describeFile(path);
  const { width = 0, height = 0 } = streams[0] ?? {};
  const args = ['-v', 'error', '-i', path, '-frames:v', '1', '-vf', 'extractplanes=y', '-f', 'rawvideo', '-'];
  const { stdout } = await run('ffmpeg', args, { encoding: 'buffer', maxBuffer: 2 ** 26 });
  // JPEG uses the whole range, video from 16 to 235; the source counts in the video's.
  const gray = Buffer.from(stdout.map((value) => Math.round(16 + (value * 219) / 255)));
  return { width, height, gray };
}

async function loudnessOf(path: string, fromSeconds: number): Promise<number> {
  const args = [
    '-hide_banner',
    '-ss',
    String(fromSeconds),
    '-i',
    path,
    '-t',
    '1',
    '-vn',
    '-af',
    'volumedetect',
  ];
  const { stderr } = await run('ffmpeg', [...args, '-f', 'null', '-']);
  return Number(/mean_volume: (-?[\d.]+) dB/.exec(stderr)?.[1]);
}

interface Description {
  readonly streams: readonly { codec_name?: string; codec_type: string; width?: number; height?: number }[];
  readonly chapters: readonly object[];
  readonly format: { readonly tags: Readonly<Record<string, string>> };
}

async function describeFile(path: string): Promise<Description> {
  const entries =
    'stream=codec_name,codec_type,width,height:format_tags=title:chapter=start_time,end_time:chapter_tags=title';
  const { stdout } = await run('ffprobe', ['-v', 'error', '-show_entries', entries, '-of', 'json', path]);
  return JSON.parse(stdout) as Description;
}
