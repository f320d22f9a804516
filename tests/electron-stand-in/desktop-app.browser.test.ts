/**
 * The real desktop app on the stand-in, against real services in processes of their own: what a person sees when all
 * goes well, and when it does not. Screenshots of every view lie in `test-results/desktop` afterwards.
 */
import axe from 'axe-core';
import { mkdir, mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import type { Locator } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Recording } from '../../shared/src/index.ts';
import { startService } from '../../scripts/service-process.ts';
import { TestClient } from '../../relay/testing/test-client.ts';
import { TestViewer } from '../../relay/testing/test-viewer.ts';
import { fillForm } from '../harness/form.ts';
import { startServices, type Services } from '../harness/services.ts';
import { openStampedScreen, type StampedScreen } from '../harness/stamped-screen.ts';
import { launchDesktop, type DesktopApp } from './launch.ts';

const SCREENSHOTS = resolve(import.meta.dirname, '../../test-results/desktop');

let folder: string;
let services: Services;
let screen: StampedScreen;
let admin: TestClient;
let app: DesktopApp;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'proofcast-desktop-'));
  await mkdir(SCREENSHOTS, { recursive: true });
  [services, screen] = await Promise.all([startServices(), openStampedScreen()]);
  admin = new TestClient(services.relay.url);
  await admin.call('signIn', { body: services.admin });
});

afterAll(async () => {
  await Promise.all([screen?.close(), services?.close()]);
  await rm(folder, { recursive: true, force: true });
});

const userDataDir = () => join(folder, 'desktop');
const launch = () => launchDesktop({ display: screen.display, userDataDir: userDataDir() });
const byTestId = (id: string): Locator => app.page.getByTestId(id);
const field = (id: string): Locator => byTestId(id).locator('input');
const path = (which: 'live' | 'recording', state: string): Promise<void> =>
  app.page.locator(`[data-testid="${which}-path"][data-state="${state}"]`).waitFor();

async function enrol(): Promise<void> {
  const { code } = await admin.call('createEnrolmentCode', { body: { deviceName: 'Reception desk' } });
  await fillForm(app.page, { 'server-url': services.relay.url, 'enrolment-code': code });
  await byTestId('enrol').click();
  await byTestId('source').first().waitFor();
}

async function share(): Promise<void> {
  await byTestId('source').first().click();
  await byTestId('start-sharing').click();
  await byTestId('stop-sharing').waitFor();
}

/** Resolves when the relay has pictures on its disk, and not only the event that begins the recording. */
async function firstSliceIsDurable(): Promise<void> {
  await byTestId('recording-path')
    .getByText(/[1-9]\d* kB safe/)
    .waitFor();
}

/** The SFU again on the port that the relay knows. */
async function restartSfu(): Promise<void> {
  const jwksUrl = new URL('/.well-known/jwks.json', services.relay.url).href;
  const { port } = new URL(services.sfu.url);
  services.sfu = await startService({
    entry: 'sfu/src/main.ts',
    env: { SFU_PORT: port, SFU_MEDIA_PORT: '0', SFU_WORKERS: '1', TOKEN_JWKS_URL: jwksUrl },
  });
}

/** The newest recording, when it is sealed. */
async function sealedRecording(): Promise<Recording> {
  await expect
    .poll(async () => (await admin.call('recordings')).recordings[0]?.state, { timeout: 20_000 })
    .toBe('sealed');
  return (await admin.call('recordings')).recordings[0]!;
}

/** Looks at the view as people do who see it in the dark, on a narrow window, or with a screen reader. */
async function inspect(name: string): Promise<void> {
  const { page } = app;
  await page.evaluate(axe.source);
  for (const colorScheme of ['light', 'dark'] as const) {
    await page.emulateMedia({ colorScheme, reducedMotion: 'reduce' });
    for (const [size, width] of [
      ['wide', 1280],
      ['narrow', 360],
    ] as const) {
      await page.setViewportSize({ width, height: 760 });
      await page.waitForFunction(() =>
        document.getAnimations().every(({ playState }) => playState !== 'running'),
      );
      await page.screenshot({ path: join(SCREENSHOTS, `${name}-${size}-${colorScheme}.png`) });
      const overflowPx = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
      expect(overflowPx, `${name}, ${size}: sideways scrolling`).toBeLessThanOrEqual(0);
    }
    const findings = await page.evaluate(async () => {
      const { violations } = await (Reflect.get(globalThis, 'axe') as typeof axe).run();
      return violations
        .filter(({ impact }) => impact === 'serious' || impact === 'critical')
        .map(({ id, nodes }) => `${id}: ${nodes.map(({ html }) => html).join(' ')}`);
    });
    expect(findings, `${name}, ${colorScheme}`).toEqual([]);
  }
  await page.setViewportSize({ width: 1120, height: 700 });
}

describe('a new device', () => {
  beforeAll(async () => {
    app = await launch();
  });
  afterAll(() => app.close());

  it('is told what is wrong with an address or a code, next to it', async () => {
    await inspect('set-up');
    await fillForm(app.page, { 'server-url': 'relay.example.com', 'enrolment-code': 'WRONG-CODE' });
    await byTestId('enrol').click();
    await byTestId('server-url').getByText('begins with https://').waitFor();

    await field('server-url').fill(services.relay.url);
    await byTestId('enrol').click();
    await byTestId('enrolment-code').getByText('not valid').waitFor();
    await inspect('set-up-refused');

    await field('server-url').fill('http://127.0.0.1:9');
    await byTestId('enrol').click();
    await byTestId('server-url').getByText('Cannot reach').waitFor();
  });

  it('enrols with a code, and says so when nothing is selected', async () => {
    await enrol();
    await inspect('choose');
    await byTestId('start-sharing').click();
    await expect.poll(() => byTestId('no-source-alert').textContent()).toContain('Nothing is selected');
    await inspect('nothing-selected');
    expect(await byTestId('device-name').textContent()).toContain('Reception desk');
  });

  it('shares on both paths, and everything is on the server after it stops', async () => {
    await share();
    await path('live', 'live');
    await path('recording', 'uploading');
    await app.page.waitForFunction(
      () => document.querySelector<HTMLVideoElement>('[data-testid="preview"]')!.currentTime > 0,
    );
    await inspect('sharing');
    await byTestId('stop-sharing').click();
    await path('recording', 'finished');
    await inspect('finished');
    const recording = await sealedRecording();
    expect(recording).toMatchObject({
      deviceName: 'Reception desk',
      sourceName: 'Entire screen',
      failure: null,
    });
    expect(await readdir(join(userDataDir(), 'spool'))).toEqual([]);
  });

  it('starts again with what was chosen last', async () => {
    expect(await app.page.getByRole('radio', { name: 'Entire screen' }).isChecked()).toBe(true);
  });

  it('asks before it closes while it shares, and goes on when told to', async () => {
    await share();
    app.answerDialogs(1);
    app.closeWindow();
    await expect.poll(() => app.dialogs).toEqual(['Your screen is being shared.']);
    await path('recording', 'uploading');
    expect(await byTestId('stop-sharing').isVisible()).toBe(true);
    await firstSliceIsDurable();
  });

  it('stops, uploads the last chunk and ends when it is closed for good', async () => {
    app.answerDialogs(0);
    app.closeWindow();
    expect(await app.exited).toBe(0);
    await sealedRecording();
    expect(await readdir(join(userDataDir(), 'spool'))).toEqual([]);
  });
});

describe('an enrolled device', () => {
  beforeAll(async () => {
    app = await launch();
    await byTestId('source').first().waitFor();
  });
  afterAll(() => app.close());

  it('records while the SFU is away, and is live when it is back', async () => {
    await services.sfu.kill();
    await share();
    await path('recording', 'uploading');
    await path('live', 'reconnecting');
    await inspect('live-reconnecting');
    await restartSfu();
    await path('live', 'live');
    await byTestId('stop-sharing').click();
    await path('recording', 'finished');
  });

  it('[I15] is live while the relay is away, and uploads when it is back, into one recording', async () => {
    await share();
    await path('live', 'live');
    await path('recording', 'uploading');
    await services.relay.kill();
    await path('recording', 'reconnecting');
    await path('live', 'live');
    await inspect('recording-reconnecting');
    const before = (await readdir(join(userDataDir(), 'spool'))).length;
    await services.restartRelay();
    await path('recording', 'uploading');
    await byTestId('stop-sharing').click();
    await path('recording', 'finished');
    expect(before).toBe(1);
    expect((await sealedRecording()).failure).toBeNull();
  });

  it('that was killed while the relay was away uploads the rest after the next start', async () => {
    await share();
    await firstSliceIsDurable();
    await services.relay.kill();
    await path('recording', 'reconnecting');
    await app.kill();
    expect(await readdir(join(userDataDir(), 'spool'))).toHaveLength(1);

    app = await launch();
    await byTestId('leftovers').waitFor();
    await inspect('leftovers');
    await services.restartRelay();
    await byTestId('leftovers').waitFor({ state: 'detached' });
    expect(await readdir(join(userDataDir(), 'spool'))).toEqual([]);
    expect((await sealedRecording()).failure).toBeNull();
  });

  it('whose page was killed ends its recording properly, and can share again', async () => {
    await share();
    await path('recording', 'uploading');
    await firstSliceIsDurable();
    await app.killRenderer();
    await path('recording', 'finished');
    expect((await sealedRecording()).failure).toBeNull();
    await share();
    await path('recording', 'uploading');
    await byTestId('stop-sharing').click();
    await path('recording', 'finished');
  });

  it('[I16] flushes its recorder several times a second while somebody watches through the relay', async () => {
    await share();
    await path('recording', 'uploading');
    const [stream] = (await admin.call('streams')).streams.filter(({ state }) => state.kind === 'live');
    const { ticket } = await admin.call('createViewTicket');
    const viewer = new TestViewer(await admin.open('view', { query: { ticket } }));
    viewer.watch(1, stream!.streamId);
    await byTestId('viewers').getByText('1 person is watching').waitFor();
    const { sequence } = await viewer.nextFrame();
    const sinceMs = performance.now();
    await viewer.framesUntil(sequence + 8);
    // Eight slices of two seconds would take sixteen.
    expect(performance.now() - sinceMs).toBeLessThan(8_000);
    viewer.socket.close();
    await byTestId('viewers').getByText('Nobody is watching').waitFor();
    await byTestId('stop-sharing').click();
    await path('recording', 'finished');
  });

  it('[A8] that is revoked stops sharing, says why, and can be connected anew', async () => {
    await share();
    await path('live', 'live');
    await path('recording', 'uploading');
    const { devices } = await admin.call('devices');
    await admin.call('revokeDevice', { params: { deviceId: devices[0]!.deviceId } });
    await byTestId('start-sharing').waitFor();
    await path('recording', 'failed');
    await byTestId('recording-path').getByText('revoked').waitFor();
    await inspect('revoked');
    await byTestId('device-menu').click();
    await byTestId('forget-enrolment').click();
    await byTestId('confirm-forget').click();
    await byTestId('server-url').waitFor();
    await enrol();
  });
});
