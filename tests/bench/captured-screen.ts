/** A really captured screen that is shared with real services, for benchmarks of what people see. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Id } from '@proofcast/shared';
import type { Browser } from 'playwright-core';
import { buildWhenChanged } from '../../scripts/build-steps.ts';
import { TestClient } from '../../relay/testing/test-client.ts';
import { Cable } from '../harness/cable.ts';
import { launchViewer } from '../harness/chromium.ts';
import { DesktopDriver } from '../harness/desktop-driver.ts';
import { startServices, type Services } from '../harness/services.ts';
import { openStampedScreen } from '../harness/stamped-screen.ts';
import { BEHIND_PROXY_ARGUMENTS, startStrictProxy } from '../harness/strict-proxy.ts';

export class CapturedScreen implements AsyncDisposable {
  readonly services: Services;
  readonly desktop: DesktopDriver;
  readonly admin: TestClient;
  /** X display that is captured. */
  readonly display: string;
  /** Between the desktop app and the relay. */
  readonly cable: Cable;
  readonly #stack: AsyncDisposableStack;

  private constructor(
    parts: Pick<CapturedScreen, 'services' | 'desktop' | 'admin' | 'cable' | 'display'> & {
      stack: AsyncDisposableStack;
    },
  ) {
    this.services = parts.services;
    this.desktop = parts.desktop;
    this.admin = parts.admin;
    this.cable = parts.cable;
    this.display = parts.display;
    this.#stack = parts.stack;
  }

  /** Everything runs and the app is enrolled; it does not share yet. */
  static async open(): Promise<CapturedScreen> {
    await using stack = new AsyncDisposableStack();
    for (const workspace of ['dashboard', 'desktop'] as const) {
      if (!(await buildWhenChanged(workspace))) throw new Error(`Cannot build ${workspace}.`);
    }
    const folder = stack.adopt(await mkdtemp(join(tmpdir(), 'proofcast-bench-')), (path) =>
      rm(path, { recursive: true, force: true }),
    );
    const services = stack.adopt(await startServices({ LOG_LEVEL: 'warn' }), (it) => it.close());
    const screen = stack.adopt(await openStampedScreen(), (it) => it.close());
    const admin = new TestClient(services.relay.url);
    await admin.call('signIn', { body: services.admin });
    const { code } = await admin.call('createEnrolmentCode', { body: { deviceName: 'Desk' } });
    const cable = stack.adopt(new Cable(services.relay.url), (it) => it.cut());
    await cable.mend();
    const userDataDir = join(folder, 'desktop');
    const desktop = stack.adopt(await DesktopDriver.launch({ display: screen.display, userDataDir }), (it) =>
      it.close(),
    );
    await desktop.enrol(cable.url, code);
    return new CapturedScreen({
      services,
      desktop,
      admin,
      cable,
      display: screen.display,
      stack: stack.move(),
    });
  }

  /** Shares the screen; resolves with the stream once both paths work. */
  async share(): Promise<Id> {
    await this.desktop.shareScreen();
    const { streams } = await this.admin.call('streams');
    return streams[0]!.streamId;
  }

  /** A browser that can reach the relay and the signalling of the SFU, but no media port. */
  async openRestrictedBrowser(): Promise<Browser> {
    const { relay, sfu } = this.services;
    const hosts = [relay.url, sfu.url].map((url) => new URL(url).host);
    const proxy = this.#stack.adopt(await startStrictProxy(hosts), (it) => it.close());
    const browser = await launchViewer({
      args: BEHIND_PROXY_ARGUMENTS,
      proxy: { server: proxy.url, bypass: '<-loopback>' },
    });
    return this.#stack.adopt(browser, (it) => it.close());
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#stack.disposeAsync();
  }
}
