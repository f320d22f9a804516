/** kill −9 of the relay while it records: the recording goes on as one file, and no acknowledged chunk is missing. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { TestClient } from '../../relay/testing/test-client.ts';
import { DesktopDriver } from '../harness/desktop-driver.ts';
import { startServices, type Services } from '../harness/services.ts';
import { probeFile, readFileFrames } from '../harness/stamp-readers.ts';
import { downloadOnlyRecording } from '../harness/sealed-recording.ts';
import { openStampedScreen, type StampedScreen } from '../harness/stamped-screen.ts';

let folder: string;
let services: Services;
let screen: StampedScreen;
let desktop: DesktopDriver;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'proofcast-journey-'));
  services = await startServices();
  screen = await openStampedScreen();
  const admin = new TestClient(services.relay.url);
  await admin.call('signIn', { body: services.admin });
  const { code } = await admin.call('createEnrolmentCode', { body: { deviceName: 'Desk 9' } });
  desktop = await DesktopDriver.launch({ display: screen.display, userDataDir: join(folder, 'desktop') });
  await desktop.enrol(services.relay.url, code);
});

afterAll(async () => {
  await desktop?.close();
  await Promise.all([screen?.close(), services?.close()]);
  await rm(folder, { recursive: true, force: true });
});

describe('a relay that is killed in the middle of a recording', () => {
  it('[I3] goes on with the same recording after its restart, and nothing is missing in it', async () => {
    await desktop.shareScreen();
    await desktop.waitForDurableBytes(1);
    await services.relay.kill();
    await desktop.waitForRecordingState('reconnecting');
    await services.restartRelay();
    await desktop.waitForRecordingState('uploading');
    const durableAfterRestart = await desktop.durableBytes();
    await desktop.waitForDurableBytes(durableAfterRestart + 1);
    const stoppedMs = await desktop.stopSharing();

    const admin = new TestClient(services.relay.url);
    await admin.call('signIn', { body: services.admin });
    const path = join(folder, 'recording.webm');
    const recording = await downloadOnlyRecording(admin, path);
    const probed = await probeFile(path);
    expect(Math.abs(probed.durationS * 1000 - (stoppedMs - recording.startedAtMs))).toBeLessThan(500);

    const stamps = (await readFileFrames(path)).map(({ stampMs }) => stampMs ?? Number.NaN);
    const stepsMs = stamps.slice(1).map((stamp, index) => stamp - stamps[index]!);
    expect(Math.min(...stepsMs)).toBeGreaterThanOrEqual(0);
    // 20 pictures a second; a busy machine may skip some, a lost slice would be a hole of two seconds.
    expect(Math.max(...stepsMs)).toBeLessThan(1500);
    expect(stoppedMs - stamps.at(-1)!).toBeLessThan(1500);
  });
});
