import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { loadWebmClip } from '@proofcast/shared/testing/webm-clip';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { fakeFfmpeg } from '../../testing/fake-ffmpeg.ts';
import { Ffmpeg } from './ffmpeg.ts';

const CLIP = loadWebmClip('vp8');
const LIMITS = { ffmpegTimeoutMs: 60_000, ffmpegKillDelayMs: 10 };

// In this order: fluent-ffmpeg asks once in a process what ffmpeg can, and remembers the answer.
describe('ffmpeg', () => {
  let folder: string;

  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'proofcast-ffmpeg-'));
  });
  afterEach(() => rm(folder, { recursive: true, force: true }));

  async function* clip(): AsyncGenerator<Uint8Array> {
    yield* CLIP.slices;
  }

  test('[J17] that does not even say what it can is given up after its time', async () => {
    const ffmpegPath = await fakeFfmpeg(folder, 'dawdles', '-encoders');
    const ffmpeg = new Ffmpeg({ ffmpegPath, limits: { ...LIMITS, ffmpegTimeoutMs: 200 } });
    const attempt = ffmpeg.remux(clip(), join(folder, 'out.webm'), new AbortController().signal);
    await expect(attempt).rejects.toMatchObject({
      code: 'DERIVATIVE_FAILED',
      message: expect.stringMatching(/it took more than 200 ms/),
    });
  });

  test('makes nothing after it was told to stop, and ends what it has begun', async () => {
    const ffmpegPath = await fakeFfmpeg(folder, 'hangs');
    const ffmpeg = new Ffmpeg({ ffmpegPath, limits: LIMITS });
    const abort = new AbortController();
    let hasBegun = false;
    async function* endless(): AsyncGenerator<Uint8Array> {
      hasBegun = true;
      yield* CLIP.slices;
      abort.abort();
      await new Promise(() => undefined);
    }
    const attempt = ffmpeg.remux(endless(), join(folder, 'out.webm'), abort.signal);
    await expect(attempt).rejects.toThrow('the relay is shutting down');
    expect(hasBegun).toBe(true);
    const late = ffmpeg.remux(clip(), join(folder, 'late.webm'), abort.signal);
    await expect(late).rejects.toThrow('aborted');
    expect((await readdir(folder)).filter((name) => name.endsWith('.webm'))).toEqual([]);
  });

  test('is told from its input why that ended early', async () => {
    async function* failing(): AsyncGenerator<Uint8Array> {
      yield CLIP.slices[0] ?? Buffer.of();
      throw new Error('the journal is unreadable');
    }
    const ffmpeg = new Ffmpeg({ ffmpegPath: 'ffmpeg', limits: LIMITS });
    const attempt = ffmpeg.remux(failing(), join(folder, 'out.webm'), new AbortController().signal);
    await expect(attempt).rejects.toThrow('the journal is unreadable');
  });

  test('reads nothing but what it is given', async () => {
    async function* playlist(): AsyncGenerator<Uint8Array> {
      yield Buffer.from('#EXTM3U\n#EXTINF:1,\nfile:///etc/hostname\n');
    }
    const ffmpeg = new Ffmpeg({ ffmpegPath: 'ffmpeg', limits: LIMITS });
    const signal = new AbortController().signal;
    await expect(ffmpeg.remux(playlist(), join(folder, 'out.webm'), signal)).rejects.toMatchObject({
      code: 'DERIVATIVE_FAILED',
    });
    await expect(ffmpeg.probe(join(folder, 'missing.webm'), signal)).rejects.toMatchObject({
      code: 'DERIVATIVE_FAILED',
    });
  });
});
