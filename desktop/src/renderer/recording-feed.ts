/**
 * The recording path of one capture: a recorder that feeds the recording of the share in the main process. When that
 * fails in a way that may pass, another epoch of the same recording is begun; the live path never notices.
 */
import { CodedError, createReconnectPolicy, toCodedError, type Id } from '@proofcast/shared';
import type { IpcParams } from '../ipc.ts';
import { ChunkRecorder } from './chunk-recorder.ts';
import { RECORDING_RETRY } from './config.ts';
import { ask } from './main-process.ts';

/** Why an epoch ends, as far as this side knows. */
export type FeedEndReason = IpcParams<'endEpoch'>['reason'];

export class RecordingFeed {
  readonly #track: MediaStreamTrack;
  readonly #sourceName: string;
  readonly #onFailure: (error: CodedError | null) => void;
  readonly #policy = createReconnectPolicy(RECORDING_RETRY);
  #running: { recorder: ChunkRecorder; recordingId: Id } | undefined;
  #work: Promise<void> = Promise.resolve();
  #retry: number | undefined;
  #isWatched = false;
  #isStopped = false;

  /** `onFailure` hears why nothing is recorded at the moment, and null when something is again. */
  constructor(options: {
    track: MediaStreamTrack;
    sourceName: string;
    onFailure: (error: CodedError | null) => void;
  }) {
    this.#track = options.track;
    this.#sourceName = options.sourceName;
    this.#onFailure = options.onFailure;
  }

  /** Call once. */
  start(): void {
    this.#work = this.#begin();
  }

  setWatched(isWatched: boolean): void {
    this.#isWatched = isWatched;
    this.#running?.recorder.setWatched(isWatched);
  }

  /** What kept it from recording may be over: tries again now, when it is waiting to do so. */
  retryNow(): void {
    if (this.#retry === undefined) return;
    window.clearTimeout(this.#retry);
    this.#beginAgain();
  }

  /** Resolves when the last slice, and why it is the last, is on the disk of this machine. Idempotent. */
  async stop(reason: FeedEndReason): Promise<void> {
    this.#isStopped = true;
    window.clearTimeout(this.#retry);
    await this.#work;
    await this.#end(reason);
  }

  /** Never rejects. */
  async #begin(): Promise<void> {
    if (this.#isStopped) return;
    try {
      const { recordingId } = await ask('openRecording', {});
      const recorder = new ChunkRecorder({
        track: this.#track,
        sourceName: this.#sourceName,
        sink: {
          beginEpoch: async (start) => void (await ask('beginEpoch', { recordingId, start })),
          appendSlice: async (bytes, captureTimeUs) => {
            await ask('appendSlice', { recordingId, captureTimeUs, bytes });
            this.#policy.reset();
          },
        },
        onFailed: (error) => this.#onFailed(error),
      });
      recorder.setWatched(this.#isWatched);
      this.#running = { recorder, recordingId };
      this.#onFailure(null);
    } catch (error) {
      this.#onFailed(toCodedError(error));
    }
  }

  #onFailed(error: CodedError): void {
    if (this.#isStopped) return;
    this.#onFailure(error);
    this.#work = this.#work.then(() => this.#end('recorder-failed'));
    // What comes after a recording that the relay has sealed is another one, which the main process begins.
    if (!error.isRetryable && error.code !== 'RECORDING_SEALED') return;
    this.#retry = window.setTimeout(() => this.#beginAgain(), this.#policy.nextDelayMs());
  }

  #beginAgain(): void {
    this.#retry = undefined;
    this.#work = this.#work.then(() => this.#begin());
  }

  /** Ends the running epoch with its last slice. Never rejects. */
  async #end(reason: FeedEndReason): Promise<void> {
    const running = this.#running;
    this.#running = undefined;
    if (!running) return;
    await running.recorder.stop();
    // When this request does not arrive, the main process writes down what it knows by itself.
    await ask('endEpoch', { recordingId: running.recordingId, reason }).catch(() => undefined);
  }
}
