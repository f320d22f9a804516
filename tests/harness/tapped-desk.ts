/** A person at a desktop app of their own, which reaches its relay only through a tap: what went over it is known. */
import { join } from 'node:path';
import type { Id } from '../../shared/src/index.ts';
import type { TestClient } from '../../relay/testing/test-client.ts';
import { DesktopDriver } from './desktop-driver.ts';
import { IngestTap, type TappedRecording } from './ingest-tap.ts';

export interface DeskOptions {
  /** X display to capture from. */
  readonly display: string;
  /** An admin of the company, and by it the relay. */
  readonly admin: TestClient;
  /** Of this desk among others. */
  readonly name: string;
  /** Where the app keeps its data. */
  readonly userDataDir: string;
  readonly env?: Readonly<Record<string, string>>;
}

export class TappedDesk {
  readonly tap: IngestTap;
  readonly #options: DeskOptions;
  #desktop: DesktopDriver;

  private constructor(tap: IngestTap, desktop: DesktopDriver, options: DeskOptions) {
    this.tap = tap;
    this.#desktop = desktop;
    this.#options = options;
  }

  /** With its app running and enrolled. */
  static async open(options: DeskOptions): Promise<TappedDesk> {
    const { admin, name } = options;
    const tap = new IngestTap(admin.relayUrl);
    await tap.mend();
    const desk = new TappedDesk(tap, await launch(options), options);
    try {
      const { code } = await admin.call('createEnrolmentCode', { body: { deviceName: name } });
      await desk.desktop.enrol(tap.url, code);
      return desk;
    } catch (error) {
      await desk.close();
      throw error;
    }
  }

  /** The app that runs now. */
  get desktop(): DesktopDriver {
    return this.#desktop;
  }

  /** kill −9 of the app's main process, and another start. */
  async killAndStart(): Promise<void> {
    const killed = this.#desktop.app;
    const isCleanedUp = killed.kill();
    // The next run begins while the browser of the one before is still being cleared away.
    await killed.exited;
    this.#desktop = await launch(this.#options);
    await isCleanedUp;
  }

  /** The recordings that were begun since there were those of `before`, and of which the relay has a chunk. */
  recordingsSince(before: ReadonlySet<Id>): [Id, TappedRecording][] {
    return [...this.tap.recordings].filter(([id, { hashes }]) => !before.has(id) && hashes.size > 0);
  }

  async close(): Promise<void> {
    await this.#desktop.close();
    await this.tap.cut();
  }
}

const launch = ({ display, userDataDir, name, env = {} }: DeskOptions): Promise<DesktopDriver> =>
  DesktopDriver.launch({ display, userDataDir: join(userDataDir, name), env });
