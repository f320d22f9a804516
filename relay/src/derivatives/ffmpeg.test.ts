import { ChildProcess, execFile } from 'node:child_process';
import { copyFile, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { CodedError } from '@proofcast/shared';
import { loadWebmClip } from '@proofcast/shared/testing/webm-clip';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { aMoment, programsBelow } from '../../testing/derivative-world.ts';
import { fakeFfmpeg } from '../../testing/fake-ffmpeg.ts';
import { Ffmpeg, FfmpegError, type FfmpegRun } from './ffmpeg.ts';
import { Ffprobe } from './ffprobe.ts';

const LIMITS = { ffmpegTimeoutMs: 60_000, ffmpegKillDelayMs: 10, ffmpegMaxMemoryBytes: 4 * 2 ** 30 };

// In this order: fluent-ffmpeg asks once in a process what ffmpeg can, and remembers the answer.
describe('ffmpeg', () => {
  let folder: string;
  let workspace: string;

  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'proofcast-ffmpeg-'));
    workspace = await mkdtemp(join(folder, 'workspace-'));
    await copyFile(loadWebmClip('vp8').path, join(workspace, 'in.webm'));
  });
  afterEach(() => rm(folder, { recursive: true, force: true }));

  const encode = (fields: Partial<FfmpegRun> = {}): FfmpegRun => ({
    what: 'encode the clip',
    folder: workspace,
    inputs: [{ name: 'in.webm', format: 'webm' }],
    output: { name: 'out.mp4', options: ['-c:v', 'libx264', '-f', 'mp4'] },
    ...fields,
  });
  const bounds = (signal = new AbortController().signal) => ({ signal, maxOutputBytes: 2 ** 30 });
  const open = (ffmpegPath: string, limits: Partial<typeof LIMITS> = {}): Ffmpeg =>
    new Ffmpeg({ ffmpegPath, limits: { ...LIMITS, ...limits } });

  test('[D3] that does not even say what it can is given up after its time', async () => {
    const ffmpeg = open(await fakeFfmpeg(folder, 'dawdles', '-encoders'), { ffmpegTimeoutMs: 200 });
    await expect(ffmpeg.run(encode(), bounds())).rejects.toMatchObject({
      code: 'DERIVATIVE_FAILED',
      message: expect.stringMatching(/could not encode the clip: it took more than 200 ms/),
    });
  });

  test('[D3] that hangs and does not listen is ended by force', async () => {
    const ffmpeg = open(await fakeFfmpeg(folder, 'hangs'), { ffmpegTimeoutMs: 300 });
    await expect(ffmpeg.run(encode(), bounds())).rejects.toThrow('it took more than 300 ms');
    expect(await programsBelow(folder)).toEqual([]);
  });

  test('[D3] makes nothing after it was told to stop, and ends what it has begun', async () => {
    const ffmpeg = open(await fakeFfmpeg(folder, 'hangs'));
    const abort = new AbortController();
    const attempt = ffmpeg.run(encode(), bounds(abort.signal));
    while ((await programsBelow(folder)).length === 0) await aMoment();
    abort.abort(new CodedError('SHUTTING_DOWN', 'The relay is shutting down.'));
    await expect(attempt).rejects.toThrow('The relay is shutting down');
    expect(await programsBelow(folder)).toEqual([]);
    await expect(ffmpeg.run(encode(), bounds(abort.signal))).rejects.toThrow('shutting down');
    expect(await readdir(workspace)).toEqual(['in.webm']);
  });

  test('[D3] signals nobody when it was told to stop and its folder is gone before it is started', async () => {
    const signals = vi.spyOn(ChildProcess.prototype, 'kill').mockReturnValue(false);
    const ffmpeg = open('ffmpeg');
    const abort = new AbortController();
    const attempt = ffmpeg.run(encode({ folder: join(folder, 'gone') }), bounds(abort.signal));
    abort.abort(new CodedError('SHUTTING_DOWN', 'The relay is shutting down.'));
    await expect(attempt).rejects.toThrow('shutting down');
    // It is started all the same, before this one, which is asked for later.
    await ffmpeg.run(encode(), bounds());
    expect(signals).not.toHaveBeenCalled();
    signals.mockRestore();
  });

  test('[D3] leaves what it said last for the log, not for users', async () => {
    const ffmpeg = open(await fakeFfmpeg(folder, 'crashes'));
    const error = await ffmpeg.run(encode(), bounds()).catch((caught: unknown) => caught);
    expect(error).toBeInstanceOf(FfmpegError);
    expect((error as FfmpegError).stderrTail).toContain('something is wrong');
    expect((error as FfmpegError).message).toBe('ffmpeg could not encode the clip: it exited with code 1.');
  });

  test('[D3] gets no more memory than its limit', async () => {
    const ffmpeg = open('ffmpeg', { ffmpegMaxMemoryBytes: 64 * 2 ** 20 });
    const large = ['-vf', 'scale=3840:2160', '-c:v', 'libx264', '-f', 'mp4'];
    const attempt = ffmpeg.run(encode({ output: { name: 'out.mp4', options: large } }), bounds());
    await expect(attempt).rejects.toMatchObject({ code: 'DERIVATIVE_FAILED' });
  });

  test('[D3] writes no more than its limit, and says that there was no room', async () => {
    const raw = ['-c:v', 'rawvideo', '-pix_fmt', 'yuv420p', '-f', 'nut'];
    const attempt = open('ffmpeg').run(encode({ output: { name: 'out.nut', options: raw } }), {
      ...bounds(),
      maxOutputBytes: 100_000,
    });
    await expect(attempt).rejects.toMatchObject({ code: 'STORAGE_FULL' });
  });

  test('[D3] tells how far it is, and asks no other program for that', async () => {
    const times: number[] = [];
    await open('ffmpeg').run(encode({ onProgress: (timeMs) => times.push(timeMs) }), bounds());
    expect(times.length).toBeGreaterThan(0);
    expect(times).toEqual(times.toSorted((a, b) => a - b));
    expect(times.at(-1)).toBeGreaterThan(5_000);
  });

  test('[D3] reads nothing but webm from files', async () => {
    const playlist = '#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\nfile:///etc/hostname\n';
    await writeFile(join(workspace, 'in.webm'), playlist);
    await expect(open('ffmpeg').run(encode(), bounds())).rejects.toMatchObject({ code: 'DERIVATIVE_FAILED' });
    const { signal } = new AbortController();
    const ffprobe = new Ffprobe({ ffmpegPath: 'ffmpeg', limits: LIMITS });
    for (const name of ['in.webm', 'missing.webm']) {
      const attempt = ffprobe.probe({ folder: workspace, name, format: 'webm' }, signal);
      await expect(attempt).rejects.toMatchObject({ code: 'DERIVATIVE_FAILED' });
    }
  });

  test('[D3] decodes nothing that recorders of browsers do not make', async () => {
    const source = ['-f', 'lavfi', '-i', 'testsrc2=s=64x36:r=5:d=2', '-c:v', 'mpeg4', '-f', 'matroska'];
    await promisify(execFile)('ffmpeg', ['-v', 'error', '-y', ...source, join(workspace, 'in.webm')]);
    await expect(open('ffmpeg').run(encode(), bounds())).rejects.toMatchObject({
      code: 'DERIVATIVE_FAILED',
      stderrTail: expect.stringMatching(/mpeg4.*not on whitelist/),
    });
  });
});
