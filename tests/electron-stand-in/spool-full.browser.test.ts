/** The real desktop app when the relay is away for longer than this machine can keep what is captured. */
import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { maySmallDiskBeMounted, mountSmallDisk, type SmallDisk } from '../../desktop/testing/small-disk.ts';
import { TestClient } from '../../relay/testing/test-client.ts';
import { DesktopDriver } from '../harness/desktop-driver.ts';
import { openKioskScreen, type KioskScreen } from '../harness/kiosk-screen.ts';
import { readOriginalChunks } from '../harness/rebuilt-recording.ts';
import { waitForSealed } from '../harness/sealed-recording.ts';
import { startServices, type Services } from '../harness/services.ts';

const SCREENSHOTS = resolve(import.meta.dirname, '../../test-results/desktop');
const MIB = 1024 * 1024;

let folder: string;
let services: Services;
let screen: KioskScreen;
let admin: TestClient;
let desktop: DesktopDriver | undefined;
let disk: SmallDisk | undefined;
const mayMount = await maySmallDiskBeMounted();

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'proofcast-full-'));
  await mkdir(SCREENSHOTS, { recursive: true });
  [services, screen] = await Promise.all([startServices(), openKioskScreen(drawNoise)]);
  admin = new TestClient(services.relay.url);
  await admin.call('signIn', { body: services.admin });
});
afterEach(async () => {
  await desktop?.close();
  desktop = undefined;
});
afterAll(async () => {
  await Promise.all([screen?.close(), services?.close(), disk?.close()]);
  await rm(folder, { recursive: true, force: true });
});

/** What no encoder can make small: every picture is different everywhere. */
async function drawNoise(page: Parameters<Parameters<typeof openKioskScreen>[0]>[0]): Promise<void> {
  await page.setContent('<canvas style="position:fixed;inset:0;width:100%;height:100%"></canvas>');
  await page.evaluate(() => {
    const canvas = document.querySelector('canvas')!;
    [canvas.width, canvas.height] = [480, 270];
    const context = canvas.getContext('2d')!;
    const image = context.createImageData(480, 270);
    const pixels = new Uint32Array(image.data.buffer);
    setInterval(() => {
      for (let index = 0; index < pixels.length; index++) pixels[index] = Math.random() * 2 ** 32;
      context.putImageData(image, 0, 0);
    }, 100);
  });
}

/** Shares while the relay is away until there is no room, and on until there is some again; the one recording. */
async function overflow(userDataDir: string, limitMb: number): Promise<void> {
  const env = { DESKTOP_SPOOL_LIMIT_MB: String(limitMb) };
  desktop = await DesktopDriver.launch({ display: screen.display, userDataDir, env });
  const { code } = await admin.call('createEnrolmentCode', { body: { deviceName: 'Far away' } });
  await desktop.enrol(services.relay.url, code);
  await desktop.shareScreen();
  await desktop.waitForMoreDurableBytes();
  const { page } = desktop.app;
  const path = page.getByTestId('recording-path');

  await services.relay.kill();
  await path.getByText('no room left').waitFor({ timeout: 90_000 });
  expect((await desktop.state()).isSpoolFull).toBe(true);
  await page.locator('[data-testid="live-path"][data-state="live"]').waitFor();
  for (const colorScheme of ['light', 'dark'] as const) {
    await page.emulateMedia({ colorScheme, reducedMotion: 'reduce' });
    await page.screenshot({ path: join(SCREENSHOTS, `spool-full-${colorScheme}.png`) });
  }
  await services.restartRelay();
  await page.locator('[data-testid="recording-path"][data-state="uploading"]').waitFor();
  await path.getByText('no room left').waitFor({ state: 'detached' });
  const durableBytes = await desktop.durableBytes();
  await desktop.waitForDurableBytes(durableBytes + 1);
  await desktop.stopSharing();
}

async function judge(): Promise<void> {
  const [recording] = (await admin.call('recordings')).recordings;
  const recordingId = recording?.recordingId ?? '';
  await waitForSealed(admin, recordingId);
  const chunks = await readOriginalChunks(admin, recordingId);
  const events = chunks.flatMap(({ event }) => (event ? [event] : []));
  expect(events.slice(0, 4).map(({ type }) => type)).toEqual([
    'epoch-started',
    'spool-full',
    'epoch-ended',
    'epoch-started',
  ]);
  expect(events[2]?.data).toEqual({ reason: 'spool-full' });
  expect(events.at(-1)?.data).toEqual({ reason: 'stopped' });
  const { gaps, isComplete } = await admin.call('recording', { params: { recordingId } });
  expect(isComplete).toBe(true);
  expect(gaps.length).toBeGreaterThan(0);
  expect(gaps.filter(({ reason }) => reason !== 'spool-full')).toEqual([]);
}

describe('a share for which there is no room left', () => {
  it('[U4] because of the limit says so, stays live, and goes on in the same recording when there is room', async () => {
    await overflow(join(folder, 'limit'), 1);
    await judge();
  });

  it.skipIf(!mayMount)(
    '[U4] because the disk is full does the same [skipped: this user may not mount one]',
    async () => {
      disk = await mountSmallDisk(4 * MIB);
      await overflow(disk.path, 8);
      await judge();
    },
  );
});
