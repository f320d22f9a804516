/**
 * The recording path of one capture: a recorder that feeds the recording of the share in the main process. When that
 * fails in a way that may pass, another epoch of the same recording is begun; the live path never notices.
 */
import { CodedError, createReconnectPolicy, toCodedError, type Id } from '@proofcast/shared';
import type { IpcParams, SharedSource } from '../ipc.ts';
import { isRecordingReplaceable } from '../refusals.ts';
import type { CapturedTracks } from './capture.ts';
import { ChunkRecorder, type ChunkSink } from './chunk-recorder.ts';
import { RECORDING_PROVEN_MS, RECORDING_RETRY, REFUSED_RETRY, SUSPEND_TOLERANCE_MS } from './config.ts';
import { ask } from './main-process.ts';

/** Why an epoch ends, as far as this side knows. */
export type FeedEndReason = IpcParams<'endEpoch'>['reason'];

/** One epoch, from the opening of its recording on. */
interface Run {
  readonly recordingId: Id;
  readonly beganAtMs: number;
  /** Null until the main process has begun it. */
  epoch: number | null;
  /** It is about to be followed by one of another recording. */
  isLast: boolean;
}

export class RecordingFeed {
  readonly #tracks: CapturedTracks;
  readonly #source: SharedSource;
  readonly #onFailure: (error: CodedError | null) => void;
  readonly #policy = createReconnectPolicy(RECORDING_RETRY);
  readonly #refusedPolicy = createReconnectPolicy(REFUSED_RETRY);
  #running: { recorder: ChunkRecorder; run: Run } | undefined;
  #work: Promise<void> = Promise.resolve();
  #retry: number | undefined;
  #isWatched = false;
  #isStopped = false;

  /** `onFailure` hears why nothing is recorded at the moment, and null when something is again. */
  constructor(options: {
    tracks: CapturedTracks;
    source: SharedSource;
    onFailure: (error: CodedError | null) => void;
  }) {
    this.#tracks = options.tracks;
    this.#source = options.source;
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

  /** The device goes to sleep: ends the epoch. Another one begins with `retryNow`, or after a while. */
  suspend(): void {
    if (this.#isStopped) return;
    this.#work = this.#work.then(() => this.#end('suspended'));
    this.#retryAfter(SUSPEND_TOLERANCE_MS);
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
    if (this.#isStopped || this.#running) return;
    try {
      const { recordingId } = await ask('openRecording', {});
      if (this.#isStopped) return;
      const run: Run = { recordingId, beganAtMs: performance.now(), epoch: null, isLast: false };
      const recorder = new ChunkRecorder({
        tracks: this.#tracks,
        sourceName: this.#source.name,
        sink: this.#sinkOf(run),
        onFailed: (error) => this.#onFailed(error),
      });
      recorder.setWatched(this.#isWatched);
      this.#running = { recorder, run };
      this.#onFailure(null);
    } catch (error) {
      this.#onFailed(toCodedError(error));
    }
  }

  #sinkOf(run: Run): ChunkSink {
    const { recordingId } = run;
    return {
      beginEpoch: async (start) => {
        ({ epoch: run.epoch } = await ask('beginEpoch', { recordingId, start }));
      },
      appendSlice: async (bytes, captureTimeUs) => {
        const { epoch } = run;
        if (epoch === null) throw new CodedError('MESSAGE_UNEXPECTED', 'A slice came before its epoch.');
        const { isNearlyFull } = await ask('appendSlice', { recordingId, epoch, captureTimeUs, bytes });
        if (performance.now() - run.beganAtMs >= RECORDING_PROVEN_MS) {
          this.#policy.reset();
          this.#refusedPolicy.reset();
        }
        if (isNearlyFull) this.#replaceRecording(run);
      },
    };
  }

  /** The main process answers the next request for a recording with another one. */
  #replaceRecording(run: Run): void {
    if (run.isLast || this.#isStopped) return;
    run.isLast = true;
    this.#work = this.#work.then(() => this.#end('recorder-restarted')).then(() => this.#begin());
  }

  #onFailed(error: CodedError): void {
    if (this.#isStopped) return;
    this.#onFailure(error);
    this.#work = this.#work.then(() => this.#end('recorder-failed'));
    if (error.isRetryable) return this.#retryAfter(this.#policy.nextDelayMs());
    // What comes after a recording that is refused is another one, which the main process begins.
    if (isRecordingReplaceable(error.code)) this.#retryAfter(this.#refusedPolicy.nextDelayMs());
  }

  #retryAfter(delayMs: number): void {
    window.clearTimeout(this.#retry);
    this.#retry = window.setTimeout(() => this.#beginAgain(), delayMs);
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
    const { recorder, run } = running;
    await recorder.stop();
    const { recordingId, epoch } = run;
    if (epoch === null) return;
    const { sourceId } = this.#source;
    // When this request does not arrive, the main process writes down what it knows by itself.
    await ask('endEpoch', { recordingId, epoch, sourceId, reason }).catch(() => undefined);
  }
}
