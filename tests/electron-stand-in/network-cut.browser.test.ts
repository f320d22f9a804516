/**
 * The real desktop app behind a network that fails: for a moment, and for a minute, which is many times as long as the
 * relay keeps a recording open here. No second is lost, and there is one recording.
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { TestClient } from '../../relay/testing/test-client.ts';
import { DesktopDriver } from '../harness/desktop-driver.ts';
import { IngestTap, type TappedRecording } from '../harness/ingest-tap.ts';
import { readOriginalChunks } from '../harness/rebuilt-recording.ts';
import { waitForSealed } from '../harness/sealed-recording.ts';
import { startServices, type Services } from '../harness/services.ts';
import { openStampedScreen, type StampedScreen } from '../harness/stamped-screen.ts';

const GRACE_MS = 3_000;
/** What a slice may take from the recorder to the relay, on a busy machine. */
const SLICE_TOLERANCE_MS = 6_000;

let folder: string;
let services: Services;
let screen: StampedScreen;
let tap: IngestTap;
let admin: TestClient;
let desktop: DesktopDriver;
let before: ReadonlySet<string>;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'proofcast-cut-'));
  [services, screen] = await Promise.all([
    startServices({ RECONNECT_GRACE_MS: String(GRACE_MS) }),
    openStampedScreen(),
  ]);
  tap = new IngestTap(services.relay.url);
  await tap.mend();
  admin = new TestClient(services.relay.url);
  await admin.call('signIn', { body: services.admin });
  const { code } = await admin.call('createEnrolmentCode', { body: { deviceName: 'Far away' } });
  desktop = await DesktopDriver.launch({ display: screen.display, userDataDir: join(folder, 'desktop') });
  await desktop.enrol(tap.url, code);
});

afterAll(async () => {
  await desktop?.close();
  await tap?.cut();
  await Promise.all([screen?.close(), services?.close()]);
  await rm(folder, { recursive: true, force: true });
});

beforeEach(() => {
  before = new Set(tap.recordings.keys());
});

/** The one recording that was begun in this test. */
function theRecording(): [string, TappedRecording] {
  const [only, ...others] = [...tap.recordings].filter(([id]) => !before.has(id));
  if (!only || others.length > 0) throw new Error(`There are ${others.length + (only ? 1 : 0)} recordings.`);
  return only;
}

/** Asserts that the sealed recording is all that was sent, in one epoch without a gap. Returns its length. */
async function judge(): Promise<number> {
  const [recordingId, tapped] = theRecording();
  const { durationMs } = await waitForSealed(admin, recordingId);
  const chunks = await readOriginalChunks(admin, recordingId);
  expect(chunks.map(({ payloadSha256 }) => payloadSha256)).toEqual(
    chunks.map(({ sequence }) => tapped.hashes.get(sequence)),
  );
  expect(chunks.flatMap(({ event }) => (event ? [event.type] : []))).toEqual([
    'epoch-started',
    'epoch-ended',
  ]);
  const { gaps, isComplete } = await admin.call('recording', { params: { recordingId } });
  expect({ gaps, isComplete }).toEqual({ gaps: [], isComplete: true });
  return durationMs ?? 0;
}

/** Seconds of capture that the relay got in each second after the network was there again. */
function catchUpRate({ welcomes, captureTimesUs }: TappedRecording, doneAtMs: number): number {
  const { atMs, nextSequence } = welcomes.at(-1)!;
  const times = [...captureTimesUs].filter(([sequence]) => sequence >= nextSequence).map(([, time]) => time);
  const capturedMs = (Math.max(...times) - Math.min(...times)) / 1000;
  return capturedMs / (doneAtMs - atMs);
}

const caughtUp = async (): Promise<number> => {
  await desktop.waitForRecordingState('uploading');
  await desktop.waitForState(
    ({ recording }) => recording.kind === 'uploading' && recording.backlogBytes === 0,
  );
  return performance.now();
};

describe('a network that fails', () => {
  it('for a second loses nothing', async () => {
    await desktop.shareScreen();
    await desktop.waitForMoreDurableBytes();
    await tap.cut();
    await desktop.waitForRecordingState('reconnecting');
    await wait(1_000);
    await tap.mend();
    await caughtUp();
    await desktop.waitForMoreDurableBytes();
    await desktop.stopSharing();
    await judge();
  });

  it('[I13] for a minute, longer than the relay waits, loses nothing either: live all the time, the same recording after it', async ({
    annotate,
  }) => {
    await desktop.shareScreen();
    await desktop.waitForMoreDurableBytes();
    const sinceMs = performance.now();
    await tap.cut();
    await desktop.waitForRecordingState('reconnecting');
    const [recordingId, tapped] = theRecording();
    await expect
      .poll(async () => (await admin.call('recording', { params: { recordingId } })).state, {
        timeout: 30_000,
      })
      .toBe('provisional');
    await wait(60_000 - (performance.now() - sinceMs));
    await desktop.app.page.locator('[data-testid="live-path"][data-state="live"]').waitFor();
    const { length } = tapped.welcomes;
    await tap.mend();
    await tap.until(() => tapped.welcomes.length > length);
    const rate = catchUpRate(tapped, await caughtUp());
    await annotate(`caught up with a minute at ${rate.toFixed(0)} × real time`);
    expect(rate).toBeGreaterThan(4);
    await desktop.waitForMoreDurableBytes();
    await desktop.stopSharing();
    expect(await judge()).toBeGreaterThan(60_000 - SLICE_TOLERANCE_MS);
  });
});
