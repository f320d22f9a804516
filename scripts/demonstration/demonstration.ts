/**
 * The demonstration publisher of `npm start`: a real X screen with moving content, shared by the real desktop app,
 * which runs on the stand-in for Electron. It shares for a few seconds and stops, so that there is a finished
 * recording to look at, and then shares until it is closed.
 */
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { TestClient } from '../../relay/testing/test-client.ts';
import { DesktopDriver } from '../../tests/harness/desktop-driver.ts';
import { openKioskScreen } from '../../tests/harness/kiosk-screen.ts';

const DEVICE_NAME = 'Demonstration desk';
const DESK_URL = pathToFileURL(join(import.meta.dirname, 'screen.html')).href;
/** Of the first recording, the one to look at. */
const FIRST_RECORDING_MS = 15_000;

export interface Demonstration {
  /** Stops sharing, so that the recording is sealed, and ends everything. Idempotent. */
  close(): Promise<void>;
}

export interface DemonstrationOptions {
  readonly relayUrl: string;
  /** Without a password, only a device that is enrolled already can be used. */
  readonly admin: { readonly email: string; readonly password: string | undefined };
  /** Where the demonstration device keeps its identity from start to start. */
  readonly dataDir: string;
  readonly say: (message: string) => void;
}

/** Returns null, having said why, when the demonstration has no business on this machine. */
export async function runDemonstration(options: DemonstrationOptions): Promise<Demonstration | null> {
  const { relayUrl, admin, dataDir, say } = options;
  await mkdir(dataDir, { recursive: true, mode: 0o700 });
  const closers: (() => Promise<void>)[] = [];
  const close = once(async () => {
    for (const closeOne of closers.toReversed()) await closeOne();
  });
  try {
    const screen = await openKioskScreen((page) => page.goto(DESK_URL));
    closers.push(() => screen.close());
    const desktop = await DesktopDriver.launch({ display: screen.display, userDataDir: dataDir });
    closers.push(() => desktop.close());
    if (!(await desktop.isEnrolled())) {
      const code = await requestEnrolmentCode(relayUrl, admin);
      if (code === null) {
        say(
          'No demonstration: other devices are enrolled, or the password of the admin is not in ADMIN_PASSWORD.',
        );
        await close();
        return null;
      }
      await desktop.enrol(relayUrl, code);
    }
    await desktop.shareScreen();
    say('The demonstration screen is live. Its first recording will be ready in a few seconds …');
    void showRecordingThenShare(desktop, say);
    return { close };
  } catch (error) {
    await close();
    throw error;
  }
}

async function showRecordingThenShare(desktop: DesktopDriver, say: (message: string) => void): Promise<void> {
  try {
    await new Promise((resolve) => setTimeout(resolve, FIRST_RECORDING_MS));
    await desktop.stopSharing();
    await desktop.shareScreen();
    say('A recording is ready to be played, and the screen is live again.');
  } catch (error) {
    // Also when it is closed in the meantime; the services do not depend on it.
    if (desktop.app.page.isClosed()) return;
    say(`The demonstration has stopped: ${error instanceof Error ? error.message : String(error)}`);
  }
}

/** Null when there are devices already, whose people would not expect a demonstration, or nobody may ask. */
async function requestEnrolmentCode(
  relayUrl: string,
  { email, password }: DemonstrationOptions['admin'],
): Promise<string | null> {
  if (password === undefined) return null;
  const client = new TestClient(relayUrl);
  await client.call('signIn', { body: { email, password } });
  const { devices } = await client.call('devices');
  if (devices.some((device) => device.name !== DEVICE_NAME)) return null;
  return (await client.call('createEnrolmentCode', { body: { deviceName: DEVICE_NAME } })).code;
}

function once(action: () => Promise<void>): () => Promise<void> {
  let running: Promise<void> | undefined;
  return () => (running ??= action());
}
