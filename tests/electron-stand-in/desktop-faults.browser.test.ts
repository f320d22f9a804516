/**
 * The real desktop app when its page or its main process is killed, at seeded random moments of the start of a share, in
 * its course and while it stops; and when its network fails for a moment, and for a minute. What is demanded comes from a
 * tap between app and relay: every chunk that the relay has ever confirmed is in the recording, once and unaltered; one
 * share is one recording; and each end of an epoch says why.
 *
 * Most of this is waiting, so it is done side by side, each with an app of its own.
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Id } from '../../shared/src/index.ts';
import { freshSeed, seededRandom, type Random } from '../../shared/testing/random.ts';
import { TestClient } from '../../relay/testing/test-client.ts';
import type { TappedRecording } from '../harness/ingest-tap.ts';
import { readOriginalChunks, type OriginalChunk } from '../harness/rebuilt-recording.ts';
import { waitForRecording, waitForSealed } from '../harness/sealed-recording.ts';
import { startServices, type Services } from '../harness/services.ts';
import { TappedDesk } from '../harness/tapped-desk.ts';
import { startXvfb, type Xvfb } from './xvfb.ts';

/** When, within a phase of a share, the process is killed. The phases themselves take longer on a busy machine. */
const START_MS = [0, 2_500] as const;
const STEADY_MS = [0, 2_500] as const;
const STOP_MS = [0, 400] as const;
/** A kill in each phase of three shares, and one more in the course of the last: ten. */
const SHARES = [{ steadyKills: 1 }, { steadyKills: 1 }, { steadyKills: 2 }] as const;

/** Less than a minute, and more than the start of an app takes. */
const GRACE_MS = 10_000;
const CUT_MS = 60_000;
/** What a slice may take from the recorder to the relay, on a busy machine. */
const SLICE_TOLERANCE_MS = 6_000;
/** Several apps, each with a browser, on a machine that has other things to do. */
const TIMEOUT_MS = 400_000;

let folder: string;
let services: Services;
/** A screen on which nothing moves: what is recorded is of no interest here, and leaves the machine to the apps. */
let screen: Xvfb;
let admin: TestClient;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'proofcast-faults-'));
  [services, screen] = await Promise.all([
    startServices({ RECONNECT_GRACE_MS: String(GRACE_MS) }),
    startXvfb({ width: 640, height: 360 }),
  ]);
  admin = new TestClient(services.relay.url);
  await admin.call('signIn', { body: services.admin });
});

afterAll(async () => {
  await Promise.all([screen?.close(), services?.close()]);
  await rm(folder, { recursive: true, force: true });
});

/** Does it at a desk that exists as long as that takes. */
async function atDesk(name: string, doIt: (desk: TappedDesk) => Promise<void>): Promise<void> {
  const desk = await TappedDesk.open({ display: screen.display, admin, name, userDataDir: folder });
  try {
    await doIt(desk);
  } finally {
    await desk.close();
  }
}

/** The one recording that was begun since there were those of `before`. */
function theRecording(desk: TappedDesk, before: ReadonlySet<Id>): [Id, TappedRecording] {
  const [only, ...others] = desk.recordingsSince(before);
  expect(others).toEqual([]);
  if (!only) throw new Error('Nothing of the share has reached the relay.');
  return only;
}

/** Asserts that the sealed recording is complete, and all that went over the wire, number by number to the last. */
async function judge([recordingId, tapped]: [Id, TappedRecording]): Promise<{
  chunks: OriginalChunk[];
  gapReasons: string[];
  durationMs: number;
}> {
  const { durationMs, gaps, isComplete } = await waitForSealed(admin, recordingId);
  expect(isComplete).toBe(true);
  const chunks = await readOriginalChunks(admin, recordingId);
  expect(tapped.conflicts).toEqual([]);
  expect(chunks.length).toBeGreaterThanOrEqual(tapped.durableCount);
  expect(chunks.map(({ sequence }) => sequence)).toEqual([...chunks.keys()]);
  expect(chunks.map(({ payloadSha256 }) => payloadSha256)).toEqual(
    chunks.map(({ sequence }) => tapped.hashes.get(sequence)),
  );
  return { chunks, gapReasons: gaps.map(({ reason }) => reason), durationMs: durationMs ?? 0 };
}

/** As `judge`, of a share that was killed; returns why its epochs have ended, in order. */
async function judgeKilled(recording: [Id, TappedRecording]): Promise<string[]> {
  const { chunks, gapReasons } = await judge(recording);
  expect(gapReasons.filter((reason) => reason !== 'publisher-crashed')).toEqual([]);
  const ends = chunks.flatMap(({ event }) => (event?.type === 'epoch-ended' ? [event.data.reason] : []));
  const lastOfEpochs = chunks.filter(({ epoch }, index) => epoch !== chunks[index + 1]?.epoch);
  expect(lastOfEpochs.map(({ event }) => event?.type)).toEqual(ends.map(() => 'epoch-ended'));
  return ends;
}

const within = (random: Random, [fromMs, toMs]: readonly [number, number]) =>
  wait(random.integer(fromMs, toMs));

async function sharePageKilled(
  desk: TappedDesk,
  { steadyKills, random }: { steadyKills: number; random: Random },
): Promise<void> {
  const { desktop, tap } = desk;
  const before = new Set(tap.recordings.keys());
  await desktop.clickStart();
  await within(random, START_MS);
  await desktop.app.killRenderer();
  await desktop.goOnOrStart();
  for (let kill = 0; kill < steadyKills; kill++) {
    await desktop.waitForMoreDurableBytes();
    await within(random, STEADY_MS);
    await desktop.app.killRenderer();
    await desktop.waitForGoingOn();
  }
  await desktop.waitForMoreDurableBytes();
  await desktop.clickStop();
  await within(random, STOP_MS);
  await desktop.app.killRenderer();
  // When the click was lost with the page, the share goes on until the person clicks again.
  if (await desktop.isSharing()) await desktop.clickStop();
  await desktop.waitForRecordingState('finished');
  const ends = await judgeKilled(theRecording(desk, before));
  expect(ends.filter((reason) => reason === 'page-crashed').length).toBeGreaterThanOrEqual(steadyKills);
  expect(ends.filter((reason) => reason !== 'page-crashed' && reason !== 'stopped')).toEqual([]);
}

async function shareMainKilled(
  desk: TappedDesk,
  { steadyKills, random }: { steadyKills: number; random: Random },
): Promise<void> {
  await desk.desktop.clickStart();
  await within(random, START_MS);
  await desk.killAndStart();
  // Whether there was a chunk on the disk yet decides whether there is anything to resume.
  await desk.desktop.resumeOrStart();
  for (let kill = 0; kill < steadyKills; kill++) {
    await desk.desktop.waitForMoreDurableBytes();
    await within(random, STEADY_MS);
    await desk.killAndStart();
    await desk.desktop.resume();
  }
  await desk.desktop.waitForMoreDurableBytes();
  await desk.desktop.clickStop();
  await within(random, STOP_MS);
  await desk.killAndStart();
  await desk.desktop.declineResumptionIfOffered();
  const recording = theRecording(desk, new Set());
  await desk.desktop.waitForUpload(recording[0]);
  const ends = await judgeKilled(recording);
  expect(ends.filter((reason) => reason === 'app-crashed').length).toBeGreaterThanOrEqual(steadyKills);
  expect(ends.filter((reason) => reason !== 'app-crashed' && reason !== 'stopped')).toEqual([]);
}

/** The share of a network that failed: one epoch without a gap. Returns its length. */
async function judgeCut(recording: [Id, TappedRecording]): Promise<number> {
  const { chunks, gapReasons, durationMs } = await judge(recording);
  expect(chunks.flatMap(({ event }) => (event ? [event.type] : []))).toEqual([
    'epoch-started',
    'epoch-ended',
  ]);
  expect(gapReasons).toEqual([]);
  return durationMs;
}

async function caughtUp({ desktop }: TappedDesk): Promise<number> {
  await desktop.waitForRecordingState('uploading');
  await desktop.waitForState(
    ({ recording }) => recording.kind === 'uploading' && recording.backlogBytes === 0,
  );
  return performance.now();
}

/** Seconds of capture that the relay got in each second after the network was there again. */
function catchUpRate({ welcomes, captureTimesUs }: TappedRecording, doneAtMs: number): number {
  const { atMs, nextSequence } = welcomes.at(-1)!;
  const times = [...captureTimesUs].filter(([sequence]) => sequence >= nextSequence).map(([, time]) => time);
  const capturedMs = (Math.max(...times) - Math.min(...times)) / 1000;
  return capturedMs / (doneAtMs - atMs);
}

// One suite, because only the tests of one run side by side.
describe.each([freshSeed()])('the desktop app, seed %d', (seed) => {
  it.concurrent(
    '[I13] whose network is cut for a minute, longer than the relay waits, loses nothing: live all the time, the same recording after it',
    { timeout: TIMEOUT_MS },
    ({ annotate }) =>
      atDesk('cut for a minute', async (desk) => {
        const { desktop, tap } = desk;
        await desktop.shareScreen();
        await desktop.waitForMoreDurableBytes();
        const sinceMs = performance.now();
        await tap.cut();
        await desktop.waitForRecordingState('reconnecting');
        const [recordingId, tapped] = theRecording(desk, new Set());
        await waitForRecording(admin, recordingId, ({ state }) => state === 'provisional');
        await wait(CUT_MS - (performance.now() - sinceMs));
        await desktop.app.page.locator('[data-testid="live-path"][data-state="live"]').waitFor();
        const { length } = tapped.welcomes;
        await tap.mend();
        await tap.until(() => tapped.welcomes.length > length);
        const rate = catchUpRate(tapped, await caughtUp(desk));
        await annotate(`caught up with a minute at ${rate.toFixed(0)} × real time`);
        expect(rate).toBeGreaterThan(4);
        await desktop.waitForMoreDurableBytes();
        await desktop.stopSharing();
        expect(await judgeCut([recordingId, tapped])).toBeGreaterThan(CUT_MS - SLICE_TOLERANCE_MS);
      }),
  );

  it.concurrent('whose network is cut for a second loses nothing', { timeout: TIMEOUT_MS }, () =>
    atDesk('cut for a second', async (desk) => {
      const { desktop, tap } = desk;
      await desktop.shareScreen();
      await desktop.waitForMoreDurableBytes();
      await tap.cut();
      await desktop.waitForRecordingState('reconnecting');
      await wait(1_000);
      await tap.mend();
      await caughtUp(desk);
      await desktop.waitForMoreDurableBytes();
      await desktop.stopSharing();
      await judgeCut(theRecording(desk, new Set()));
    }),
  );

  it.concurrent(
    '[U2] whose page is killed, ten times in three shares, loses nothing that was confirmed, and leaves three recordings',
    { timeout: TIMEOUT_MS },
    () =>
      atDesk('page killed', async (desk) => {
        const random = seededRandom(seed);
        for (const { steadyKills } of SHARES) await sharePageKilled(desk, { steadyKills, random });
      }),
  );

  // Together ten times.
  it.concurrent.each(SHARES.map((share, index) => ({ ...share, index })))(
    '[U1] [U3] whose main process is killed in each phase of share $index, $steadyKills × in its course, loses nothing that was confirmed, and leaves one recording',
    { timeout: TIMEOUT_MS },
    ({ steadyKills, index }) =>
      atDesk(`main process killed ${index}`, (desk) =>
        shareMainKilled(desk, { steadyKills, random: seededRandom(seed + 1 + index) }),
      ),
  );
});
