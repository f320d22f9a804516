/**
 * The real desktop app with a page whose platform misbehaves: sources that are changed while the last slices of the one
 * before hang, a recorder that yields garbage, a share that is longer than one recording may be, slices that never come.
 * There is no SFU: what is told here is about capturing and recording.
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Id } from '@proofcast/shared';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { TestClient } from '../../relay/testing/test-client.ts';
import { startTestRelay, type TestRelay } from '../../relay/testing/test-relay.ts';
import { DesktopDriver } from '../harness/desktop-driver.ts';
import { readOriginalChunks } from '../harness/rebuilt-recording.ts';
import { waitForSealed } from '../harness/sealed-recording.ts';
import { startXvfb, type Xvfb } from './xvfb.ts';

/** As in the renderer's config: how long the last slices may take. */
const LAST_SLICES_TIMEOUT_MS = 10_000;

/** Of one recording: a few seconds when somebody watches, and more than the other shares here have. */
const MAX_CHUNKS = 60;

interface Probe {
  readonly tracks: MediaStreamTrack[];
  /** Slices of the recorder are not read before it resolves. */
  held: Promise<void> | undefined;
  release: () => void;
  /** The next slice is no webm. */
  isGarbageNext: boolean;
}

declare global {
  interface Window {
    probe: Probe;
  }
}

let folder: string;
let relay: TestRelay;
let xvfb: Xvfb;
let admin: TestClient;
let desktop: DesktopDriver;
let known: Set<Id>;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'proofcast-share-faults-'));
  [relay, xvfb] = await Promise.all([
    startTestRelay({
      env: { SFU_URL: 'ws://127.0.0.1:9' },
      mediaLimits: { maxChunksPerRecording: MAX_CHUNKS },
    }),
    startXvfb({ width: 640, height: 360 }),
  ]);
  admin = await relay.signInAdmin();
  const { code } = await admin.call('createEnrolmentCode', { body: { deviceName: 'Faulty' } });
  desktop = await DesktopDriver.launch({ display: xvfb.display, userDataDir: join(folder, 'desktop') });
  await desktop.enrol(relay.relay.url, code);
  await desktop.app.page.evaluate(() => {
    const probe: Probe = { tracks: [], held: undefined, release: () => undefined, isGarbageNext: false };
    const { mediaDevices } = navigator;
    const capture = mediaDevices.getDisplayMedia.bind(mediaDevices);
    mediaDevices.getDisplayMedia = async (constraints) => {
      const stream = await capture(constraints);
      probe.tracks.push(...stream.getTracks());
      return stream;
    };
    Blob.prototype.arrayBuffer = async function () {
      const isSlice = this.type.startsWith('video/');
      if (isSlice) await probe.held;
      if (!isSlice || !probe.isGarbageNext) return new Response(this).arrayBuffer();
      probe.isGarbageNext = false;
      return new Uint8Array(this.size).fill(1).buffer;
    };
    window.probe = probe;
  });
});

beforeEach(async () => {
  known = new Set((await recordings()).map(({ recordingId }) => recordingId));
  await desktop.app.page.evaluate(() => window.probe.tracks.splice(0));
});

/** What a test that failed has left running. */
afterEach(async () => {
  await releaseSlices();
  if (!(await desktop.isSharing())) return;
  await desktop.clickStop();
  await desktop.app.page.getByTestId('start-sharing').waitFor();
});

afterAll(async () => {
  await desktop?.close();
  await Promise.all([xvfb?.close(), relay?.close()]);
  await rm(folder, { recursive: true, force: true });
});

const recordings = async () => (await admin.call('recordings')).recordings;
/** Those of this share, the oldest first. */
const ofThisShare = async (): Promise<Id[]> =>
  (await recordings())
    .filter(({ recordingId }) => !known.has(recordingId))
    .toSorted((a, b) => a.startedAtMs - b.startedAtMs)
    .map(({ recordingId }) => recordingId);

const trackStates = () =>
  desktop.app.page.evaluate(() => window.probe.tracks.map(({ readyState }) => readyState));

async function share(): Promise<void> {
  await desktop.clickStart();
  await desktop.waitForRecordingState('uploading');
  // After the event that begins the epoch the next chunk is a slice.
  await desktop.waitForMoreDurableBytes();
  await desktop.waitForMoreDurableBytes();
}

async function changeSource(): Promise<void> {
  const { page } = desktop.app;
  await page.getByTestId('change-source').click();
  await page.getByRole('dialog').getByTestId('source').first().click();
  await page.getByTestId('confirm-source').click();
  await page.getByRole('dialog').waitFor({ state: 'detached' });
}

async function holdSlices(): Promise<void> {
  await desktop.app.page.evaluate(() => {
    const held = Promise.withResolvers<void>();
    Object.assign(window.probe, { held: held.promise, release: held.resolve });
  });
}

async function releaseSlices(): Promise<void> {
  await desktop.app.page.evaluate(() => {
    window.probe.held = undefined;
    window.probe.release();
  });
}

/** Why the epochs of a sealed recording have ended, in order. */
async function endsOf(recordingId: Id): Promise<string[]> {
  expect(await waitForSealed(admin, recordingId)).toMatchObject({ isComplete: true, failure: null });
  const chunks = await readOriginalChunks(admin, recordingId);
  return chunks.flatMap(({ event }) => (event?.type === 'epoch-ended' ? [event.data.reason] : []));
}

describe('the desktop app', () => {
  it('[U2] captures the last of two choices alone when one overtakes the other, and nothing after its stop', async () => {
    await share();
    await holdSlices();
    await changeSource();
    await expect.poll(trackStates).toHaveLength(2);
    await changeSource();
    await expect.poll(trackStates).toHaveLength(3);
    await releaseSlices();
    await expect.poll(trackStates).toEqual(['ended', 'ended', 'live']);
    await desktop.waitForMoreDurableBytes();
    await desktop.stopSharing();
    expect(await trackStates()).toEqual(['ended', 'ended', 'ended']);
    const [recordingId, ...others] = await ofThisShare();
    expect(others).toEqual([]);
    expect(await endsOf(recordingId!)).toEqual(['source-changed', 'stopped']);
  });

  it('[U11] goes on in another recording when the relay refuses what its recorder has yielded', async () => {
    await share();
    await desktop.app.page.evaluate(() => {
      window.probe.isGarbageNext = true;
    });
    await desktop.waitForState(({ recording }) => recording.kind === 'failed');
    const [refused] = await ofThisShare();
    await desktop.waitForState(
      ({ recording }) =>
        recording.kind === 'uploading' &&
        recording.recordingId !== refused &&
        recording.durableBytes > 10_000,
    );
    await desktop.stopSharing();
    const [, next, ...others] = await ofThisShare();
    expect(others).toEqual([]);
    expect(await endsOf(next!)).toEqual(['stopped']);
    const { uploads } = await desktop.state();
    expect(uploads.filter(({ state }) => state.kind === 'refused')).toMatchObject([
      { recordingId: refused, state: { reason: { code: expect.stringMatching(/^WEBM_/) } } },
    ]);
    await desktop.app.page.evaluate(
      (recordingId) => window.proofcast.request('discardRecording', { recordingId }),
      refused!,
    );
  });

  it('[U12] goes on in another recording when the relay takes little more of the one it has', async () => {
    await share();
    const { streams } = await admin.call('streams');
    const params = { streamId: streams[0]!.streamId };
    // Somebody watches, so that slices come several times a second.
    const live = await admin.fetch('streamLive', { params });
    await expect.poll(async () => (await ofThisShare()).length, { timeout: 60_000 }).toBe(2);
    await live.body?.cancel();
    await desktop.waitForMoreDurableBytes();
    await desktop.stopSharing();
    const [first, second] = await ofThisShare();
    expect(await endsOf(first!)).toEqual(['recorder-restarted']);
    expect((await readOriginalChunks(admin, first!)).length).toBeGreaterThan(MAX_CHUNKS * 0.9);
    expect((await endsOf(second!)).at(-1)).toBe('stopped');
    expect((await desktop.state()).backlogBytes).toBe(0);
  });

  it('releases the screen after a while when the last slices do not come', async () => {
    await share();
    await holdSlices();
    const sinceMs = performance.now();
    await desktop.clickStop();
    await desktop.app.page.getByTestId('start-sharing').waitFor({ timeout: 3 * LAST_SLICES_TIMEOUT_MS });
    expect(await trackStates()).toEqual(['ended']);
    expect(performance.now() - sinceMs).toBeGreaterThan(LAST_SLICES_TIMEOUT_MS / 2);
    await releaseSlices();
    await desktop.waitForRecordingState('finished');
    const [recordingId] = await ofThisShare();
    expect(await endsOf(recordingId!)).toEqual(['stopped']);
  });
});
