/** The real desktop app when the relay is away for longer than this machine can keep what is captured. */
import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import type { Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Id } from '../../shared/src/index.ts';
import { maySmallDiskBeMounted, mountSmallDisk } from '../../desktop/testing/small-disk.ts';
import { TestClient } from '../../relay/testing/test-client.ts';
import { openKioskScreen, type KioskScreen } from '../harness/kiosk-screen.ts';
import { readOriginalChunks } from '../harness/rebuilt-recording.ts';
import { waitForSealed } from '../harness/sealed-recording.ts';
import { startServices, type Services } from '../harness/services.ts';
import { TappedDesk } from '../harness/tapped-desk.ts';

const SCREENSHOTS = resolve(import.meta.dirname, '../../test-results/desktop');
const MIB = 1024 * 1024;
const FULL_TIMEOUT_MS = 90_000;

let folder: string;
let services: Services;
let screen: KioskScreen;
let admin: TestClient;
let noise: Page;
const mayMount = await maySmallDiskBeMounted();
let noisyDesks = mayMount ? 2 : 1;
const calmed = Promise.withResolvers<void>();

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'proofcast-full-'));
  await mkdir(SCREENSHOTS, { recursive: true });
  [services, screen] = await Promise.all([startServices(), openKioskScreen(drawNoise)]);
  admin = new TestClient(services.relay.url);
  await admin.call('signIn', { body: services.admin });
});
afterAll(async () => {
  await Promise.all([screen?.close(), services?.close()]);
  await rm(folder, { recursive: true, force: true });
});

/**
 * What no encoder can make small: every picture is different everywhere, until it is calmed. Then hardly anything is
 * there but a corner that changes, for noise that stands still is as large in each key picture.
 */
async function drawNoise(page: Page): Promise<void> {
  noise = page;
  await page.setContent('<canvas style="position:fixed;inset:0;width:100%;height:100%"></canvas>');
  await page.evaluate(() => {
    const canvas = document.querySelector('canvas')!;
    [canvas.width, canvas.height] = [480, 270];
    const context = canvas.getContext('2d')!;
    const image = context.createImageData(480, 270);
    const pixels = new Uint32Array(image.data.buffer);
    setInterval(() => {
      for (let index = 0; index < pixels.length; index++) pixels[index] = Math.random() * 2 ** 32;
      const isCalm = document.body.dataset['calm'] !== undefined;
      if (isCalm) context.clearRect(0, 0, 480, 270);
      context.putImageData(image, 0, 0, 0, 0, isCalm ? 16 : 480, isCalm ? 16 : 270);
    }, 100);
  });
}

/** Resolves when every desk has been full and the screen is calm: what is captured now fits into the smallest spool. */
async function calm(): Promise<void> {
  if (--noisyDesks === 0) {
    await noise.evaluate(() => void (document.body.dataset['calm'] = ''));
    calmed.resolve();
  }
  await calmed.promise;
}

/**
 * Shares while the relay is away until there is no room, and on until there is some again; the recording. `onFull` is
 * done while there is none.
 */
async function overflow(desk: TappedDesk, onFull: () => Promise<void>): Promise<Id> {
  const { desktop, tap } = desk;
  await desktop.shareScreen();
  await desktop.waitForMoreDurableBytes();
  const { page } = desktop.app;
  const path = page.getByTestId('recording-path');

  await tap.cut();
  await path.getByText('no room left').waitFor({ timeout: FULL_TIMEOUT_MS });
  expect((await desktop.state()).isSpoolFull).toBe(true);
  await page.locator('[data-testid="live-path"][data-state="live"]').waitFor();
  await onFull();
  await calm();
  await tap.mend();
  await desktop.waitForRecordingState('uploading');
  await path.getByText('no room left').waitFor({ state: 'detached' });
  const durableBytes = await desktop.durableBytes();
  // With all that room the last slice is taken as well.
  await desktop.waitForState(
    ({ recording, isSpoolFull }) =>
      !isSpoolFull &&
      recording.kind === 'uploading' &&
      recording.backlogBytes === 0 &&
      recording.durableBytes > durableBytes,
  );
  await desktop.stopSharing();
  const [recording, ...others] = desk.recordingsSince(new Set());
  expect(others).toEqual([]);
  return recording?.[0] ?? '';
}

async function judge(recordingId: Id): Promise<void> {
  const { gaps, isComplete } = await waitForSealed(admin, recordingId);
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
  expect(isComplete).toBe(true);
  expect(gaps.length).toBeGreaterThan(0);
  expect(gaps.filter(({ reason }) => reason !== 'spool-full')).toEqual([]);
}

/** The way of a desk with so much room for chunks, from before the relay goes away to the sealed recording. */
async function shareWithRoom(
  { name, userDataDir, limitMb }: { name: string; userDataDir: string; limitMb: number },
  onFull: (desk: TappedDesk) => Promise<void> = async () => undefined,
): Promise<void> {
  const env = { DESKTOP_SPOOL_LIMIT_MB: String(limitMb) };
  const desk = await TappedDesk.open({ display: screen.display, admin, name, userDataDir, env });
  try {
    await judge(await overflow(desk, () => onFull(desk)));
  } finally {
    await desk.close();
  }
}

async function takeScreenshots({ desktop: { app } }: TappedDesk): Promise<void> {
  for (const colorScheme of ['light', 'dark'] as const) {
    await app.page.emulateMedia({ colorScheme, reducedMotion: 'reduce' });
    await app.page.screenshot({ path: join(SCREENSHOTS, `spool-full-${colorScheme}.png`) });
  }
}

// Most of this is waiting, so it is done side by side.
describe('a share for which there is no room left', () => {
  it.concurrent('[U4] because of the limit says so, stays live, and goes on in the same recording when there is room', () =>
    shareWithRoom({ name: 'limit', userDataDir: folder, limitMb: 1 }, takeScreenshots));

  it.skipIf(!mayMount).concurrent(
    `[U4] because the disk is full does the same${mayMount ? '' : ' (this user may not mount one)'}`,
    async () => {
      const disk = await mountSmallDisk(3 * MIB);
      try {
        await shareWithRoom({ name: 'disk', userDataDir: disk.path, limitMb: 8 });
      } finally {
        await disk.close();
      }
    },
  );
});
