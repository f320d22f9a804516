/**
 * The recording path of one share: a recorder that feeds a recording in the main process. When that fails in a way
 * that may pass, a new recording is begun; the live path never notices.
 */
import { CodedError, createReconnectPolicy, toCodedError, type Id } from '@proofcast/shared';
import { ChunkRecorder } from './chunk-recorder.ts';
import { RECORDING_RETRY } from './config.ts';
import { ask } from './main-process.ts';

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

  /** Resolves when the last slice is on the disk of this machine. Idempotent. */
  async stop(): Promise<void> {
    this.#isStopped = true;
    window.clearTimeout(this.#retry);
    await this.#work;
    await this.#end();
  }

  /** Never rejects. */
  async #begin(): Promise<void> {
    if (this.#isStopped) return;
    try {
      const { recordingId } = await ask('beginRecording', {});
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
    this.#work = this.#work.then(() => this.#end());
    // A recording that the relay has sealed while this machine was away is over; what comes now is another one.
    if (!error.isRetryable && error.code !== 'RECORDING_SEALED') return;
    this.#retry = window.setTimeout(() => {
      this.#work = this.#work.then(() => this.#begin());
    }, this.#policy.nextDelayMs());
  }

  /** Ends the running recording with its last slice. Never rejects. */
  async #end(): Promise<void> {
    const running = this.#running;
    this.#running = undefined;
    if (!running) return;
    await running.recorder.stop();
    // The main process ends it by itself when this request does not arrive: the spool knows what it has.
    await ask('endRecording', { recordingId: running.recordingId }).catch(() => undefined);
  }
}
