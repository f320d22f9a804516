import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { seededRandom } from '@proofcast/shared/testing/random';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import {
  aMoment,
  DerivativeWorld,
  hashesOf,
  makeWebm,
  packetTimes,
  programsBelow,
  type MadeRecording,
} from '../../testing/derivative-world.ts';
import { fakeFfmpeg } from '../../testing/fake-ffmpeg.ts';
import { removeLeftovers } from './workspace.ts';

const PROCESS = resolve(import.meta.dirname, '../../testing/derivative-process.ts');
const SEED = 4_711;
const LENGTH_SECONDS = 60;

describe('after kill −9 of the relay', () => {
  let dataDir: string;
  let world: DerivativeWorld;

  beforeEach(async () => {
    dataDir = await mkdtemp(join(tmpdir(), 'proofcast-killed-'));
    world = await DerivativeWorld.open({ dataDir });
  });
  afterEach(async () => {
    await world.close();
    await rm(dataDir, { recursive: true, force: true });
  });

  test('[D10] its ffmpeg ends, what it has left is removed, and the derivative is made after all', async () => {
    const clip = join(dataDir, 'clip.webm');
    const source = ['-f', 'lavfi', '-i', `testsrc2=s=64x36:r=2:d=${LENGTH_SECONDS}`];
    await makeWebm(clip, [...source, '-c:v', 'libvpx', '-deadline', 'realtime']);
    const recording = await world.recording([{ path: clip, durationMs: LENGTH_SECONDS * 1000 }]);
    const before = await hashesOf(recording.mediaPaths);
    const slowFfmpeg = await fakeFfmpeg(dataDir, 'ambles', 'libx264');
    const args = [PROCESS, dataDir, slowFfmpeg, recording.companyId, recording.recordingId];
    const random = seededRandom(SEED);
    for (let kills = 0; kills < 3; kills += 1) {
      await world.close();
      const child = spawn(process.execPath, args, { stdio: 'inherit' });
      const orphan = await untilEncoding(child, world.recordingsDir);
      await new Promise((done) => setTimeout(done, random.integer(0, 500)));
      child.kill('SIGKILL');
      await once(child, 'exit');
      expect(await isEncoder(orphan), `seed ${SEED}`).toBe(true);
      const killedAtMs = performance.now();
      world = await DerivativeWorld.open({ dataDir });
      while (await isEncoder(orphan)) await aMoment();
      // By itself it would have gone on for as long as the recording is.
      expect(performance.now() - killedAtMs).toBeLessThan((LENGTH_SECONDS * 1000) / 2);
      expect(await world.leftIn()).toEqual([]);
      const row = { state: 'waiting', progress: 0, failure: null, sizeBytes: null };
      expect(await world.derivativeOf(recording.recordingId, 'mp4')).toEqual({ kind: 'mp4', ...row });
    }
    await finish(recording);
    expect(await hashesOf(recording.mediaPaths)).toEqual(before);
  }, 90_000);

  async function finish(recording: MadeRecording): Promise<void> {
    world.derivatives.start();
    const wanted = await world.until(
      recording.recordingId,
      'mp4',
      ({ state }) => state === 'done' || state === 'failed',
    );
    expect(wanted).toMatchObject({ state: 'done', failure: null });
    await world.derivatives.whenIdle();
    expect((await packetTimes(await world.pathOf(recording, 'mp4'))).length).toBe(2 * LENGTH_SECONDS);
  }

  test('[D10] nobody else who looks at what is left is disturbed', async () => {
    const left = join(world.recordingsDir, '.derivatives', 'something');
    await mkdir(left, { recursive: true });
    await writeFile(join(left, 'half.mp4'), 'half a file');
    const onlooker = spawn('sleep', ['1000'], { cwd: left });
    try {
      await once(onlooker, 'spawn');
      await removeLeftovers(world.recordingsDir);
      expect(onlooker.exitCode).toBeNull();
      expect(onlooker.signalCode).toBeNull();
      expect(await world.leftIn()).toEqual([]);
    } finally {
      onlooker.kill('SIGKILL');
    }
  });
});

/** Resolves with the process that encodes, once there is one. */
async function untilEncoding(child: ChildProcess, recordingsDir: string): Promise<number> {
  for (;;) {
    if (child.exitCode !== null) throw new Error(`The process ended with code ${child.exitCode}.`);
    for (const pid of await programsBelow(recordingsDir)) if (await isEncoder(pid)) return pid;
    await aMoment();
  }
}

async function isEncoder(pid: number): Promise<boolean> {
  const commandLine = await readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '');
  return commandLine.includes('libx264');
}
