/** The real desktop app behind a network that fails for longer than the relay keeps a recording open. */
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { connect, createServer, type AddressInfo, type Server, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { TestClient } from '../../relay/testing/test-client.ts';
import { fillForm } from '../harness/form.ts';
import { startServices, type Services } from '../harness/services.ts';
import { openStampedScreen, type StampedScreen } from '../harness/stamped-screen.ts';
import { launchDesktop, type DesktopApp } from './launch.ts';

/** The only way from the app to the relay; it can be cut and mended. */
class Cable {
  readonly #target: URL;
  readonly #sockets = new Set<Socket>();
  #server: Server;
  #port = 0;

  constructor(target: string) {
    this.#target = new URL(target);
    this.#server = this.#createServer();
  }

  get url(): string {
    return `http://127.0.0.1:${this.#port}`;
  }

  async mend(): Promise<void> {
    this.#server = this.#createServer();
    this.#server.listen(this.#port, '127.0.0.1');
    await once(this.#server, 'listening');
    this.#port = (this.#server.address() as AddressInfo).port;
  }

  async cut(): Promise<void> {
    this.#server.close();
    for (const socket of this.#sockets) socket.destroy();
    await once(this.#server, 'close');
  }

  #createServer(): Server {
    return createServer((near) => {
      const far = connect(Number(this.#target.port), this.#target.hostname);
      for (const [socket, other] of [
        [near, far],
        [far, near],
      ] as const) {
        this.#sockets.add(socket);
        socket.pipe(other);
        socket.on('error', () => other.destroy());
        socket.on('close', () => {
          this.#sockets.delete(socket);
          other.destroy();
        });
      }
    });
  }
}

let folder: string;
let services: Services;
let screen: StampedScreen;
let cable: Cable;
let admin: TestClient;
let app: DesktopApp;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'proofcast-cut-'));
  [services, screen] = await Promise.all([
    startServices({ RECONNECT_GRACE_MS: '1000' }),
    openStampedScreen(),
  ]);
  cable = new Cable(services.relay.url);
  await cable.mend();
  admin = new TestClient(services.relay.url);
  await admin.call('signIn', { body: services.admin });
  const { code } = await admin.call('createEnrolmentCode', { body: { deviceName: 'Far away' } });
  app = await launchDesktop({ display: screen.display, userDataDir: join(folder, 'desktop') });
  await fillForm(app.page, { 'server-url': cable.url, 'enrolment-code': code });
  await app.page.getByTestId('enrol').click();
});

afterAll(async () => {
  await app?.close();
  await cable?.cut();
  await Promise.all([screen?.close(), services?.close()]);
  await rm(folder, { recursive: true, force: true });
});

const path = (which: 'live' | 'recording', state: string): Promise<void> =>
  app.page.locator(`[data-testid="${which}-path"][data-state="${state}"]`).waitFor();

describe('a network that fails for longer than the grace time', () => {
  it('[I13] ends the recording at the relay, and the share goes on in another one, live all the time', async () => {
    await app.page.getByTestId('source').first().click();
    await app.page.getByTestId('start-sharing').click();
    await path('live', 'live');
    await app.page
      .getByTestId('recording-path')
      .getByText(/[1-9]\d* kB safe/)
      .waitFor();

    await cable.cut();
    await path('recording', 'reconnecting');
    await expect
      .poll(async () => (await admin.call('recordings')).recordings[0]?.state, { timeout: 20_000 })
      .toBe('sealed');
    await path('live', 'live');
    await cable.mend();
    await expect
      .poll(async () => (await admin.call('recordings')).recordings.length, { timeout: 30_000 })
      .toBe(2);
    await path('recording', 'uploading');
    await app.page
      .getByTestId('recording-path')
      .getByText(/[1-9]\d* kB safe/)
      .waitFor();

    await app.page.getByTestId('stop-sharing').click();
    await path('recording', 'finished');
    await app.page.getByTestId('leftovers').getByText('takes no more chunks').waitFor();
    await expect
      .poll(async () => (await admin.call('recordings')).recordings.map(({ state }) => state), {
        timeout: 20_000,
      })
      .toEqual(['sealed', 'sealed']);
  });
});
