/**
 * Sound from a device of the person who shares, to people who watch by WebRTC and through the relay, and into the
 * recording; then the share falls silent and goes on. The device beeps once a second.
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Id } from '@proofcast/shared';
import type { Browser, Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { TestClient } from '../../relay/testing/test-client.ts';
import { launchViewer } from '../harness/chromium.ts';
import { openRecording, openWall, tileOf } from '../harness/dashboard-driver.ts';
import { DesktopDriver } from '../harness/desktop-driver.ts';
import { look } from '../harness/looks.ts';
import { readOriginalChunks } from '../harness/rebuilt-recording.ts';
import { waitForSealed } from '../harness/sealed-recording.ts';
import { startServices, type Services } from '../harness/services.ts';
import { watchStamps } from '../harness/stamp-readers.ts';
import { openStampedScreen, type StampedScreen } from '../harness/stamped-screen.ts';
import { BEHIND_PROXY_ARGUMENTS, startStrictProxy, type StrictProxy } from '../harness/strict-proxy.ts';

const TIMEOUT_MS = 60_000;
const STAGE = '[data-testid="focus-stage"]';
const VIDEO = `${STAGE} [data-testid="video"]`;
/** Of full scale; the beeps are louder, and silence is nothing. */
const AUDIBLE = 0.02;

let folder: string;
let services: Services;
let screen: StampedScreen;
let desktop: DesktopDriver;
let proxy: StrictProxy;
let browsers: Record<'webrtc' | 'relay', Browser>;
let admin: TestClient;
let streamId: Id;
let recordingId: Id;
const pages: Page[] = [];

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'proofcast-sound-'));
  [services, screen] = await Promise.all([startServices(), openStampedScreen()]);
  admin = new TestClient(services.relay.url);
  await admin.call('signIn', { body: services.admin });
  const { code } = await admin.call('createEnrolmentCode', { body: { deviceName: 'Desk 5' } });
  desktop = await DesktopDriver.launch({ display: screen.display, userDataDir: join(folder, 'desktop') });
  await desktop.enrol(services.relay.url, code);
  proxy = await startStrictProxy([services.relay.url, services.sfu.url].map((url) => new URL(url).host));
  const [webrtc, relay] = await Promise.all([
    launchViewer(),
    launchViewer({ args: BEHIND_PROXY_ARGUMENTS, proxy: { server: proxy.url, bypass: '<-loopback>' } }),
  ]);
  browsers = { webrtc, relay };
});

afterAll(async () => {
  await Promise.all(Object.values(browsers ?? {}).map((browser) => browser.close()));
  await desktop?.close();
  await Promise.all([proxy, screen, services].map((each) => each?.close()));
  await rm(folder, { recursive: true, force: true });
});

const stream = async () => (await admin.call('streams')).streams[0]!;
const soundButton = (page: Page) => page.getByTestId('sound');

/** The loudest sample that the video gives in a little more than a second, of full scale. */
function loudness(page: Page): Promise<number> {
  return page.locator(VIDEO).evaluate(async (element) => {
    const video = element as HTMLVideoElement & { captureStream(): MediaStream };
    const tracks = video.captureStream().getAudioTracks();
    if (video.muted || tracks.length === 0) return 0;
    const context = new AudioContext();
    const analyser = context.createAnalyser();
    analyser.fftSize = 8_192;
    context.createMediaStreamSource(new MediaStream(tracks)).connect(analyser);
    await context.resume();
    const samples = new Float32Array(analyser.fftSize);
    let loudest = 0;
    const endMs = performance.now() + 1_200;
    while (performance.now() < endMs) {
      await new Promise(requestAnimationFrame);
      analyser.getFloatTimeDomainData(samples);
      for (const sample of samples) loudest = Math.max(loudest, Math.abs(sample));
    }
    await context.close();
    return loudest;
  });
}

describe('a share with sound', () => {
  it('is silent unless the person chooses a device, and shows that it hears it', async () => {
    const { page } = desktop.app;
    await page.getByTestId('sound-picker').getByText('No sound').waitFor();
    await desktop.chooseSound(/Fake Default Audio Input/);
    await desktop.shareScreen();
    const card = page.getByTestId('sound');
    await card.getByText('Fake Default Audio Input').waitFor();
    await expect
      .poll(() => card.getAttribute('data-level').then(Number), { timeout: TIMEOUT_MS })
      .toBeGreaterThan(20);
    await expect.poll(async () => (await stream()).hasSound, { timeout: TIMEOUT_MS }).toBe(true);
    ({ streamId } = await stream());
    recordingId = (await stream()).recordingId!;
  });

  it.each(['webrtc', 'relay'] as const)('is heard by %s, only when somebody wants to', async (path) => {
    const page = await openWall(browsers[path], services.relay.url, services.admin);
    pages.push(page);
    await tileOf(page, streamId).waitForPath(path);
    await tileOf(page, streamId).open();
    await page.locator(`${STAGE}[data-path="${path}"]`).waitFor({ timeout: TIMEOUT_MS });
    await soundButton(page).waitFor();
    expect(await page.locator(VIDEO).evaluate((video) => (video as HTMLVideoElement).muted)).toBe(true);
    await soundButton(page).click();
    await expect.poll(() => loudness(page), { timeout: TIMEOUT_MS }).toBeGreaterThan(AUDIBLE);
    if (path === 'webrtc') await look(page, 'focus-sound');
    await page.keyboard.press('m');
    expect(await loudness(page)).toBe(0);
    await page.keyboard.press('m');
    await expect.poll(() => loudness(page), { timeout: TIMEOUT_MS }).toBeGreaterThan(AUDIBLE);
  });

  it('[T9] falls silent when the person wants it so, and the picture goes on by the same path', async () => {
    const { page } = desktop.app;
    await page.getByTestId('change-source').click();
    await desktop.chooseSound('No sound');
    await page.getByTestId('confirm-source').click();
    await expect.poll(async () => (await stream()).hasSound, { timeout: TIMEOUT_MS }).toBe(false);
    expect((await stream()).recordingId).toBe(recordingId);
    await page.getByTestId('sound').waitFor({ state: 'detached' });
    const changedMs = Date.now();
    for (const [index, path] of (['webrtc', 'relay'] as const).entries()) {
      const viewer = pages[index]!;
      await watchStamps(viewer, VIDEO, {
        isEnough: (stamps) => stamps.some(({ stampMs }) => stampMs > changedMs),
        timeoutMs: TIMEOUT_MS,
      });
      await viewer.locator(`${STAGE}[data-path="${path}"]`).waitFor();
      await soundButton(viewer).waitFor({ state: 'detached' });
      await expect.poll(() => loudness(viewer), { timeout: TIMEOUT_MS }).toBeLessThan(AUDIBLE);
    }
  });

  it('is in the recording, which says from when to when', async () => {
    await desktop.stopSharing();
    const { parts } = await waitForSealed(admin, recordingId);
    expect(parts).toHaveLength(2);
    const events = (await readOriginalChunks(admin, recordingId)).flatMap(({ event }) => event ?? []);
    const begun = events.flatMap((event) => (event.type === 'epoch-started' ? [event.data] : []));
    expect(begun.map(({ hasAudio }) => hasAudio)).toEqual([true, false]);
    const [page] = pages as [Page];
    await openRecording(page, services.relay.url, recordingId);
    const video = page.getByTestId('recording-video');
    await page.getByTestId('play').click();
    const heardBytes = () =>
      video.evaluate(
        (element) => (element as { webkitAudioDecodedByteCount?: number }).webkitAudioDecodedByteCount ?? 0,
      );
    await expect.poll(heardBytes, { timeout: TIMEOUT_MS }).toBeGreaterThan(0);
    expect(await video.evaluate((element) => (element as HTMLVideoElement).muted)).toBe(false);
  });
});
