/** A person at the desktop app: types, clicks, reads what the app says. */
import { setTimeout as wait } from 'node:timers/promises';
import type { DesktopState, ProofcastBridge, RecordingPath } from '../../desktop/src/ipc.ts';
import { launchDesktop, type DesktopApp } from '../electron-stand-in/launch.ts';
import { fillForm } from './form.ts';

declare global {
  interface Window {
    /** Put there by the preload script of the app. */
    readonly proofcast: ProofcastBridge;
  }
}

const POLL_MS = 50;
const STATE_TIMEOUT_MS = 60_000;

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

  /** Chooses the device whose sound is shared, by its name in the list. */
  async chooseSound(name: string | RegExp): Promise<void> {
    const { page } = this.app;
    await page.getByTestId('sound-picker').click();
    await page.getByRole('option', { name }).click();
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
    await this.app.page
      .locator(`[data-testid="recording-path"][data-state="${state}"]`)
      .waitFor({ timeout: STATE_TIMEOUT_MS });
  }

  /** Selects the first source and starts to share it, without waiting for anything to come of it. */
  async clickStart(): Promise<void> {
    const { page } = this.app;
    await page.getByTestId('source').first().click();
    await page.getByTestId('start-sharing').click();
  }

  async clickStop(): Promise<void> {
    await this.app.page.getByTestId('stop-sharing').click();
  }

  /** Resolves when the page that came after one that was killed shares again. */
  async waitForGoingOn(): Promise<void> {
    await this.app.page.getByTestId('stop-sharing').waitFor();
    await this.waitForRecordingState('uploading');
  }

  /** As after `clickStart` and the death of the page: goes on, or starts when the click was lost with the page. */
  async goOnOrStart(): Promise<void> {
    if (!(await this.isSharing())) await this.clickStart();
    await this.waitForGoingOn();
  }

  /** Whether this page shares, once it is known what the page before it has left. */
  async isSharing(): Promise<boolean> {
    const { page } = this.app;
    const stopping = page.getByTestId('stop-sharing');
    await stopping.or(page.getByTestId('start-sharing')).waitFor();
    return stopping.isVisible();
  }

  /** Goes on with the share that the end of the app has interrupted. */
  async resume(): Promise<void> {
    await this.app.page.getByTestId('resume-sharing').click();
    await this.waitForGoingOn();
  }

  /** As `resume`, or shares anew when nothing can be resumed. */
  async resumeOrStart(): Promise<void> {
    const { resumable } = await this.#readyState();
    if (resumable) return this.resume();
    await this.clickStart();
    await this.waitForGoingOn();
  }

  async declineResumptionIfOffered(): Promise<void> {
    const { resumable } = await this.#readyState();
    if (resumable) await this.app.page.getByTestId('decline-resumption').click();
  }

  async state(): Promise<DesktopState> {
    const answer = await this.app.page.evaluate(() => window.proofcast.request('readState', {}));
    if (!answer.ok) throw new Error(answer.error.message);
    return answer.result;
  }

  async durableBytes(): Promise<number> {
    const { recording } = await this.state();
    return recording.kind === 'idle' ? 0 : recording.durableBytes;
  }

  /** Resolves when the relay has confirmed more of the recording than at the time of the call. */
  async waitForMoreDurableBytes(): Promise<void> {
    await this.waitForDurableBytes((await this.durableBytes()) + 1);
  }

  /** Resolves when the relay has confirmed at least so many bytes of the recording as durable. */
  async waitForDurableBytes(atLeastBytes: number): Promise<void> {
    await this.waitForState(
      ({ recording }) => recording.kind !== 'idle' && recording.durableBytes >= atLeastBytes,
    );
  }

  /** Resolves when the recording of an earlier run is complete at the relay. */
  async waitForUpload(recordingId: string): Promise<void> {
    await this.waitForState(({ uploads }) =>
      uploads.every((upload) => upload.recordingId !== recordingId || upload.state.kind === 'done'),
    );
  }

  async waitForState(condition: (state: DesktopState) => boolean): Promise<void> {
    const deadlineMs = performance.now() + STATE_TIMEOUT_MS;
    for (let state = await this.state(); !condition(state); state = await this.state()) {
      if (performance.now() > deadlineMs) throw new Error(`The app stays as it is: ${JSON.stringify(state)}`);
      await wait(POLL_MS);
    }
  }

  /** The state of the app when its page shows something to choose. */
  async #readyState(): Promise<DesktopState> {
    await this.app.page.getByTestId('source').first().waitFor();
    return this.state();
  }

  close(): Promise<void> {
    return this.app.close();
  }
}
