/**
 * Somebody looks back in a recording that is still being made, and returns to the live picture: from WebRTC, from the
 * relay by websocket, and where only plain HTTP comes through. What is shown is dated by the stamps in the picture.
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Browser, Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { PathName } from '../../dashboard/src/player/video-path.ts';
import { TestClient } from '../../relay/testing/test-client.ts';
import { median } from '../bench/benchmark.ts';
import { launchViewer } from '../harness/chromium.ts';
import { openWall, tileOf } from '../harness/dashboard-driver.ts';
import { DesktopDriver } from '../harness/desktop-driver.ts';
import { complaintsOf, look } from '../harness/looks.ts';
import { startServices, type Services } from '../harness/services.ts';
import { watchStamps, type SeenStamp } from '../harness/stamp-readers.ts';
import { openStampedScreen, type StampedScreen } from '../harness/stamped-screen.ts';
import { BEHIND_PROXY_ARGUMENTS, startStrictProxy, type StrictProxy } from '../harness/strict-proxy.ts';
import { UpgradeStripper } from '../harness/upgrade-stripper.ts';

const TIMEOUT_MS = 60_000;
const STAGE = '[data-testid="focus-stage"]';
const VIDEO = `${STAGE} [data-testid="video"]`;
/** Pictures come at most so much later than they should, on a busy machine. */
const TOLERANCE_MS = 2_500;
const STEP_MS = 10_000;
/** There has to be something to look back at. */
const MIN_RECORDED_MS = 28_000;

const VIEWER = { email: 'viewer@example.test', password: 'looks at what is live' };

let folder: string;
let services: Services;
let screen: StampedScreen;
let desktop: DesktopDriver;
let stripper: UpgradeStripper;
let proxies: StrictProxy[];
let browsers: Record<Exclude<PathName, 'stills'>, Browser>;
let streamId: string;
let startedAtMs: number;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'proofcast-look-back-'));
  [services, screen] = await Promise.all([startServices(), openStampedScreen()]);
  const admin = new TestClient(services.relay.url);
  await admin.call('signIn', { body: services.admin });
  await admin.call('createUser', { body: { ...VIEWER, name: 'Vera', role: 'viewer' } });
  const { code } = await admin.call('createEnrolmentCode', { body: { deviceName: 'Desk 9' } });
  desktop = await DesktopDriver.launch({ display: screen.display, userDataDir: join(folder, 'desktop') });
  await desktop.enrol(services.relay.url, code);
  await desktop.shareScreen();
  streamId = (await admin.call('streams')).streams[0]!.streamId;
  startedAtMs = (await admin.call('recordings')).recordings[0]!.startedAtMs;

  stripper = new UpgradeStripper(services.relay.url);
  await stripper.listen();
  const hosts = [services.relay.url, services.sfu.url].map((url) => new URL(url).host);
  proxies = [await startStrictProxy(hosts), await startStrictProxy([new URL(stripper.url).host])];
  const [relay, http] = await Promise.all(
    proxies.map(({ url }) =>
      launchViewer({ args: BEHIND_PROXY_ARGUMENTS, proxy: { server: url, bypass: '<-loopback>' } }),
    ),
  );
  browsers = { webrtc: await launchViewer(), relay: relay!, http: http! };
});

afterAll(async () => {
  await Promise.all(Object.values(browsers ?? {}).map((browser) => browser.close()));
  await desktop?.close();
  await Promise.all([...(proxies ?? []), stripper, screen, services].map((each) => each?.close()));
  await rm(folder, { recursive: true, force: true });
});

const ageOf = (seen: readonly SeenStamp[]): number =>
  median(seen.map(({ stampMs, seenAtMs }) => seenAtMs - stampMs));

/** Stamps that come one after the other, as a picture that moves shows them. */
function watch(page: Page, isEnough: (seen: readonly SeenStamp[]) => boolean): Promise<SeenStamp[]> {
  return watchStamps(page, VIDEO, { isEnough, timeoutMs: TIMEOUT_MS });
}
const isFresh = ({ stampMs, seenAtMs }: SeenStamp): boolean => seenAtMs - stampMs < TOLERANCE_MS;
const moving = (seen: readonly SeenStamp[]): boolean => seen.length >= 15;

async function openFocus(path: Exclude<PathName, 'stills'>): Promise<Page> {
  const url = path === 'http' ? stripper.url : services.relay.url;
  const page = await openWall(browsers[path], url, VIEWER);
  await page
    .locator(`[data-testid="tile-${streamId}"][data-path="${path}"]`)
    .waitFor({ timeout: TIMEOUT_MS });
  await tileOf(page, streamId).open();
  await page.locator(`${STAGE}[data-path="${path}"]`).waitFor({ timeout: TIMEOUT_MS });
  await watch(page, (seen) => seen.length > 0 && seen.at(-1)!.stampMs - startedAtMs > MIN_RECORDED_MS);
  return page;
}

describe.each(['webrtc', 'relay', 'http'] as const)('from the live picture by %s', (path) => {
  it('[V8] [T7] keys and time line go back, and the live picture is there again at once', async ({
    annotate,
  }) => {
    const page = await openFocus(path);
    const complaints = complaintsOf(page);
    const playing = page.locator(`${STAGE}[data-past="playing"]`);

    await page.keyboard.press('ArrowLeft');
    await page.keyboard.press('ArrowLeft');
    await playing.waitFor();
    const back = await watch(page, (seen) => moving(seen) && Date.now() - seen.at(-1)!.stampMs > STEP_MS);
    const backMs = ageOf(back.slice(-8));
    await annotate(`${path}: two steps back show a picture of ${backMs} ms ago`);
    expect(backMs).toBeGreaterThan(2 * STEP_MS - TOLERANCE_MS);
    expect(backMs).toBeLessThan(2 * STEP_MS + 2 * TOLERANCE_MS);

    // It plays at its real speed.
    const played = await watch(
      page,
      (seen) => moving(seen) && seen.at(-1)!.stampMs - seen[0]!.stampMs > 3_000,
    );
    const elapsedMs = played.at(-1)!.seenAtMs - played[0]!.seenAtMs;
    expect(elapsedMs / (played.at(-1)!.stampMs - played[0]!.stampMs)).toBeCloseTo(1, 0);

    // The left end is where the recording begins.
    const bar = (await page.getByTestId('live-timeline').boundingBox())!;
    await page.mouse.click(bar.x + 1, bar.y + bar.height / 2);
    const first = await watch(page, (seen) => (seen.at(-1)?.stampMs ?? Infinity) - startedAtMs < STEP_MS);
    expect(first.at(-1)!.stampMs - startedAtMs).toBeGreaterThan(-TOLERANCE_MS);

    await page.getByTestId('toggle-pause').click();
    await page.locator(`${STAGE}[data-past="paused"]`).waitFor();
    await page.getByTestId('toggle-pause').click();
    await playing.waitFor();
    if (path === 'webrtc') await look(page, 'focus-past');

    const pressedMs = Date.now();
    await page.keyboard.press('l');
    await page.locator(`${STAGE}[data-past="off"][data-picture="playing"][data-path="${path}"]`).waitFor();
    const live = await watch(page, (seen) => seen.some(isFresh));
    await annotate(`${path}: live again ${live.at(-1)!.seenAtMs - pressedMs} ms after the key`);
    const settled = await watch(page, moving);
    expect(ageOf(settled)).toBeLessThan(TOLERANCE_MS);
    if (path === 'webrtc') await look(page, 'focus-live');
    expect(complaints.filter((text) => !/WebSocket connection|Failed to load resource/.test(text))).toEqual(
      [],
    );
    await page.context().close();
  });
});
