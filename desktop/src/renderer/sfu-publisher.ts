/** The live path: publishes what is captured to the SFU for as long as it is wanted, however often that breaks. */
import { CodedError, createReconnectPolicy, toCodedError, type ErrorCode } from '@proofcast/shared';
import type { SfuAccess } from '../ipc.ts';
import type { CapturedTracks } from './capture.ts';
import { SFU } from './config.ts';
import { SfuPublication } from './sfu-publication.ts';

export type LivePath =
  | { readonly kind: 'idle' }
  | { readonly kind: 'connecting' }
  | { readonly kind: 'live'; readonly viewerCount: number }
  /** Not live since then; it goes on trying. */
  | { readonly kind: 'reconnecting'; readonly sinceMs: number; readonly reason: CodedError }
  /** Trying again would be of no use. */
  | { readonly kind: 'unavailable'; readonly reason: CodedError };

/** A new token mends these. */
const TOKEN_REFUSALS: readonly ErrorCode[] = ['UNAUTHENTICATED', 'TOKEN_INVALID', 'TOKEN_EXPIRED'];

export class SfuPublisher {
  #tracks: CapturedTracks;
  readonly #readAccess: (isRefused: boolean) => Promise<SfuAccess>;
  readonly #onChanged: (path: LivePath) => void;
  readonly #policy = createReconnectPolicy(SFU.reconnect);
  #path: LivePath = { kind: 'connecting' };
  #viewerCount = 0;
  #publication: SfuPublication | undefined;
  #retry: number | undefined;
  #renewal: number | undefined;
  #isClosed = false;

  constructor(options: {
    tracks: CapturedTracks;
    /** `isRefused`: the SFU did not take the token of the last answer. */
    readAccess: (isRefused: boolean) => Promise<SfuAccess>;
    onChanged: (path: LivePath) => void;
  }) {
    this.#tracks = options.tracks;
    this.#readAccess = options.readAccess;
    this.#onChanged = options.onChanged;
  }

  /** Call once. */
  start(): void {
    this.#change({ kind: 'connecting' });
    void this.#publish(false);
  }

  get path(): LivePath {
    return this.#path;
  }

  /** Publishes `tracks` from now on; viewers stay where they are. */
  replaceTracks(tracks: CapturedTracks): void {
    this.#tracks = tracks;
    this.#publication?.replaceTracks(tracks);
  }

  /** Ends publishing. Idempotent. */
  close(): void {
    if (this.#isClosed) return;
    this.#change({ kind: 'idle' });
    this.#isClosed = true;
    this.#endPublication();
  }

  /** Never rejects. */
  async #publish(isRefused: boolean): Promise<void> {
    try {
      const access = await this.#readAccess(isRefused);
      if (this.#isClosed) return;
      this.#publication = new SfuPublication(access, this.#tracks, {
        onLive: () => this.#onLive(),
        onInterrupted: () => {
          this.#interrupted(new CodedError('UNAVAILABLE', 'The connection for media was interrupted.'));
        },
        onViewers: (viewerCount) => this.#onViewers(viewerCount),
        onFailed: (error) => this.#onFailed(error),
      });
      this.#renewLater(access.renewInMs);
    } catch (error) {
      this.#onFailed(toCodedError(error));
    }
  }

  #onLive(): void {
    this.#policy.reset();
    this.#change({ kind: 'live', viewerCount: this.#viewerCount });
  }

  #onViewers(viewerCount: number): void {
    this.#viewerCount = viewerCount;
    if (this.#path.kind === 'live') this.#change({ kind: 'live', viewerCount });
  }

  #interrupted(reason: CodedError): void {
    const sinceMs = this.#path.kind === 'reconnecting' ? this.#path.sinceMs : Date.now();
    this.#change({ kind: 'reconnecting', sinceMs, reason });
  }

  #onFailed(error: CodedError): void {
    if (this.#isClosed) return;
    this.#endPublication();
    // Another connection of this device publishes the stream now; taking it back would begin a fight.
    const isRefused = TOKEN_REFUSALS.includes(error.code);
    // The SFU has dropped its end of the transport; a new one is made.
    const isDropped = error.code === 'TRANSPORT_NOT_FOUND';
    const isFinal = error.code === 'STREAM_TAKEN' || !(error.isRetryable || isRefused || isDropped);
    if (isFinal) return this.#change({ kind: 'unavailable', reason: error });
    this.#interrupted(error);
    this.#retry = window.setTimeout(() => void this.#publish(isRefused), this.#policy.nextDelayMs());
  }

  #renewLater(delayMs: number): void {
    window.clearTimeout(this.#renewal);
    // Zero says that no newer token could be had.
    this.#renewal = window.setTimeout(() => void this.#renew(), delayMs || SFU.renewRetryMs);
  }

  /** A token that cannot be renewed now is renewed later; when it expires the SFU says so. Never rejects. */
  async #renew(): Promise<void> {
    const publication = this.#publication;
    try {
      const access = await this.#readAccess(false);
      if (publication !== this.#publication) return;
      await publication?.renew(access.token);
      if (publication === this.#publication) this.#renewLater(access.renewInMs);
    } catch {
      if (publication && publication === this.#publication) this.#renewLater(SFU.renewRetryMs);
    }
  }

  #endPublication(): void {
    window.clearTimeout(this.#retry);
    window.clearTimeout(this.#renewal);
    this.#publication?.close();
    this.#publication = undefined;
    this.#viewerCount = 0;
  }

  #change(path: LivePath): void {
    if (this.#isClosed) return;
    this.#path = path;
    this.#onChanged(path);
  }
}
