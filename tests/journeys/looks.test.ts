/** Every view, as people see it, with a screen that is really captured. Those of recordings: recording-looks.test.ts. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Browser } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { TestClient } from '../../relay/testing/test-client.ts';
import { launchViewer } from '../harness/chromium.ts';
import { openWall, signIn, tileOf } from '../harness/dashboard-driver.ts';
import { DesktopDriver } from '../harness/desktop-driver.ts';
import { fillForm } from '../harness/form.ts';
import { complaintsOf, look } from '../harness/looks.ts';
import { startServices, type Services } from '../harness/services.ts';
import { downloadOnlyRecording } from '../harness/sealed-recording.ts';
import { openStampedScreen, type StampedScreen } from '../harness/stamped-screen.ts';

let folder: string;
let services: Services;
let screen: StampedScreen;
let desktop: DesktopDriver;
let browser: Browser;
let admin: TestClient;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'proofcast-looks-'));
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
