/** A person at the desktop app: types, clicks, reads what the app says. */
import type { ProofcastBridge, RecordingPath } from '../../desktop/src/ipc.ts';
import { launchDesktop, type DesktopApp } from '../electron-stand-in/launch.ts';
import { fillForm } from './form.ts';

declare global {
  interface Window {
    /** Put there by the preload script of the app. */
    readonly proofcast: ProofcastBridge;
  }
}

export class DesktopDriver {
  readonly app: DesktopApp;

  constructor(app: DesktopApp) {
    this.app = app;
  }

  static async launch(options: Parameters<typeof launchDesktop>[0]): Promise<DesktopDriver> {
    return new DesktopDriver(await launchDesktop(options));
  }

  /** Whether the app knows its server already. */
  async isEnrolled(): Promise<boolean> {
    const { page } = this.app;
    const choosing = page.getByTestId('start-sharing');
    await choosing.or(page.getByTestId('enrol')).waitFor();
    return choosing.isVisible();
  }

  async enrol(serverUrl: string, code: string): Promise<void> {
    const { page } = this.app;
    await fillForm(page, { 'server-url': serverUrl, 'enrolment-code': code });
    await page.getByTestId('enrol').click();
    await page.getByTestId('start-sharing').waitFor();
  }

  /** Starts with nothing selected, and resolves when the app has said so. */
  async startWithoutSource(): Promise<void> {
    await this.app.page.getByTestId('source').first().waitFor();
    await this.app.page.getByTestId('start-sharing').click();
    await this.app.page.getByTestId('no-source-alert').waitFor();
  }

  /** Shares the first source, and resolves when both paths work. */
  async shareScreen(): Promise<void> {
    const { page } = this.app;
    await page.getByTestId('source').first().click();
    await page.getByTestId('start-sharing').click();
    await page.locator('[data-testid="live-path"][data-state="live"]').waitFor();
    await this.waitForRecordingState('uploading');
  }

  /**
   * Stops sharing, and resolves when the relay has everything on disk. Returns when the click was made, in
   * milliseconds since 1970.
   */
  async stopSharing(): Promise<number> {
    const clickedMs = Date.now();
    await this.app.page.getByTestId('stop-sharing').click();
    await this.waitForRecordingState('finished');
    return clickedMs;
  }

  async waitForRecordingState(state: RecordingPath['kind']): Promise<void> {
    await this.app.page.locator(`[data-testid="recording-path"][data-state="${state}"]`).waitFor();
  }

  async durableBytes(): Promise<number> {
    const answer = await this.app.page.evaluate(() => window.proofcast.request('readState', {}));
    if (!answer.ok) throw new Error(answer.error.message);
    const { recording } = answer.result;
    return recording.kind === 'idle' ? 0 : recording.durableBytes;
  }

  /** Resolves when the relay has confirmed at least so many bytes of the recording as durable. */
  async waitForDurableBytes(atLeastBytes: number): Promise<void> {
    await this.app.page.evaluate(
      (bytes) =>
        new Promise<void>((resolve) => {
          const stop = window.proofcast.on('stateChanged', ({ recording }) => {
            if (recording.kind === 'idle' || recording.durableBytes < bytes) return;
            stop();
            resolve();
          });
        }),
      atLeastBytes,
    );
  }

  close(): Promise<void> {
    return this.app.close();
  }
}
