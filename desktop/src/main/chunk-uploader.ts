/**
 * Uploads one recording until the relay has all of it, however often the connection breaks. It reads from the spool
 * only, so that capture never waits for the network.
 */
import { CodedError, createReconnectPolicy, type ErrorCode } from '@proofcast/shared';
import type { Logger } from 'pino';
import type { UploadLimits } from './config.ts';
import type { Backlog } from './backlog-report.ts';
import { IngestConnection, type IngestAddress, type Pace } from './ingest-connection.ts';
import type { SpooledRecording } from './spooled-recording.ts';

export type UploadState =
  | { readonly kind: 'connecting' }
  | { readonly kind: 'uploading' }
  /** Not connected since then; it goes on trying. */
  | { readonly kind: 'reconnecting'; readonly sinceMs: number; readonly reason: CodedError }
  /** Capture has ended; the rest is on its way. */
  | { readonly kind: 'finishing' }
  /** Interrupted, and all of it is at the relay: nobody is connected until it goes on or ends. */
  | { readonly kind: 'parked' }
  | { readonly kind: 'finished'; readonly chunkCount: number }
  /** The relay will never take the rest; it stays in the spool. */
  | { readonly kind: 'failed'; readonly reason: CodedError };

/** Where to upload to. `discard` is told that the relay refused the token of the last `get`. */
export interface IngestAccess {
  get(): Promise<IngestAddress>;
  discard(): void;
}

/** A new token, and not a new attempt with the same one, mends these. */
const TOKEN_REFUSALS: readonly ErrorCode[] = ['UNAUTHENTICATED', 'TOKEN_INVALID', 'TOKEN_EXPIRED'];

export class ChunkUploader {
  readonly #options: {
    recording: SpooledRecording;
    access: IngestAccess;
    limits: UploadLimits;
    pace: () => Pace;
    backlog: () => Backlog;
    log: Logger;
    onChanged: () => void;
  };
  readonly #policy;
  readonly #unsubscribe: () => void;
  #state: UploadState = { kind: 'connecting' };
  #viewerCount = 0;
  #stillsIntervalMs: number | null = null;
  #connection: IngestConnection | undefined;
  #retry: NodeJS.Timeout | undefined;
  #isClosed = false;

  /**
   * `onChanged` is called when the state, the viewers or the progress have changed. After what `pace` returns has
   * changed, call `pump`. `backlog` is what the relay is told.
   */
  constructor(options: {
    recording: SpooledRecording;
    access: IngestAccess;
    limits: UploadLimits;
    pace: () => Pace;
    backlog: () => Backlog;
    log: Logger;
    onChanged: () => void;
  }) {
    this.#options = options;
    this.#policy = createReconnectPolicy(options.limits.reconnect);
    this.#unsubscribe = options.recording.subscribe(() => this.#onRecordingChanged());
  }

  /** Call once. */
  start(): void {
    void this.#connect();
  }

  get state(): UploadState {
    return this.#state;
  }

  /** Viewers through the relay, as far as is known; 0 without a connection. */
  get viewerCount(): number {
    return this.#viewerCount;
  }

  /** How often the relay wants a still picture; null when it wants none, or is not there. */
  get stillsIntervalMs(): number | null {
    return this.#stillsIntervalMs;
  }

  /** Whether it uses the network at this moment, or is about to. */
  get isBusy(): boolean {
    const isConnected = this.#state.kind === 'uploading' || this.#state.kind === 'finishing';
    return this.#state.kind === 'connecting' || (isConnected && this.#connection?.isBusy === true);
  }

  /** Sends what may be sent now. */
  pump(): void {
    this.#connection?.pump();
  }

  sendStill(jpeg: Uint8Array, captureTimeUs: number): void {
    this.#connection?.sendStill(jpeg, captureTimeUs);
  }

  /** Ends the upload where it is; the spool keeps the rest. Idempotent. */
  close(): void {
    this.#isClosed = true;
    this.#unsubscribe();
    clearTimeout(this.#retry);
    this.#connection?.close();
  }

  /** Never rejects. */
  async #connect(): Promise<void> {
    const { recording, access, limits, pace, backlog } = this.#options;
    try {
      const address = await access.get();
      if (this.#isClosed) return;
      this.#connection = new IngestConnection({
        address,
        recording,
        limits,
        pace,
        backlog,
        listener: {
          onWelcome: () => this.#onWelcome(),
          onProgress: () => this.#onProgress(),
          onViewers: (viewerCount) => this.#onViewers(viewerCount),
          onStills: (intervalMs) => this.#onStills(intervalMs),
          onStopped: () => this.#end({ kind: 'finished', chunkCount: recording.appendedCount }),
          onFailed: (error) => this.#onFailed(error),
        },
      });
    } catch (error) {
      if (this.#isClosed) return;
      const isCoded = error instanceof CodedError;
      this.#onFailed(
        isCoded ? error : new CodedError('INTERNAL', 'Cannot prepare the upload.', { cause: error }),
      );
    }
  }

  #onWelcome(): void {
    const { recording, log } = this.#options;
    log.info(
      { recordingId: recording.start.recordingId, durable: recording.durableCount },
      'upload connected',
    );
    if (this.#isAllThere && recording.isInterrupted) return this.#park();
    this.#change(recording.chunkCount === null ? { kind: 'uploading' } : { kind: 'finishing' });
  }

  #onProgress(): void {
    // Only a relay that confirms chunks has proven that the connection is of use.
    this.#policy.reset();
    if (this.#isAllThere && this.#options.recording.isInterrupted) return this.#park();
    this.#options.onChanged();
  }

  #onViewers(viewerCount: number): void {
    this.#viewerCount = viewerCount;
    this.#options.onChanged();
  }

  #onStills(intervalMs: number | null): void {
    this.#stillsIntervalMs = intervalMs;
    this.#options.onChanged();
  }

  #onRecordingChanged(): void {
    const { recording, onChanged } = this.#options;
    if (this.#state.kind === 'parked' && !recording.isInterrupted) {
      this.#change({ kind: 'connecting' });
      void this.#connect();
    } else if (recording.chunkCount !== null && this.#state.kind === 'uploading') {
      this.#change({ kind: 'finishing' });
    } else onChanged();
  }

  get #isAllThere(): boolean {
    return this.#options.recording.durableCount === this.#options.recording.appendedCount;
  }

  /** At the relay the stream is then what it is: without a publisher. */
  #park(): void {
    this.#connection?.close();
    this.#onDisconnected();
    this.#change({ kind: 'parked' });
  }

  #onDisconnected(): void {
    this.#connection = undefined;
    this.#viewerCount = 0;
    this.#stillsIntervalMs = null;
  }

  #onFailed(error: CodedError): void {
    const { recording, access, log } = this.#options;
    const { recordingId } = recording.start;
    this.#onDisconnected();
    if (isComplete(recording, error)) {
      recording.acknowledge(recording.appendedCount);
      return this.#end({ kind: 'finished', chunkCount: recording.appendedCount });
    }
    if (TOKEN_REFUSALS.includes(error.code)) access.discard();
    else if (!error.isRetryable || error.code === 'SPOOL_FAILED') {
      log.error({ recordingId, err: error, code: error.code }, 'upload refused');
      recording.refuse(error);
      return this.#end({ kind: 'failed', reason: error });
    }
    const delayMs = this.#policy.nextDelayMs();
    log.warn({ recordingId, code: error.code, reason: error.message, delayMs }, 'upload interrupted');
    const sinceMs = this.#state.kind === 'reconnecting' ? this.#state.sinceMs : Date.now();
    this.#change({ kind: 'reconnecting', sinceMs, reason: error });
    this.#retry = setTimeout(() => void this.#connect(), delayMs);
  }

  #end(state: UploadState): void {
    this.close();
    this.#change(state);
  }

  #change(state: UploadState): void {
    this.#state = state;
    this.#options.onChanged();
  }
}

/**
 * Whether a refusal says that the relay had everything already, and only its answer to `stop` was lost: it sealed the
 * recording after it had confirmed, or counted, every chunk.
 */
function isComplete(recording: SpooledRecording, error: CodedError): boolean {
  if (error.code !== 'RECORDING_SEALED' || recording.chunkCount === null) return false;
  return (
    recording.chunkCount === recording.durableCount || recording.chunkCount === error.details?.['chunkCount']
  );
}
