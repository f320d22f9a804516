/**
 * Feeds one SourceBuffer. It takes one operation at a time (W3C Media Source Extensions, 3.4: appendBuffer, remove and
 * changeType throw while `updating`), so everything waits its turn here, in order.
 */
import { CodedError } from '@proofcast/shared';

type Operation =
  | { readonly kind: 'append'; readonly bytes: Uint8Array<ArrayBuffer>; readonly isRetry: boolean }
  | { readonly kind: 'restart'; readonly timestampOffsetS: number; readonly mimeType: string | null }
  | { readonly kind: 'remove'; readonly start: number; readonly end: number }
  | { readonly kind: 'clear' };

export interface AppendQueueOptions {
  readonly maxPendingBytes: number;
  /** An operation has been finished; what is buffered may have changed. */
  readonly onUpdated: () => void;
  /** Nothing can be appended any more. At most once. */
  readonly onFailed: (error: CodedError) => void;
  /** The browser's quota is used up: the range that may go, or null when nothing may. */
  readonly makeRoom: () => { start: number; end: number } | null;
}

export class AppendQueue {
  readonly #buffer: SourceBuffer;
  readonly #options: AppendQueueOptions;
  readonly #operations: Operation[] = [];
  /** What the buffer is doing; null when it is idle, or did it at once. */
  #current: Operation['kind'] | null = null;
  #pendingBytes = 0;
  #isClosed = false;

  constructor(buffer: SourceBuffer, options: AppendQueueOptions) {
    this.#buffer = buffer;
    this.#options = options;
    buffer.addEventListener('updateend', this.#onUpdateEnd);
    buffer.addEventListener('error', this.#onError);
  }

  /** Bytes that wait for their turn. */
  get pendingBytes(): number {
    return this.#pendingBytes;
  }

  append(bytes: Uint8Array<ArrayBuffer>): void {
    if (this.#isClosed) return;
    if (this.#pendingBytes + bytes.length > this.#options.maxPendingBytes) {
      const limit = this.#options.maxPendingBytes;
      return this.#fail(
        new CodedError(
          'VIEWER_TOO_SLOW',
          `The browser does not take its media: more than ${limit} bytes wait.`,
        ),
      );
    }
    this.#pendingBytes += bytes.length;
    this.#enqueue({ kind: 'append', bytes, isRetry: false });
  }

  /** What follows is a new stream: it begins with an init segment and lies `timestampOffsetS` later. */
  restart(timestampOffsetS: number, mimeType: string | null): void {
    this.#enqueue({ kind: 'restart', timestampOffsetS, mimeType });
  }

  remove(start: number, end: number): void {
    if (end > start) this.#enqueue({ kind: 'remove', start, end });
  }

  /** Forgets the media that waits, and then all that is buffered. Goes on with `restart`. */
  clear(): void {
    const kept = this.#operations.filter(({ kind }) => kind === 'restart');
    this.#operations.splice(0, this.#operations.length, ...kept);
    this.#pendingBytes = 0;
    this.#enqueue({ kind: 'clear' });
  }

  /** Whether something is still buffered that `clear` is about to remove. */
  get isClearing(): boolean {
    return this.#current === 'clear' || this.#operations.some(({ kind }) => kind === 'clear');
  }

  /** Forgets what waits and leaves the buffer alone from now on. Idempotent. */
  close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#operations.length = 0;
    this.#pendingBytes = 0;
    this.#buffer.removeEventListener('updateend', this.#onUpdateEnd);
    this.#buffer.removeEventListener('error', this.#onError);
  }

  readonly #onUpdateEnd = (): void => {
    if (this.#isClosed) return;
    this.#current = null;
    this.#options.onUpdated();
    this.#run();
  };

  readonly #onError = (): void => {
    this.#fail(new CodedError('WEBM_INVALID', 'The browser cannot decode the media that the relay sent.'));
  };

  #enqueue(operation: Operation): void {
    if (this.#isClosed) return;
    this.#operations.push(operation);
    this.#run();
  }

  #run(): void {
    while (!this.#isClosed && !this.#buffer.updating) {
      const operation = this.#operations.shift();
      if (!operation) return;
      try {
        this.#perform(operation);
        this.#current = this.#buffer.updating ? operation.kind : null;
      } catch (cause) {
        if (!this.#recover(operation, cause)) return;
      }
    }
  }

  #perform(operation: Operation): void {
    switch (operation.kind) {
      case 'append':
        this.#buffer.appendBuffer(operation.bytes);
        this.#pendingBytes -= operation.bytes.length;
        return;
      case 'restart':
        // abort() ends a half-appended cluster; timestampOffset may not be set inside of one (MSE, 3.1).
        this.#buffer.abort();
        if (operation.mimeType) this.#buffer.changeType(operation.mimeType);
        this.#buffer.timestampOffset = operation.timestampOffsetS;
        return;
      case 'remove':
        this.#buffer.remove(operation.start, operation.end);
        return;
      case 'clear':
        // Before the first init segment there is nothing, and not even a duration (MSE, 3.2).
        if (this.#buffer.buffered.length > 0) this.#buffer.remove(0, Number.POSITIVE_INFINITY);
        return;
    }
  }

  /** Makes room and puts the operation back when only the quota was in its way; else the queue has failed. */
  #recover(operation: Operation, cause: unknown): boolean {
    const isFull = cause instanceof DOMException && cause.name === 'QuotaExceededError';
    if (isFull && operation.kind === 'append' && !operation.isRetry) {
      const range = this.#options.makeRoom();
      if (range && range.end > range.start) {
        this.#operations.unshift({ kind: 'remove', ...range }, { ...operation, isRetry: true });
        return true;
      }
    }
    const message = isFull ? 'The media buffer of the browser is full.' : 'The browser refuses the media.';
    this.#fail(new CodedError('MEDIA_UNSUPPORTED', message, { cause }));
    return false;
  }

  #fail(error: CodedError): void {
    if (this.#isClosed) return;
    this.close();
    this.#options.onFailed(error);
  }
}
