/**
 * The main job, end to end: a really captured X screen, the real desktop app on the stand-in for Electron, real
 * services in processes of their own, and people in real browsers who only do what people do.
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Browser, Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { median } from '../bench/benchmark.ts';
import { TestClient } from '../../relay/testing/test-client.ts';
import { TestViewer } from '../../relay/testing/test-viewer.ts';
import { launchViewer } from '../harness/chromium.ts';
import { openWall, signIn, tileOf, type Credentials } from '../harness/dashboard-driver.ts';
import { DesktopDriver } from '../harness/desktop-driver.ts';
import { startServices, type Services } from '../harness/services.ts';
import {
  probeFile,
  readFileFrames,
  readStamp,
  watchStamps,
  type SeenStamp,
} from '../harness/stamp-readers.ts';
import { downloadOnlyRecording, waitForRecording } from '../harness/sealed-recording.ts';
import { openStampedScreen, type StampedScreen } from '../harness/stamped-screen.ts';
import { BEHIND_PROXY_ARGUMENTS, startStrictProxy, type StrictProxy } from '../harness/strict-proxy.ts';

const AUDITOR: Credentials = { email: 'auditor@example.test', password: 'reads what was recorded' };
const VIEWER: Credentials = { email: 'viewer@example.test', password: 'looks at what is live' };

let folder: string;
let services: Services;
let screen: StampedScreen;
let desktop: DesktopDriver;
let browser: Browser;
let strictProxy: StrictProxy;
let restrictedBrowser: Browser;
let admin: TestClient;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'proofcast-journey-'));
  services = await startServices();
  screen = await openStampedScreen();
  admin = new TestClient(services.relay.url);
  await admin.call('signIn', { body: services.admin });
  await admin.call('createUser', { body: { ...AUDITOR, name: 'Audrey', role: 'auditor' } });
  await admin.call('createUser', { body: { ...VIEWER, name: 'Vera', role: 'viewer' } });
  const { code } = await admin.call('createEnrolmentCode', { body: { deviceName: 'Desk 7' } });

  desktop = await DesktopDriver.launch({ display: screen.display, userDataDir: join(folder, 'desktop') });
  await desktop.enrol(services.relay.url, code);

  // The relay and the SFU's signalling may be reached, its media may not: the hardest case, because all looks well.
  const hosts = [services.relay.url, services.sfu.url].map((url) => new URL(url).host);
  strictProxy = await startStrictProxy(hosts);
  [browser, restrictedBrowser] = await Promise.all([
    launchViewer(),
    launchViewer({
      args: BEHIND_PROXY_ARGUMENTS,
      proxy: { server: strictProxy.url, bypass: '<-loopback>' },
    }),
  ]);
});

afterAll(async () => {
  await Promise.all([browser?.close(), restrictedBrowser?.close()]);
  await desktop?.close();
  await Promise.all([strictProxy?.close(), screen?.close(), services?.close()]);
  await rm(folder, { recursive: true, force: true });
});

/** How old pictures are when they are seen, in milliseconds, the middle one of all that were seen. */
function medianAgeMs(seen: readonly SeenStamp[]): number {
  return median(seen.map(({ stampMs, seenAtMs }) => seenAtMs - stampMs));
}

/** Pauses the video, seeks, and resolves when the picture at that time is there. */
async function seek(page: Page, videoSelector: string, timeS: number): Promise<void> {
  await page.evaluate(
    ({ selector, time }) =>
      new Promise<void>((resolve) => {
        const video = document.querySelector<HTMLVideoElement>(selector)!;
        video.pause();
        video.addEventListener('seeked', () => resolve(), { once: true });
        video.currentTime = time;
      }),
    { selector: videoSelector, time: timeS },
  );
}

const stampCount = (count: number) => (seen: readonly SeenStamp[]) => seen.length >= count;

describe('one screen, two paths, one saved recording', () => {
  let streamId: string;
  let startedMs: number;
  let restrictedPage: Page;

  it('the person sharing is told to choose when nothing is chosen, then shares the screen', async () => {
    await desktop.startWithoutSource();
    startedMs = Date.now();
    await desktop.shareScreen();
    const { streams } = await admin.call('streams');
    expect(streams).toHaveLength(1);
    streamId = streams[0]!.streamId;
  });

  it('the admin sees it live through the SFU, with stamps that decode', async ({ annotate }) => {
    const page = await openWall(browser, services.relay.url, services.admin);
    const tile = tileOf(page, streamId);
    await tile.waitForPath('webrtc');
    const seen = await watchStamps(page, tile.video, { isEnough: stampCount(60), timeoutMs: 30_000 });
    const ageMs = medianAgeMs(seen);
    await annotate(`live through the SFU: median age ${ageMs} ms of ${seen.length} pictures`);
    expect(ageMs).toBeLessThan(1000);
    await page.context().close();
  });

  it('a viewer whose network refuses UDP and TCP to the SFU sees it through the relay without a click', async ({
    annotate,
  }) => {
    restrictedPage = await openWall(restrictedBrowser, services.relay.url, VIEWER);
    const tile = tileOf(restrictedPage, streamId);
    await tile.waitForPath('relay');
    const seen = await watchStamps(restrictedPage, tile.video, {
      isEnough: stampCount(40),
      timeoutMs: 30_000,
    });
    const ageMs = medianAgeMs(seen);
    await annotate(`through the relay: median age ${ageMs} ms of ${seen.length} pictures`);
    expect(ageMs).toBeLessThan(5000);
    // It was really tried and really refused, at a media port of the SFU on this machine.
    expect(strictProxy.refused.filter((host) => host.startsWith('127.0.0.1:'))).not.toEqual([]);
  });

  it('[I16] viewers who join and leave neither interrupt each other nor restart the recorder', async () => {
    let isOver = false;
    const watching = watchStamps(restrictedPage, tileOf(restrictedPage, streamId).video, {
      isEnough: () => isOver,
      timeoutMs: 90_000,
    });
    for (let visit = 0; visit < 2; visit++) {
      const page = await openWall(browser, services.relay.url, VIEWER);
      await tileOf(page, streamId).waitForPath('webrtc');
      await page.context().close();
    }
    const secondRestricted = await openWall(restrictedBrowser, services.relay.url, VIEWER);
    await tileOf(secondRestricted, streamId).waitForPath('relay');
    await secondRestricted.context().close();
    isOver = true;

    const seen = await watching;
    const pausesMs = seen.slice(1).map(({ seenAtMs }, index) => seenAtMs - seen[index]!.seenAtMs);
    // Less than the two seconds between keyframes, for which somebody waits whose picture was cut.
    expect(Math.max(...pausesMs)).toBeLessThan(2000);

    const { ticket } = await admin.call('createViewTicket');
    const viewer = new TestViewer(await admin.open('view', { query: { ticket } }));
    viewer.watch(1, streamId);
    // Counted from 0: after all visitors, what is recorded is still the first run of the recorder.
    expect((await viewer.next('epoch')).epoch).toBe(0);
    viewer.socket.terminate();
    expect((await admin.call('recordings')).recordings).toHaveLength(1);
  });

  it('the auditor plays the recording, seeks to the middle and finds the right stamp', async ({
    annotate,
  }) => {
    await restrictedPage.context().close();
    // Not in a moment in which a busy machine captures nothing: what is not captured cannot be recorded.
    const preview = '[data-testid="preview"]';
    const isFresh = (seen: readonly SeenStamp[]) =>
      seen.length > 1 && seen.at(-1)!.seenAtMs - seen.at(-1)!.stampMs < 200;
    await watchStamps(desktop.app.page, preview, { isEnough: isFresh, timeoutMs: 30_000 });
    const stoppedMs = await desktop.stopSharing();
    const path = join(folder, 'recording.webm');
    const recording = await downloadOnlyRecording(admin, path);
    await waitForRecording(admin, recording.recordingId, ({ hasThumbnail }) => hasThumbnail);

    const probed = await probeFile(path);
    const frames = await readFileFrames(path);
    expect(frames).toHaveLength(probed.videoFrames);
    expect(frames.filter(({ stampMs }) => stampMs === null)).toEqual([]);
    expect(Math.abs(probed.durationS * 1000 - (stoppedMs - recording.startedAtMs))).toBeLessThan(500);
    const [first, last] = [frames[0]!.stampMs!, frames.at(-1)!.stampMs!];
    expect(recording.startedAtMs).toBeGreaterThan(startedMs);
    expect(Math.abs(first - recording.startedAtMs)).toBeLessThan(500);
    // What was not captured cannot be recorded: on a busy machine there is as much between two other pictures.
    const pausesMs = frames.slice(1).map(({ stampMs }, index) => stampMs! - frames[index]!.stampMs!);
    expect(stoppedMs - last).toBeLessThan(Math.max(300, ...pausesMs));
    await annotate(`recording: ${probed.durationS} s, last picture ${stoppedMs - last} ms before stop`);
    // The file's clock is the wall clock: what was on the screen at a time is found at that time.
    const errorsMs = frames.map(({ timeMs, stampMs }) => Math.abs(recording.startedAtMs + timeMs - stampMs!));
    expect(median(errorsMs)).toBeLessThan(250);

    const page = await signIn(browser, services.relay.url, AUDITOR);
    await page.getByTestId('recording').first().click();
    const video = '[data-testid="recording-video"]';
    await page.locator(video).waitFor();
    // Half-way between two frames, where no rounding of times can decide which of them is shown.
    const middle = Math.floor(frames.length / 2);
    await seek(page, video, (frames[middle]!.timeMs + frames[middle + 1]!.timeMs) / 2000);
    const shown = await readStamp(page, video);
    expect(shown?.stampMs).toBe(frames[middle]!.stampMs);
    await page.context().close();
  });
});
