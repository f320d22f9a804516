/**
 * One run of the recorder, which is one epoch: its slices, in order and to the last one, handed to the main process.
 * It is never restarted for a viewer; while somebody watches it only flushes more often.
 */
import { CodedError, type EpochStart } from '@proofcast/shared';
import { MAX_SOURCE_NAME_LENGTH } from '../ipc.ts';
import type { CapturedTracks } from './capture.ts';
import { RECORDER } from './config.ts';
import { timeOfNextPictureUs } from './next-picture.ts';

/** Where the recorder delivers to. Calls are made one after the other, each after the one before has resolved. */
export interface ChunkSink {
  beginEpoch(start: EpochStart): Promise<void>;
  appendSlice(bytes: Uint8Array, captureTimeUs: number): Promise<void>;
}

/** Chromium's option that TypeScript's DOM does not know (W3C MediaStream Recording, 2.3). */
interface KeyFrameOptions extends MediaRecorderOptions {
  videoKeyFrameIntervalDuration: number;
}

export class ChunkRecorder {
  readonly #recorder: MediaRecorder;
  readonly #sink: ChunkSink;
  readonly #onFailed: (error: CodedError) => void;
  readonly #stopped: Promise<void>;
  #isStopping = false;
  #flushes: number | undefined;
  #deliveries: Promise<void> = Promise.resolve();
  #pendingBytes = 0;
  #failure: CodedError | undefined;
  /** A slice was lost: none may follow it in this epoch. A recorder that failed may still have one to hand over. */
  #isDeliveryBroken = false;

  /** Starts to record. `onFailed` is called once, when nothing more can be recorded or delivered. */
  constructor(options: {
    tracks: CapturedTracks;
    sourceName: string;
    sink: ChunkSink;
    onFailed: (error: CodedError) => void;
  }) {
    const { sourceName, sink, onFailed } = options;
    const { picture: track, sound } = options.tracks;
    this.#sink = sink;
    this.#onFailed = onFailed;
    const recorderOptions: KeyFrameOptions = {
      mimeType: sound ? RECORDER.soundMimeType : RECORDER.mimeType,
      audioBitsPerSecond: RECORDER.audioBitsPerSecond,
      videoBitsPerSecond: RECORDER.videoBitsPerSecond,
      videoKeyFrameIntervalDuration: RECORDER.keyFrameIntervalMs,
    };
    const recorder = new MediaRecorder(new MediaStream(sound ? [track, sound] : [track]), recorderOptions);
    this.#recorder = recorder;
    this.#stopped = new Promise((resolve) =>
      recorder.addEventListener('stop', () => resolve(), { once: true }),
    );
    recorder.addEventListener('dataavailable', ({ data }) => this.#take(data));
    recorder.addEventListener('error', (event) => {
      const cause: unknown = 'error' in event ? event.error : event;
      // An encoder that breaks once may work again: another epoch is begun.
      this.#fail(new CodedError('INTERNAL', 'The recorder failed.', { cause }));
    });
    recorder.addEventListener('stop', () => {
      // The end of its track stops it too, and is told elsewhere.
      if (this.#isStopping || track.readyState === 'ended') return;
      this.#fail(new CodedError('INTERNAL', 'The recorder stopped by itself.'));
    });
    recorder.start(RECORDER.sliceMs);
    // Timestamp zero is the first picture that the recorder gets, and that may take its time on a busy machine.
    this.#deliver(async () => {
      const startedAtUs = await timeOfNextPictureUs(track, this.#stopped);
      await sink.beginEpoch(this.#describe(options.tracks, sourceName, startedAtUs));
    });
  }

  /** While somebody watches through the relay, slices come several times a second. */
  setWatched(isWatched: boolean): void {
    if (isWatched === (this.#flushes !== undefined)) return;
    window.clearInterval(this.#flushes);
    this.#flushes = isWatched ? window.setInterval(() => this.#flush(), RECORDER.watchedSliceMs) : undefined;
  }

  /** Resolves when the last slice has been delivered, or cannot be. Idempotent. */
  async stop(): Promise<void> {
    this.#stopRecorder();
    // The last slice comes with the recorder inactive already, and the stop event after it.
    await this.#stopped;
    await this.#deliveries;
  }

  #describe({ picture, sound }: CapturedTracks, sourceName: string, startedAtUs: number): EpochStart {
    const { width = 1, height = 1 } = picture.getSettings();
    return {
      mimeType: this.#recorder.mimeType,
      startedAtUs,
      sourceName: sourceName.slice(0, MAX_SOURCE_NAME_LENGTH),
      widthPx: Math.round(width),
      heightPx: Math.round(height),
      hasAudio: sound !== null,
    };
  }

  #take(data: Blob): void {
    if (data.size === 0 || this.#isDeliveryBroken) return;
    const captureTimeUs = nowUs();
    this.#pendingBytes += data.size;
    if (this.#pendingBytes > RECORDER.maxPendingBytes) {
      const message = `The disk of this machine is too slow: ${this.#pendingBytes} bytes wait for it.`;
      return this.#breakDelivery(new CodedError('SPOOL_FAILED', message));
    }
    this.#deliver(async () => {
      await this.#sink.appendSlice(new Uint8Array(await data.arrayBuffer()), captureTimeUs);
      this.#pendingBytes -= data.size;
    });
  }

  /** One delivery after the other; after a failure there are no more. */
  #deliver(deliver: () => Promise<void>): void {
    this.#deliveries = this.#deliveries.then(async () => {
      if (this.#isDeliveryBroken) return;
      try {
        await deliver();
      } catch (error) {
        const isCoded = error instanceof CodedError;
        this.#breakDelivery(
          isCoded ? error : new CodedError('INTERNAL', 'A slice was lost on its way.', { cause: error }),
        );
      }
    });
  }

  #breakDelivery(error: CodedError): void {
    this.#isDeliveryBroken = true;
    this.#fail(error);
  }

  #fail(error: CodedError): void {
    if (this.#failure) return;
    this.#failure = error;
    this.#stopRecorder();
    this.#onFailed(error);
  }

  #stopRecorder(): void {
    this.#isStopping = true;
    this.setWatched(false);
    if (this.#recorder.state !== 'inactive') this.#recorder.stop();
  }

  #flush(): void {
    if (this.#recorder.state === 'recording') this.#recorder.requestData();
  }
}

function nowUs(): number {
  return Date.now() * 1000;
}
