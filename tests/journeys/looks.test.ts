/**
 * Every view, as people see it: a screenshot each in `test-results/looks/`, dark and light, wide and 360 px, and with
 * it what a machine can judge: no serious finding of axe, nothing wider than the window, no message on the console.
 */
import { mkdtemp, mkdir, readFile, rm } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import type { AxeResults } from 'axe-core';
import type { Browser, Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { TestClient } from '../../relay/testing/test-client.ts';
import { launchViewer } from '../harness/chromium.ts';
import { openWall, signIn, tileOf } from '../harness/dashboard-driver.ts';
import { DesktopDriver } from '../harness/desktop-driver.ts';
import { fillForm } from '../harness/form.ts';
import { startServices, type Services } from '../harness/services.ts';
import { downloadOnlyRecording } from '../harness/sealed-recording.ts';
import { openStampedScreen, type StampedScreen } from '../harness/stamped-screen.ts';

const SHOTS = resolve(import.meta.dirname, '../../test-results/looks');
const WIDE = { width: 1440, height: 900 };
const NARROW = { width: 360, height: 740 };

let folder: string;
let services: Services;
let screen: StampedScreen;
let desktop: DesktopDriver;
let browser: Browser;
let admin: TestClient;
let axeSource: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'proofcast-looks-'));
  await mkdir(SHOTS, { recursive: true });
  axeSource = await readFile(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');
  services = await startServices();
  screen = await openStampedScreen();
  browser = await launchViewer();
  admin = new TestClient(services.relay.url);
  await admin.call('signIn', { body: services.admin });
  desktop = await DesktopDriver.launch({ display: screen.display, userDataDir: join(folder, 'desktop') });
});

afterAll(async () => {
  await browser?.close();
  await desktop?.close();
  await screen?.close();
  await services?.close();
  await rm(folder, { recursive: true, force: true });
});

/** Takes the view in both widths and both themes, and judges each. */
async function look(page: Page, name: string): Promise<void> {
  for (const colorScheme of ['light', 'dark'] as const) {
    for (const [width, viewport] of Object.entries({ wide: WIDE, narrow: NARROW })) {
      await page.emulateMedia({ colorScheme, reducedMotion: 'reduce' });
      await page.setViewportSize(viewport);
      await page.evaluate(settle);
      await page.screenshot({ path: join(SHOTS, `${name}-${colorScheme}-${width}.png`) });
      expect(await serious(page), `${name}, ${colorScheme}, ${width}`).toEqual([]);
      const overflowPx = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
      expect(overflowPx, `${name}, ${width}: wider than the window`).toBeLessThanOrEqual(0);
    }
  }
  await page.setViewportSize(WIDE);
}

/** Runs in the page: resolves when fonts are there and the change of theme and size has come to its end. */
async function settle(): Promise<void> {
  await document.fonts.ready;
  await new Promise(requestAnimationFrame);
  const ending = document
    .getAnimations()
    .filter(({ effect }) => effect?.getComputedTiming().endTime !== Infinity);
  await Promise.allSettled(ending.map(({ finished }) => finished));
}

/** Rules of axe with serious or critical findings, each with the first place. */
async function serious(page: Page): Promise<string[]> {
  await page.evaluate(axeSource);
  const { violations } = await page.evaluate(() =>
    (globalThis as unknown as { axe: { run(): Promise<AxeResults> } }).axe.run(),
  );
  return violations
    .filter(({ impact }) => impact === 'serious' || impact === 'critical')
    .map(({ id, nodes }) => `${id}: ${nodes[0]?.target.join(' ')}`);
}

/** Collects what the page complains about from here on: failed scripts, and violations of the content policy. */
function complaintsOf(page: Page): string[] {
  const complaints: string[] = [];
  page.on('pageerror', (error) => complaints.push(error.message));
  page.on('console', (message) => {
    // Before somebody signs in, asking who one is fails, and Chromium says so.
    const isExpected = message.text().includes('401');
    if (message.type() === 'error' && !isExpected) complaints.push(message.text());
  });
  return complaints;
}

describe('the desktop app looks right', () => {
  it('while it is set up, while a source is chosen, and when none is', async () => {
    const { page } = desktop.app;
    const complaints = complaintsOf(page);
    await page.getByTestId('enrol').waitFor();
    await look(page, 'desktop-set-up');
    const { code } = await admin.call('createEnrolmentCode', { body: { deviceName: 'Front desk' } });
    await desktop.enrol(services.relay.url, code);
    await page.getByTestId('source').first().waitFor();
    await look(page, 'desktop-choose');
    await desktop.startWithoutSource();
    await look(page, 'desktop-nothing-selected');
    expect(complaints).toEqual([]);
  });

  it('while it shares', async () => {
    const complaints = complaintsOf(desktop.app.page);
    await desktop.shareScreen();
    await look(desktop.app.page, 'desktop-sharing');
    expect(complaints).toEqual([]);
  });
});

describe('the dashboard looks right', () => {
  it('to somebody who signs in', async () => {
    const page = await (await browser.newContext()).newPage();
    const complaints = complaintsOf(page);
    await page.goto(services.relay.url);
    await page.getByTestId('sign-in-submit').waitFor();
    await look(page, 'sign-in');
    await fillForm(page, { 'sign-in-email': 'nobody@example.test', 'sign-in-password': 'not a password' });
    await page.getByTestId('sign-in-submit').click();
    await page.getByTestId('sign-in-error').waitFor();
    await look(page, 'sign-in-refused');
    expect(complaints).toEqual([]);
    await page.context().close();
  });

  it('on the wall and in focus', async () => {
    const page = await openWall(browser, services.relay.url, services.admin);
    const complaints = complaintsOf(page);
    const { streams } = await admin.call('streams');
    const tile = tileOf(page, streams[0]!.streamId);
    await tile.waitForPath('webrtc');
    await look(page, 'wall');
    await tile.open();
    await page.locator('[data-testid="focus-stage"][data-path="webrtc"]').waitFor();
    await look(page, 'focus');
    expect(complaints).toEqual([]);
    await page.context().close();
  });

  it('in the list of recordings, and in the player', async () => {
    await desktop.stopSharing();
    await look(desktop.app.page, 'desktop-finished');
    await downloadOnlyRecording(admin, join(folder, 'recording.webm'));
    const page = await signIn(browser, services.relay.url, services.admin);
    const complaints = complaintsOf(page);
    await page.getByTestId('nav-recordings').click();
    await page.locator('[data-testid="recording"][data-state="sealed"]').waitFor();
    await look(page, 'recordings');
    await page.getByTestId('recording').first().click();
    await page.waitForFunction(
      () =>
        (document.querySelector<HTMLVideoElement>('[data-testid="recording-video"]')?.readyState ?? 0) >= 2,
    );
    await look(page, 'player');
    expect(complaints).toEqual([]);
    await page.context().close();
  });

  it.each(['devices', 'users', 'health'])('in %s', async (view) => {
    const page = await signIn(browser, services.relay.url, services.admin);
    const complaints = complaintsOf(page);
    await page.getByTestId(`nav-${view}`).click();
    await page.waitForURL(`**/${view}`);
    await page.getByRole('heading', { level: 1 }).waitFor();
    await look(page, view);
    expect(complaints).toEqual([]);
    await page.context().close();
  });
});
