/** The real desktop app on a screen that shows nothing new, and on one whose X server is frozen. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import { signalProcess } from '@proofcast/shared/testing/processes';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { TestClient } from '../../relay/testing/test-client.ts';
import { DesktopDriver } from '../harness/desktop-driver.ts';
import { startServices, type Services } from '../harness/services.ts';
import { launchDesktop, type DesktopApp } from './launch.ts';
import { startXvfb, type Xvfb } from './xvfb.ts';

/** Several times as long as the main process collects changes. */
const PUBLISHED_AFTER_MS = 1_000;

let folder: string;
let services: Services;
let xvfb: Xvfb;
let admin: TestClient;
let app: DesktopApp;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'proofcast-stall-'));
  [services, xvfb] = await Promise.all([startServices(), startXvfb({ width: 640, height: 360 })]);
  admin = new TestClient(services.relay.url);
  await admin.call('signIn', { body: services.admin });
  const { code } = await admin.call('createEnrolmentCode', { body: { deviceName: 'Still' } });
  app = await launchDesktop({ display: xvfb.display, userDataDir: join(folder, 'desktop') });
  const { page } = app;
  await new DesktopDriver(app).enrol(services.relay.url, code);
  await page.getByTestId('source').first().click();
  await page.getByTestId('start-sharing').click();
  await page.locator('[data-testid="recording-path"][data-state="uploading"]').waitFor();
});

afterAll(async () => {
  await app?.close();
  await Promise.all([xvfb?.close(), services?.close()]);
  await rm(folder, { recursive: true, force: true });
});

const streamState = async (): Promise<string | undefined> =>
  (await admin.call('streams')).streams[0]?.state.kind;

async function durableBytes(): Promise<number> {
  const answer = await app.page.evaluate(() => window.proofcast.request('readState', {}));
  return answer.ok && answer.result.recording.kind !== 'idle' ? answer.result.recording.durableBytes : 0;
}

describe('the watch on the recorder', () => {
  it('takes a screen on which nothing happens for what it is', async () => {
    const seen = new Set<number>();
    // Five slices take longer than the watch would wait.
    await expect
      .poll(async () => seen.add(await durableBytes()).size, { timeout: 30_000 })
      .toBeGreaterThanOrEqual(6);
    expect(await streamState()).toBe('live');
  });

  it('tells the relay, and the person, that capture is broken when the system yields no pictures, and when it does again', async () => {
    // The browser cannot be asked while the X server that it draws on is frozen; so its page keeps what it showed.
    await app.page.evaluate(() => {
      new MutationObserver(() => {
        const notice = document.querySelector('[data-testid="stalled"]');
        if (notice) Object.assign(window, { shownNotice: notice.textContent });
      }).observe(document.body, { childList: true, subtree: true });
    });
    signalProcess(xvfb.pid, 'SIGSTOP');
    try {
      await expect.poll(streamState, { timeout: 30_000 }).toBe('capture-stalled');
      // The main process collects changes for a moment before it tells the page, which nobody can watch from here.
      await wait(PUBLISHED_AFTER_MS);
    } finally {
      signalProcess(xvfb.pid, 'SIGCONT');
    }
    await expect.poll(streamState, { timeout: 30_000 }).toBe('live');
    const shownNotice = () =>
      app.page.evaluate(() => (Reflect.get(window, 'shownNotice') as string | undefined) ?? '');
    await expect.poll(shownNotice, { timeout: 30_000 }).toContain('No picture');
    await app.page.getByTestId('stalled').waitFor({ state: 'detached' });
    await app.page.getByTestId('stop-sharing').click();
    await app.page.locator('[data-testid="recording-path"][data-state="finished"]').waitFor();
  });
});
