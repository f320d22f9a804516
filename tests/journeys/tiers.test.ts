/**
 * One real captured screen on networks that let less and less through: websockets broken by a proxy that strips the
 * upgrade, then bodies kept back as well, then everything back. The person who watches touches nothing.
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

let folder: string;
let services: Services;
let screen: StampedScreen;
let desktop: DesktopDriver;
let stripper: UpgradeStripper;
let strictProxy: StrictProxy;
let browser: Browser;
let admin: TestClient;
let streamId: string;
let page: Page;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'proofcast-tiers-'));
  [services, screen] = await Promise.all([startServices(), openStampedScreen()]);
  stripper = new UpgradeStripper(services.relay.url);
  await stripper.listen();
  // Nothing of the SFU may be reached, and the relay only through what breaks websockets.
  strictProxy = await startStrictProxy([new URL(stripper.url).host]);
  browser = await launchViewer({
    args: BEHIND_PROXY_ARGUMENTS,
    proxy: { server: strictProxy.url, bypass: '<-loopback>' },
  });
  admin = new TestClient(services.relay.url);
  await admin.call('signIn', { body: services.admin });
  const { code } = await admin.call('createEnrolmentCode', { body: { deviceName: 'Vault 3' } });
  desktop = await DesktopDriver.launch({ display: screen.display, userDataDir: join(folder, 'desktop') });
  await desktop.enrol(services.relay.url, code);
  await desktop.shareScreen();
  streamId = (await admin.call('streams')).streams[0]!.streamId;
});

afterAll(async () => {
  await browser?.close();
  await desktop?.close();
  await Promise.all([strictProxy?.close(), stripper?.close(), screen?.close(), services?.close()]);
  await rm(folder, { recursive: true, force: true });
});

const stampCount = (count: number) => (seen: readonly SeenStamp[]) => seen.length >= count;
const ageOf = (seen: readonly SeenStamp[]): number =>
  median(seen.map(({ stampMs, seenAtMs }) => seenAtMs - stampMs));

async function waitForPath(path: PathName): Promise<void> {
  const tile = page.locator(`[data-testid="tile-${streamId}"][data-path="${path}"]`);
  await tile.waitFor({ timeout: TIMEOUT_MS });
}

describe('where websockets are broken', () => {
  it('[T1] the picture comes by plain HTTP, moves, and says how late it is', async ({ annotate }) => {
    const openedMs = Date.now();
    page = await openWall(browser, stripper.url, services.admin);
    await waitForPath('http');
    await annotate(`first picture by HTTP ${Date.now() - openedMs} ms after the browser was opened`);
    const tile = tileOf(page, streamId);
    const seen = await watchStamps(page, tile.video, { isEnough: stampCount(40), timeoutMs: TIMEOUT_MS });
    await annotate(`by HTTP: median age ${ageOf(seen)} ms`);
    expect(ageOf(seen)).toBeLessThan(5_000);
    expect(stripper.strippedCount).toBeGreaterThan(0);
    const badge = page.locator(`[data-testid="tile-${streamId}"] .path`);
    await expect.poll(() => badge.textContent()).toMatch(/Relay, HTTP\s*\d/);
  });

  it('still pictures come where bodies are kept back as well, and say how old they are', async ({
    annotate,
  }) => {
    const complaints = complaintsOf(page);
    const cutMs = Date.now();
    stripper.setMode('holding-back');
    await waitForPath('stills');
    await annotate(`first still ${Date.now() - cutMs} ms after bodies were kept back`);
    const badge = page.locator(`[data-testid="tile-${streamId}"] .path`);
    await expect.poll(() => badge.textContent()).toMatch(/Stills\s*\d.* old/);
    const still = page.locator(`[data-testid="tile-${streamId}"] [data-testid="still"]`);
    const read = () => still.evaluate((canvas) => (canvas as HTMLCanvasElement).toDataURL());
    const first = await read();
    await expect.poll(read, { timeout: 15_000 }).not.toBe(first);
    await look(page, 'wall-stills');
    // What the browser says about requests that were cut.
    expect(complaints.filter((text) => !/Failed to load resource|WebSocket connection/.test(text))).toEqual(
      [],
    );
  });

  it('[T2] goes back up to the websocket by itself when everything comes through again', async ({
    annotate,
  }) => {
    const openedMs = Date.now();
    stripper.setMode('open');
    await waitForPath('relay');
    await annotate(`by websocket again after ${Date.now() - openedMs} ms`);
    const tile = tileOf(page, streamId);
    await watchStamps(page, tile.video, { isEnough: stampCount(20), timeoutMs: TIMEOUT_MS });
    await page.context().close();
  });
});
