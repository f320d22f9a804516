/**
 * Uploads one recording until the relay has all of it, however often the connection breaks. It reads from the spool
 * only, so that capture never waits for the network.
 */
import { CodedError, createReconnectPolicy, type ErrorCode } from '@proofcast/shared';
import type { Logger } from 'pino';
import type { UploadLimits } from './config.ts';
import { IngestConnection, type IngestAddress } from './ingest-connection.ts';
import type { SpooledRecording } from './spooled-recording.ts';

export type UploadState =
  | { readonly kind: 'connecting' }
  | { readonly kind: 'uploading' }
  /** Not connected since then; it goes on trying. */
  | { readonly kind: 'reconnecting'; readonly sinceMs: number; readonly reason: CodedError }
  /** Capture has ended; the rest is on its way. */
  | { readonly kind: 'finishing' }
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
    log: Logger;
    onChanged: () => void;
  };
  readonly #policy;
  readonly #unsubscribe: () => void;
  #state: UploadState = { kind: 'connecting' };
  #viewerCount = 0;
  #connection: IngestConnection | undefined;
  #retry: NodeJS.Timeout | undefined;
  #isClosed = false;

  /** `onChanged` is called when the state, the viewers or the progress have changed. */
  constructor(options: {
    recording: SpooledRecording;
    access: IngestAccess;
    limits: UploadLimits;
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

  /** Ends the upload where it is; the spool keeps the rest. Idempotent. */
  close(): void {
    this.#isClosed = true;
    this.#unsubscribe();
    clearTimeout(this.#retry);
    this.#connection?.close();
  }

  /** Never rejects. */
  async #connect(): Promise<void> {
    const { recording, access, limits } = this.#options;
    try {
      const address = await access.get();
      if (this.#isClosed) return;
      this.#connection = new IngestConnection({
        address,
        recording,
        limits,
        listener: {
          onWelcome: () => this.#onWelcome(),
          onProgress: () => this.#onProgress(),
          onViewers: (viewerCount) => this.#onViewers(viewerCount),
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
    this.#change(recording.chunkCount === null ? { kind: 'uploading' } : { kind: 'finishing' });
  }

  #onProgress(): void {
    // Only a relay that confirms chunks has proven that the connection is of use.
    this.#policy.reset();
    this.#options.onChanged();
  }

  #onViewers(viewerCount: number): void {
    this.#viewerCount = viewerCount;
    this.#options.onChanged();
  }

  #onRecordingChanged(): void {
    const hasEnded = this.#options.recording.chunkCount !== null;
    if (hasEnded && this.#state.kind === 'uploading') this.#change({ kind: 'finishing' });
    else this.#options.onChanged();
  }

  #onFailed(error: CodedError): void {
    const { recording, access, log } = this.#options;
    const { recordingId } = recording.start;
    this.#viewerCount = 0;
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
