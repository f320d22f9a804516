/** The real desktop app on a device that goes to sleep, is locked, and wakes up again. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { RecordingDetails } from '@proofcast/shared';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { TestClient } from '../../relay/testing/test-client.ts';
import { DesktopDriver } from '../harness/desktop-driver.ts';
import { startServices, type Services } from '../harness/services.ts';
import { startXvfb, type Xvfb } from './xvfb.ts';

const TIMEOUT_MS = 60_000;

let folder: string;
let services: Services;
let xvfb: Xvfb;
let admin: TestClient;
let desktop: DesktopDriver;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'proofcast-sleep-'));
  [services, xvfb] = await Promise.all([startServices(), startXvfb({ width: 640, height: 360 })]);
  admin = new TestClient(services.relay.url);
  await admin.call('signIn', { body: services.admin });
  const { code } = await admin.call('createEnrolmentCode', { body: { deviceName: 'Laptop' } });
  desktop = await DesktopDriver.launch({ display: xvfb.display, userDataDir: join(folder, 'desktop') });
  await desktop.enrol(services.relay.url, code);
});

afterAll(async () => {
  await desktop?.close();
  await Promise.all([xvfb?.close(), services?.close()]);
  await rm(folder, { recursive: true, force: true });
});

async function details(): Promise<RecordingDetails> {
  const { recordings } = await admin.call('recordings');
  expect(recordings).toHaveLength(1);
  return admin.call('recording', { params: { recordingId: recordings[0]?.recordingId ?? '' } });
}

/** What happened, without what the tests of capture look at. */
async function outline(): Promise<string[]> {
  const { events } = await details();
  return events
    .map(({ type, data }) => ('reason' in data ? `${type}: ${String(data['reason'])}` : type))
    .filter((line) => !line.startsWith('capture-'));
}

const untilOutline = (lines: string[]): Promise<void> =>
  expect.poll(outline, { timeout: TIMEOUT_MS, interval: 200 }).toEqual(lines);

describe('a share on a device that sleeps', () => {
  it('[U20] goes on in the same recording, whose gap says that the device slept', async () => {
    const { app } = desktop;
    await desktop.shareScreen();
    await desktop.waitForMoreDurableBytes();
    app.power('suspend');
    await untilOutline(['epoch-started', 'epoch-ended: suspended']);
    app.power('resume');
    await untilOutline(['epoch-started', 'epoch-ended: suspended', 'epoch-started']);
    await desktop.waitForMoreDurableBytes();
    const { gaps, events } = await details();
    expect(gaps).toMatchObject([{ reason: 'suspended' }]);
    const startedAtMs = events.at(-1)?.atMs ?? 0;
    // The event comes with the first picture, whose time is a little earlier.
    expect(gaps[0]?.toMs).toBeLessThanOrEqual(startedAtMs);
  });

  it('[U21] tells when the screen is locked, also in the epoch after a sleep that nobody says has ended', async () => {
    const { app } = desktop;
    const before = await outline();
    app.power('lock-screen');
    await untilOutline([...before, 'screen-locked']);
    app.power('suspend');
    const asleep = [...before, 'screen-locked', 'epoch-ended: suspended'];
    await untilOutline([...asleep, 'epoch-started', 'screen-locked']);
    app.power('unlock-screen');
    await untilOutline([...asleep, 'epoch-started', 'screen-locked', 'screen-unlocked']);
    await desktop.stopSharing();
    expect((await outline()).at(-1)).toBe('epoch-ended: stopped');
    const reasons = (await details()).gaps.map(({ reason }) => reason);
    // Whether a picture was missed while the screen was locked is a matter of how fast this machine is.
    expect(reasons.filter((reason) => reason !== 'screen-locked')).toEqual(['suspended', 'suspended']);
  });
});
