import { mkdtemp, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { killProcess } from '@proofcast/shared/testing/processes';
import { seededRandom } from '@proofcast/shared/testing/random';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import {
  aMoment,
  DerivativeWorld,
  hashesOf,
  makeWebm,
  packetTimes,
  programsBelow,
  type DerivativeWorldOptions,
  type MadeRecording,
} from '../../testing/derivative-world.ts';
import { fakeFfmpeg } from '../../testing/fake-ffmpeg.ts';

const LENGTH_MS = 20_000;
const SHORT_MS = 3_000;
const SEED = 20_261_122;
/** Enough for the programs that do not hang, on a busy machine too. */
const SHORT_TIMES: Readonly<Record<string, object>> = { hangs: { ffmpegTimeoutMs: 6_000 } };

let clips: string;
/** Takes a while to encode. */
let clip: string;
let shortClip: string;

beforeAll(async () => {
  clips = await mkdtemp(join(tmpdir(), 'proofcast-clips-'));
  clip = join(clips, 'clip.webm');
  shortClip = join(clips, 'short.webm');
  const encoder = ['-c:v', 'libvpx', '-deadline', 'realtime', '-cpu-used', '8', '-g', '30'];
  await makeWebm(clip, ['-f', 'lavfi', '-i', 'testsrc2=s=640x360:r=15:d=20', ...encoder]);
  await makeWebm(shortClip, ['-f', 'lavfi', '-i', 'testsrc2=s=160x90:r=10:d=3', ...encoder]);
});
afterAll(() => rm(clips, { recursive: true, force: true }));

describe('a derivative', { timeout: 120_000 }, () => {
  let world: DerivativeWorld;
  let programs: string;
  let recording: MadeRecording;
  let before: string[];

  beforeEach(async () => {
    programs = await mkdtemp(join(tmpdir(), 'proofcast-programs-'));
  });
  afterEach(async () => {
    expect(await hashesOf(recording.mediaPaths)).toEqual(before);
    await world.close();
    expect(await programsBelow(world.recordingsDir)).toEqual([]);
    await rm(programs, { recursive: true, force: true });
  });

  async function openWorld(options: DerivativeWorldOptions = {}): Promise<void> {
    const limits = { derivativeBackoffMs: 1, maxDerivativeBackoffMs: 1, ...options.limits };
    world = await DerivativeWorld.open({ ...options, limits });
    recording = await world.recording([{ path: shortClip, durationMs: SHORT_MS }]);
    before = await hashesOf(recording.mediaPaths);
  }

  /** Instead of the short one. */
  async function useLongRecording(): Promise<void> {
    recording = await world.recording([{ path: clip, durationMs: LENGTH_MS }]);
    before = await hashesOf(recording.mediaPaths);
  }

  test('[D12] whose ffmpeg is killed at ten moments is made in the end, and the recording stays as it was', async () => {
    const random = seededRandom(SEED);
    // It takes as long as the recording: no attempt ends before it was killed.
    const ffmpegPath = await fakeFfmpeg(programs, 'ambles', 'libx264');
    await openWorld({ ffmpegPath, limits: { maxDerivativeAttempts: 11 } });
    await useLongRecording();
    const { companyId, recordingId } = recording;
    await world.derivatives.request(companyId, recordingId, 'mp4');
    const killed = new Set<number>();
    while (killed.size < 10) {
      const [pid] = (await programsBelow(world.recordingsDir)).filter((each) => !killed.has(each));
      if (pid === undefined) {
        await aMoment();
        continue;
      }
      await new Promise((resolve) => setTimeout(resolve, random.integer(0, 150)));
      // What has ended by itself meanwhile was not killed.
      if (!(await programsBelow(world.recordingsDir)).includes(pid)) continue;
      try {
        killProcess(pid);
      } catch (error) {
        // It ended between the look and the kill.
        if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
        continue;
      }
      killed.add(pid);
    }
    const made = await world.until(recordingId, 'mp4', ({ state }) => state === 'done' || state === 'failed');
    expect(made, `seed ${SEED}`).toMatchObject({ state: 'done', failure: null });
    const path = await world.pathOf(recording, 'mp4');
    expect((await packetTimes(path)).length).toBe(300);
    await world.derivatives.whenIdle();
    expect(await world.leftIn()).toEqual([]);
  });

  test('[D6] tells how far it is while it is made, from nothing to all', async () => {
    await openWorld({ ffmpegPath: await fakeFfmpeg(programs, 'lingers', 'libx264') });
    await useLongRecording();
    const { companyId, recordingId } = recording;
    const isBetween = (progress: number): boolean => progress > 0 && progress < 1;
    const seen = [(await world.derivatives.request(companyId, recordingId, 'mp4')).progress];
    await world.until(recordingId, 'mp4', ({ state, progress }) => {
      seen.push(progress);
      return state !== 'waiting' && isBetween(progress);
    });
    await writeFile(join(programs, 'go'), '');
    const made = await world.until(recordingId, 'mp4', ({ state, progress }) => {
      seen.push(progress);
      return state === 'done';
    });
    expect(made.progress).toBe(1);
    expect(seen).toEqual(seen.toSorted((a, b) => a - b));
    expect(seen.some(isBetween)).toBe(true);
  });

  test.each([
    ['mp4', 'crashes', 'libx264', /it exited with code 1/, 'DERIVATIVE_FAILED'],
    ['sprite', 'hangs', 'nokey', /it took more than 6000 ms/, 'DERIVATIVE_FAILED'],
    ['mp4', 'hangs', 'libx264', /it did nothing for 6000 ms/, 'DERIVATIVE_FAILED'],
    ['mp4', 'pretends', 'libx264', /ffprobe could not read export\.mp4/, 'DERIVATIVE_FAILED'],
    ['poster', 'pretends', '-frames:v', /No picture of the recording could be decoded/, 'DERIVATIVE_FAILED'],
    ['mp4', 'lies', 'libx264', /has \d+ pictures.*the recording has 30 pictures/, 'DERIVATIVE_FAILED'],
    ['mp4', 'skips', 'libx264', /has 2\d pictures.*the recording has 30 pictures/, 'DERIVATIVE_FAILED'],
    [
      'mp4',
      'starves',
      'libx264',
      /ffmpeg could not make the MP4: there was no room for the file/,
      'STORAGE_FULL',
    ],
  ] as const)(
    '[D12] of kind %s of which ffmpeg %s is failed with the reason after its attempts, and made when asked for again',
    async (kind, failure, onArgument, message, code) => {
      const ffmpegPath = await fakeFfmpeg(programs, failure, onArgument);
      await openWorld({ ffmpegPath, limits: { maxDerivativeAttempts: 2, ...SHORT_TIMES[failure] } });
      const { companyId, recordingId } = recording;
      await world.derivatives.request(companyId, recordingId, kind);
      const failed = await world.until(recordingId, kind, ({ state }) => state === 'failed');
      expect(failed).toMatchObject({ sizeBytes: null, progress: 0 });
      expect(failed.failure).toMatchObject({ code, message: expect.stringMatching(message) });
      expect(failed.failure?.message).not.toContain(world.dataDir);
      const row = await world.database.selectFrom('derivatives').selectAll().executeTakeFirstOrThrow();
      expect(row.attempts).toBe(2);
      const missing = world.derivatives.file(companyId, recordingId, kind);
      await expect(missing).rejects.toMatchObject({ code: 'DERIVATIVE_FAILED' });
      await world.derivatives.whenIdle();
      expect(await world.leftIn()).toEqual([]);

      await world.restart({ ffmpegPath: 'ffmpeg', limits: {} });
      await world.derivatives.whenIdle();
      expect((await world.derivativeOf(recordingId, kind)).state).toBe('failed');
      expect(await world.make(recording, kind)).toMatchObject({ state: 'done', failure: null });
    },
  );

  test('[D12] waits for another attempt and says why the last one failed', async () => {
    await openWorld({
      ffmpegPath: await fakeFfmpeg(programs, 'crashes', 'libx264'),
      limits: { derivativeBackoffMs: 3_600_000, maxDerivativeBackoffMs: 3_600_000 },
    });
    const waiting = await world.make(recording, 'mp4');
    expect(waiting).toMatchObject({ state: 'waiting', failure: { code: 'DERIVATIVE_FAILED' } });
    const early = world.derivatives.file(recording.companyId, recording.recordingId, 'mp4');
    await expect(early).rejects.toMatchObject({ code: 'DERIVATIVE_NOT_READY' });
  });

  test('[D12] does not take the room that new recordings need', async () => {
    await openWorld({ limits: { minFreeBytes: Number.MAX_SAFE_INTEGER, maxDerivativeAttempts: 1 } });
    const failed = await world.make(recording, 'poster');
    expect(failed).toMatchObject({ state: 'failed', failure: { code: 'STORAGE_FULL' } });
  });

  test('[D12] does not count on the room that another one is about to fill', async () => {
    let sizeBytes = 0;
    await openWorld({
      ffmpegPath: await fakeFfmpeg(programs, 'ambles', 'libx264'),
      limits: { concurrentDerivatives: 2, concurrentExports: 2, maxDerivativeAttempts: 1 },
      freeBytesOf: () => Promise.resolve(Math.floor(1.9 * sizeBytes)),
    });
    sizeBytes = (await stat(recording.mediaPaths[0] as string)).size;
    const other = await world.recording([{ path: shortClip, durationMs: SHORT_MS }]);
    const both = [recording, other];
    for (const { companyId, recordingId } of both) {
      await world.derivatives.request(companyId, recordingId, 'mp4');
    }
    await world.derivatives.whenIdle();
    const made = await Promise.all(both.map((each) => world.derivativeOf(each.recordingId, 'mp4')));
    expect(made.map(({ state }) => state).toSorted()).toEqual(['done', 'failed']);
    expect(made.find(({ state }) => state === 'failed')?.failure?.code).toBe('STORAGE_FULL');
    // Once nobody else needs the room, it can be made.
    const failed = both[made.findIndex(({ state }) => state === 'failed')] as MadeRecording;
    expect(await world.make(failed, 'mp4')).toMatchObject({ state: 'done' });
  });

  test('[D12] is ended when recordings come to need the room, and leaves none of it filled', async () => {
    let freeBytes = 2 ** 40;
    await openWorld({
      ffmpegPath: await fakeFfmpeg(programs, 'ambles', 'libx264'),
      limits: { maxDerivativeAttempts: 1, minFreeBytes: 1_000, freeSpaceIntervalMs: 20 },
      freeBytesOf: () => Promise.resolve(freeBytes),
    });
    await useLongRecording();
    const { companyId, recordingId } = recording;
    await world.derivatives.request(companyId, recordingId, 'mp4');
    await world.until(recordingId, 'mp4', ({ progress }) => progress > 0);
    freeBytes = 999;
    const ended = await world.until(recordingId, 'mp4', ({ state }) => state !== 'running');
    expect(ended).toMatchObject({ state: 'failed', failure: { code: 'STORAGE_FULL' } });
    expect(await world.leftIn()).toEqual([]);
    freeBytes = 2 ** 40;
    await world.restart({ ffmpegPath: 'ffmpeg' });
    expect(await world.make(recording, 'mp4')).toMatchObject({ state: 'done' });
  });

  test('[D7] of parts that lie years apart is refused, and not tried by itself', async () => {
    await openWorld();
    const parts = [0, 10 * 365 * 86_400_000].map((offsetMs) => ({
      path: shortClip,
      durationMs: SHORT_MS,
      offsetMs,
    }));
    recording = await world.recording(parts);
    before = await hashesOf(recording.mediaPaths);
    const { companyId, recordingId } = recording;
    world.derivatives.onSealed(recordingId);
    await world.derivatives.whenIdle();
    const made = await world.derivatives.list(recordingId);
    expect(made.map(({ kind, state }) => `${kind} ${state}`).toSorted()).toEqual([
      'poster done',
      'sprite done',
    ]);
    for (const kind of ['mp4', 'joined'] as const) {
      await expect(world.derivatives.request(companyId, recordingId, kind)).rejects.toMatchObject({
        code: 'MESSAGE_UNEXPECTED',
        message: expect.stringMatching(/are 3651 days: at most 7 can be/),
      });
    }
  });

  test('[D7] of more parts than can be joined is refused, and not tried by itself', async () => {
    await openWorld();
    const parts = Array.from({ length: 33 }, (_, n) => ({
      path: shortClip,
      durationMs: SHORT_MS,
      offsetMs: n * 4_000,
    }));
    recording = await world.recording(parts);
    before = await hashesOf(recording.mediaPaths);
    const { companyId, recordingId } = recording;
    world.derivatives.onSealed(recordingId);
    await world.derivatives.whenIdle();
    const made = await world.derivatives.list(recordingId);
    expect(made.map(({ kind, state }) => `${kind} ${state}`).toSorted()).toEqual([
      'poster done',
      'sprite done',
    ]);
    for (const kind of ['mp4', 'joined'] as const) {
      await expect(world.derivatives.request(companyId, recordingId, kind)).rejects.toMatchObject({
        code: 'MESSAGE_UNEXPECTED',
        message: expect.stringMatching(/33 parts: at most 32/),
      });
    }
    expect(await world.derivatives.list(recordingId)).toHaveLength(2);
  });

  test('[D11] is taken however many joined copies wait that nobody has asked for', async () => {
    await openWorld({
      ffmpegPath: await fakeFfmpeg(programs, 'hangs'),
      limits: { maxExportsPerCompany: 1 },
    });
    const { companyId, recordingId } = recording;
    const parts = [0, 4_000].map((offsetMs) => ({ path: shortClip, durationMs: SHORT_MS, offsetMs }));
    for (let n = 0; n < 3; n++) {
      const joined = await world.recording(parts, { companyId });
      world.derivatives.onSealed(joined.recordingId);
      while ((await world.derivatives.list(joined.recordingId)).length < 3) await aMoment();
    }
    expect(await world.derivatives.request(companyId, recordingId, 'mp4')).toMatchObject({ kind: 'mp4' });
    const second = await world.recording(parts, { companyId });
    const refused = world.derivatives.request(companyId, second.recordingId, 'mp4');
    await expect(refused).rejects.toMatchObject({ code: 'LIMIT_REACHED' });
  });

  test('[D11] is refused when the company has too many exports under way', async () => {
    await openWorld({
      ffmpegPath: await fakeFfmpeg(programs, 'hangs', 'libx264'),
      limits: { maxExportsPerCompany: 2 },
    });
    const { companyId } = recording;
    const files = [{ path: shortClip, durationMs: SHORT_MS }];
    const [second, third] = [
      await world.recording(files, { companyId }),
      await world.recording(files, { companyId }),
    ];
    const other = await world.recording(files);
    await world.derivatives.request(companyId, recording.recordingId, 'mp4');
    await world.derivatives.request(companyId, second.recordingId, 'mp4');
    // The same again is no further one.
    await world.derivatives.request(companyId, second.recordingId, 'mp4');
    const refused = world.derivatives.request(companyId, third.recordingId, 'mp4');
    await expect(refused).rejects.toMatchObject({ code: 'LIMIT_REACHED' });
    await world.derivatives.request(other.companyId, other.recordingId, 'mp4');
    expect(await world.derivatives.request(companyId, third.recordingId, 'poster')).toMatchObject({
      kind: 'poster',
    });
  });
});
