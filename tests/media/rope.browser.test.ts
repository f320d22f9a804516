// Ropes of what Chromium has just recorded: against ffmpeg, and played by Chromium over HTTP ranges. The time is burnt
// into every picture, so that a picture tells whether it is the right one.

import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import type { Browser, Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { JournaledRecording, ropeBytes } from '../../relay/testing/journaled-recording.ts';
import type { Rope } from '../../relay/src/recording/rope.ts';
import { freshSeed, seededRandom } from '../../shared/testing/random.ts';
import { launchViewer } from '../harness/chromium.ts';
import { openHarnessPage } from '../harness/harness-pages.ts';
import type { CanvasRecipe, CanvasRecording } from '../harness/pages/canvas-recorder.ts';
import { readFileFrames, readStamp, type FileFrame } from '../harness/stamp-readers.ts';
import { complaints, frameHashes } from './media-tools.ts';

/** A stamp is drawn every 67 ms and recorded a little later; two busy cores add to both. */
const STAMP_TOLERANCE_MS = 1000;
const PLAIN: CanvasRecipe = {
  mimeType: 'video/webm;codecs=vp8',
  lengthMs: 5000,
  timesliceMs: 2000,
  hasSound: false,
  hasNoise: false,
  paused: null,
  resizedAtMs: null,
};
const RECIPES: Record<string, CanvasRecipe> = {
  plain: PLAIN,
  heavy: { ...PLAIN, hasNoise: true },
  paused: { ...PLAIN, paused: { fromMs: 1500, toMs: 2500 } },
  resized: { ...PLAIN, mimeType: 'video/webm;codecs=vp9', resizedAtMs: 2500 },
  'cut every 20 ms': {
    ...PLAIN,
    mimeType: 'video/webm;codecs=vp8,opus',
    hasSound: true,
    timesliceMs: 20,
  },
};

interface Recorded {
  readonly startedAtMs: number;
  readonly slices: Uint8Array[];
}

let browser: Browser;
let folder: string;
const recorded = new Map<string, Recorded>();

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'proofcast-rope-chromium-'));
  browser = await launchViewer({ args: ['--autoplay-policy=no-user-gesture-required'] });
  const page = await browser.newPage();
  await openHarnessPage(page, 'canvas-recorder.ts');
  for (const [name, recipe] of Object.entries(RECIPES)) {
    const made = await page.evaluate((one): Promise<CanvasRecording> => {
      const record = Reflect.get(globalThis, 'recordCanvas') as (
        recipe: CanvasRecipe,
      ) => Promise<CanvasRecording>;
      return record(one);
    }, recipe);
    const slices = made.slices
      .map((slice) => Buffer.from(slice, 'base64'))
      .filter(({ length }) => length > 0);
    recorded.set(name, { startedAtMs: made.startedAtMs, slices });
  }
  await page.close();
});

afterAll(async () => {
  await browser?.close();
  await rm(folder, { recursive: true, force: true });
});

const take = (name: string): Recorded => {
  const found = recorded.get(name);
  if (found === undefined) throw new Error(`Nothing was recorded as ${name}.`);
  return found;
};

describe('a rope of a recording just made by Chromium', () => {
  test.each(Object.keys(RECIPES))(
    '[R10] %s: has the frames of the original, and nothing to complain of',
    async (name) => {
      const { startedAtMs, slices } = take(name);
      const recording = await JournaledRecording.create({ startedAtUs: startedAtMs * 1000 });
      try {
        recording.epoch();
        recording.media(slices);
        await recording.flush();
        const [original, made] = [join(folder, `${name}-original.webm`), join(folder, `${name}.webm`)];
        await writeFile(original, Buffer.concat(slices));
        await writeFile(made, await ropeBytes(recording.rope()));
        expect(complaints('ffprobe', ['-show_packets', made])).toBe('');
        expect(complaints('ffmpeg', ['-i', made, '-f', 'null', '-'])).toBe(
          complaints('ffmpeg', ['-i', original, '-f', 'null', '-']),
        );
        expect(frameHashes(made)).toEqual(frameHashes(original));
      } finally {
        await recording.close();
      }
    },
  );

  test('[R4] shows at each time of its clock what was drawn at that time of the wall clock', async () => {
    const [first, second] = [take('plain'), take('cut every 20 ms')];
    const recording = await JournaledRecording.create({ startedAtUs: first.startedAtMs * 1000 });
    try {
      // The second one has sound, and so makes a part of its own.
      for (const { startedAtMs, slices } of [first, second]) {
        recording.epoch({ startedAtUs: startedAtMs * 1000 });
        recording.media(slices);
      }
      for (const { part, startsAtUs } of recording.plans()) {
        const path = join(folder, `clock-${part}.webm`);
        await writeFile(path, await ropeBytes(recording.rope(part)));
        const frames = await readFileFrames(path);
        expect(frames.length).toBeGreaterThan(30);
        for (const { timeMs, stampMs } of frames) {
          const wallMs = startsAtUs / 1000 + timeMs;
          expect(Math.abs(wallMs - (stampMs ?? 0))).toBeLessThan(STAMP_TOLERANCE_MS);
        }
      }
    } finally {
      await recording.close();
    }
  });
});

describe('Chromium', () => {
  test('[R11] plays a rope over HTTP ranges and seeks in it, also over gaps, without fetching all of it', async () => {
    const seed = freshSeed();
    const random = seededRandom(seed);
    const { startedAtMs, slices } = take('heavy');
    const original = join(folder, 'played.webm');
    await writeFile(original, Buffer.concat(slices));
    const frames = await readFileFrames(original);
    // A long recording, larger than what a browser fetches ahead: the same epoch every 30 seconds, for half an hour.
    const epochs = 60;
    const periodMs = 30_000;
    const recording = await JournaledRecording.create({ startedAtUs: startedAtMs * 1000 });
    const page = await browser.newPage();
    let server: RopeServer | null = null;
    try {
      for (let n = 0; n < epochs; n++) {
        recording.epoch({ startedAtUs: (startedAtMs + n * periodMs) * 1000 });
        recording.media(slices);
      }
      await recording.flush();
      const rope = recording.rope();
      server = await serveRope(rope);
      await page.goto(server.url);
      const durationMs = await load(page);
      expect(durationMs).toBeCloseTo(rope.durationMs, 0);

      await play(page, 1500);
      const played = await currentPicture(page);
      expect(stampsAt(frames, played.timeMs)).toContain(played.stampMs);

      // To the other end at once: what lies between is not needed for it.
      await seek(page, (epochs - 1) * periodMs);
      expect(server.sentBytes()).toBeLessThan(rope.sizeBytes / 2);

      const lastMs = rope.plan.epochs[0]?.lastBlockTicks ?? 0;
      const sought: number[] = [];
      for (let round = 0; round < 12; round++) {
        const epoch = random.integer(0, epochs - 1);
        // Every fourth one into the gap behind an epoch, where its last picture stands still.
        const offsetMs = round % 4 === 3 ? random.integer(6000, 29_000) : random.integer(100, lastMs);
        sought.push(await seek(page, epoch * periodMs + offsetMs));
        const { stampMs, timeMs } = await currentPicture(page);
        const what = `seed ${seed}, round ${round}: epoch ${epoch} + ${offsetMs} ms shows ${stampMs - startedAtMs} ms`;
        expect(timeMs, what).toBeCloseTo(epoch * periodMs + offsetMs, -1);
        expect(stampsAt(frames, offsetMs), what).toContain(stampMs);
      }
      expect(sought.toSorted((a, b) => a - b)[6]).toBeLessThan(1000);
      expect(new Set(server.statuses)).toEqual(new Set([206]));
      expect(server.statuses.length).toBeGreaterThan(3);
    } finally {
      await page.close();
      await server?.close();
      await recording.close();
    }
  });
});

/** What may be seen at a time of the recording: its picture, or, as clocks are rounded, one of its neighbours. */
function stampsAt(frames: readonly FileFrame[], timeMs: number): (number | null)[] {
  const at = frames.findLastIndex((frame) => frame.timeMs <= timeMs);
  return frames.slice(Math.max(0, at - 1), at + 2).map(({ stampMs }) => stampMs);
}

interface RopeServer {
  readonly url: string;
  readonly statuses: number[];
  sentBytes(): number;
  close(): Promise<void>;
}

/** As much of RFC 9110's range requests as a browser uses. */
async function serveRope(rope: Rope): Promise<RopeServer> {
  const statuses: number[] = [];
  let sentBytes = 0;
  async function* read(start: number, end: number): AsyncGenerator<Uint8Array> {
    for await (const bytes of rope.read(start, end)) {
      yield bytes;
      sentBytes += bytes.length;
    }
  }
  const server: Server = createServer((request, response) => {
    if (request.url !== '/rope.webm') {
      response
        .setHeader('content-type', 'text/html')
        .end('<!doctype html><video muted playsinline preload=metadata></video>');
      return;
    }
    const [, from = '0', to = ''] = /^bytes=(\d+)-(\d*)$/.exec(request.headers.range ?? '') ?? [];
    const start = Number(from);
    const end = to === '' ? rope.sizeBytes : Math.min(Number(to) + 1, rope.sizeBytes);
    const status = request.headers.range === undefined ? 200 : 206;
    statuses.push(status);
    response.writeHead(status, {
      'content-type': 'video/webm',
      'content-length': end - start,
      'content-range': `bytes ${start}-${end - 1}/${rope.sizeBytes}`,
      'accept-ranges': 'bytes',
      etag: rope.etag,
    });
    // A browser breaks off what it does not need any more.
    pipeline(read(start, end), response).catch(() => undefined);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/`,
    statuses,
    sentBytes: () => sentBytes,
    async close() {
      server.closeAllConnections();
      server.close();
      await once(server, 'close');
    },
  };
}

/** Answers the duration, milliseconds. */
function load(page: Page): Promise<number> {
  return page.evaluate(async () => {
    const video = document.querySelector('video')!;
    video.src = '/rope.webm';
    await new Promise((resolve, reject) => {
      video.addEventListener('loadeddata', resolve, { once: true });
      video.addEventListener('error', () => reject(new Error(video.error?.message)), { once: true });
    });
    return video.duration * 1000;
  });
}

/** Until the clock of the video has come so far. */
async function play(page: Page, untilMs: number): Promise<void> {
  await page.evaluate(async (ms) => {
    const video = document.querySelector('video')!;
    await video.play();
    await new Promise<void>((resolve) => {
      video.addEventListener('timeupdate', () => {
        if (video.currentTime * 1000 >= ms) resolve();
      });
    });
    video.pause();
  }, untilMs);
}

/** Answers how long it took until the picture was there, milliseconds. */
function seek(page: Page, toMs: number): Promise<number> {
  return page.evaluate(async (ms) => {
    const video = document.querySelector('video')!;
    const startedAt = performance.now();
    await new Promise((resolve, reject) => {
      video.addEventListener('seeked', resolve, { once: true });
      video.addEventListener('error', () => reject(new Error(video.error?.message)), { once: true });
      video.currentTime = ms / 1000;
    });
    return performance.now() - startedAt;
  }, toMs);
}

async function currentPicture(page: Page): Promise<{ timeMs: number; stampMs: number }> {
  const timeMs = await page.evaluate(() => document.querySelector('video')!.currentTime * 1000);
  const stamp = await readStamp(page, 'video');
  if (stamp === null) throw new Error(`The picture at ${timeMs} ms has no stamp.`);
  return { timeMs, stampMs: stamp.stampMs };
}
