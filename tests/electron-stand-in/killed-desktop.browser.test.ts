/**
 * kill −9 of the page and of the main process of the real desktop app, at seeded random moments of the start of a
 * share, in its course and while it stops. What is demanded comes from a tap between app and relay: every chunk that
 * the relay has ever confirmed is in the recording, once and unaltered; one share is one recording; and each end of an
 * epoch says why.
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { Id } from '../../shared/src/index.ts';
import { freshSeed, seededRandom, type Random } from '../../shared/testing/random.ts';
import { TestClient } from '../../relay/testing/test-client.ts';
import { DesktopDriver } from '../harness/desktop-driver.ts';
import { IngestTap } from '../harness/ingest-tap.ts';
import { readOriginalChunks } from '../harness/rebuilt-recording.ts';
import { waitForSealed } from '../harness/sealed-recording.ts';
import { startServices, type Services } from '../harness/services.ts';
import { startXvfb, type Xvfb } from './xvfb.ts';

/** When, within a phase of a share, the process is killed. The phases themselves take longer on a busy machine. */
const START_MS = [0, 2_500] as const;
const STEADY_MS = [0, 2_500] as const;
const STOP_MS = [0, 400] as const;

/** Ten starts of the app, each with a browser, on a machine that has other things to do. */
const KILLS_TIMEOUT_MS = 400_000;

/** Three shares with a kill in each phase, and one more in the course of the last: ten kills. */
const SHARES = [{ steadyKills: 1 }, { steadyKills: 1 }, { steadyKills: 2 }] as const;

let folder: string;
let services: Services;
/** A screen on which nothing moves: what is recorded is of no interest here, and leaves the machine to the app. */
let screen: Xvfb;
let tap: IngestTap;
let admin: TestClient;
let desktop: DesktopDriver;
let random: Random;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'proofcast-killed-'));
  [services, screen] = await Promise.all([startServices(), startXvfb({ width: 640, height: 360 })]);
  tap = new IngestTap(services.relay.url);
  await tap.mend();
  admin = new TestClient(services.relay.url);
  await admin.call('signIn', { body: services.admin });
});

afterAll(async () => {
  await tap?.cut();
  await Promise.all([screen?.close(), services?.close()]);
  await rm(folder, { recursive: true, force: true });
});

beforeEach(async ({ task }) => {
  desktop = await launch(task.id);
  const { code } = await admin.call('createEnrolmentCode', { body: { deviceName: task.name.slice(0, 100) } });
  await desktop.enrol(tap.url, code);
});
afterEach(() => desktop?.close());

const launch = (name: string) =>
  DesktopDriver.launch({ display: screen.display, userDataDir: join(folder, name) });
const within = ([fromMs, toMs]: readonly [number, number]) => wait(random.integer(fromMs, toMs));

/** The recordings that were begun since `before`, of which the relay has at least one chunk. */
const recordingsSince = (before: ReadonlySet<Id>): Id[] =>
  [...tap.recordings].filter(([id, { hashes }]) => !before.has(id) && hashes.size > 0).map(([id]) => id);

/** Asserts all that must be true of the one recording of a share; returns why its epochs have ended, in order. */
async function judge(before: ReadonlySet<Id>): Promise<string[]> {
  const [recordingId, ...others] = recordingsSince(before);
  expect(others).toEqual([]);
  expect(recordingId).toBeDefined();
  if (!recordingId) return [];
  const tapped = tap.recordings.get(recordingId);
  await waitForSealed(admin, recordingId);
  const chunks = await readOriginalChunks(admin, recordingId);
  expect(tapped?.conflicts).toEqual([]);
  expect(chunks.length).toBeGreaterThanOrEqual(tapped?.durableCount ?? 0);
  // What went over the wire is what is there, number by number, to the last.
  expect(chunks.map(({ sequence }) => sequence)).toEqual([...chunks.keys()]);
  expect(chunks.map(({ payloadSha256 }) => payloadSha256)).toEqual(
    chunks.map(({ sequence }) => tapped?.hashes.get(sequence)),
  );
  const { gaps, isComplete } = await admin.call('recording', { params: { recordingId } });
  expect(isComplete).toBe(true);
  expect(gaps.filter(({ reason }) => reason !== 'publisher-crashed')).toEqual([]);
  const ends = chunks.flatMap(({ event }) => (event?.type === 'epoch-ended' ? [event.data.reason] : []));
  const lastOfEpochs = chunks.filter(({ epoch }, index) => epoch !== chunks[index + 1]?.epoch);
  expect(lastOfEpochs.map(({ event }) => event?.type)).toEqual(ends.map(() => 'epoch-ended'));
  return ends;
}

describe.each([freshSeed()])('kill −9 of the page, seed %d', (seed) => {
  beforeEach(() => {
    random = seededRandom(seed);
  });

  it('[U2] ten times in three shares loses nothing that was confirmed, and leaves three recordings', async () => {
    for (const { steadyKills } of SHARES) {
      const before = new Set(tap.recordings.keys());
      await desktop.clickStart();
      await within(START_MS);
      await desktop.app.killRenderer();
      await desktop.goOnOrStart();
      for (let kill = 0; kill < steadyKills; kill++) {
        await desktop.waitForMoreDurableBytes();
        await within(STEADY_MS);
        await desktop.app.killRenderer();
        await desktop.waitForGoingOn();
      }
      await desktop.waitForMoreDurableBytes();
      await desktop.clickStop();
      await within(STOP_MS);
      await desktop.app.killRenderer();
      // When the click was lost with the page, the share goes on until the person clicks again.
      if (await desktop.isSharing()) await desktop.clickStop();
      await desktop.waitForRecordingState('finished');
      const ends = await judge(before);
      expect(ends.filter((reason) => reason === 'page-crashed').length).toBeGreaterThanOrEqual(steadyKills);
      expect(ends.filter((reason) => reason !== 'page-crashed' && reason !== 'stopped')).toEqual([]);
    }
  });
});

describe.each([freshSeed()])('kill −9 of the main process, seed %d', (seed) => {
  beforeEach(() => {
    random = seededRandom(seed);
  });

  it(
    '[U1] [U3] ten times in three shares loses nothing that was confirmed, and leaves three recordings',
    { timeout: KILLS_TIMEOUT_MS },
    async ({ task }) => {
      const killAndStart = async (): Promise<void> => {
        const killed = desktop.app;
        const isCleanedUp = killed.kill();
        // The next run begins while the browser of the one before is still being cleared away.
        await killed.exited;
        desktop = await launch(task.id);
        await isCleanedUp;
      };
      for (const { steadyKills } of SHARES) {
        const before = new Set(tap.recordings.keys());
        await desktop.clickStart();
        await within(START_MS);
        await killAndStart();
        // Whether there was a chunk on the disk yet decides whether there is anything to resume.
        await desktop.resumeOrStart();
        for (let kill = 0; kill < steadyKills; kill++) {
          await desktop.waitForMoreDurableBytes();
          await within(STEADY_MS);
          await killAndStart();
          await desktop.resume();
        }
        await desktop.waitForMoreDurableBytes();
        await desktop.clickStop();
        await within(STOP_MS);
        await killAndStart();
        await desktop.declineResumptionIfOffered();
        const [recordingId] = recordingsSince(before);
        await desktop.waitForUpload(recordingId ?? '');
        const ends = await judge(before);
        expect(ends.filter((reason) => reason === 'app-crashed').length).toBeGreaterThanOrEqual(steadyKills);
        expect(ends.filter((reason) => reason !== 'app-crashed' && reason !== 'stopped')).toEqual([]);
      }
    },
  );
});
