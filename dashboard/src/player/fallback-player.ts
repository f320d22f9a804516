/**
 * One stream through the relay: webm from the view websocket into a MediaSource, kept close to the live edge.
 * It owns its MediaSource and its watch; the video element belongs to the stage that gave it.
 */
import { CodedError, type Id, type Schedule, type ViewerFrame } from '@proofcast/shared';
import { LIVE_EDGE_LIMITS, LIVE_EDGE_TICK_MS, MAX_APPEND_QUEUE_BYTES, RELAY_SILENCE_MS } from '../config.ts';
import { AppendQueue } from './append-queue.ts';
import { decideEdge, evictable, readRanges, startPosition, TargetAhead, type Ranges } from './live-edge.ts';
import { PlayoutClock, type EpochTime } from './playout-clock.ts';
import type { RelayConnection } from './relay-connection.ts';
import { onFirstFrame, releaseVideo, startPlaying } from './video-element.ts';
import type { Delay, PathListener, VideoPath } from './video-path.ts';

export interface FallbackPlayerOptions {
  readonly connection: RelayConnection;
  readonly streamId: Id;
  readonly video: HTMLVideoElement;
  readonly schedule: Schedule;
  readonly nowMs: () => number;
  /** Whether the stream is live, so that silence means that something is broken. */
  readonly isLive: () => boolean;
}

type Epoch = EpochTime & { readonly mimeType: string };

export class FallbackPlayer implements VideoPath {
  readonly video: HTMLVideoElement;
  readonly #options: FallbackPlayerOptions;
  readonly #listener: PathListener;
  readonly #mediaSource = new MediaSource();
  readonly #objectUrl: string;
  readonly #clock = new PlayoutClock();
  readonly #target: TargetAhead;
  readonly #watch: { close(): void };
  readonly #cancelFirstFrame: () => void;
  #cancelTick: () => void;
  #epoch: Epoch | undefined;
  #queue: AppendQueue | undefined;
  #mimeType = '';
  /** Frames that came before the media source was open. */
  #early: ViewerFrame[] = [];
  #startedAtMs: number | undefined;
  /** Position of the picture that is on the screen. */
  #shownS = 0;
  #frameHandle: number;
  #lastFrameAtMs: number;
  #isClosed = false;

  constructor(options: FallbackPlayerOptions, listener: PathListener) {
    this.#options = options;
    this.#listener = listener;
    this.video = options.video;
    this.#lastFrameAtMs = options.nowMs();
    this.#target = new TargetAhead(LIVE_EDGE_LIMITS, options.nowMs());
    this.#mediaSource.addEventListener('sourceopen', this.#onSourceOpen);
    this.#objectUrl = URL.createObjectURL(this.#mediaSource);
    this.video.src = this.#objectUrl;
    this.video.addEventListener('waiting', this.#onWaiting);
    this.video.addEventListener('error', this.#onVideoError);
    this.#cancelFirstFrame = onFirstFrame(this.video, listener.onFirstFrame);
    this.#frameHandle = this.video.requestVideoFrameCallback(this.#onFrameShown);
    this.#cancelTick = options.schedule(this.#tick, LIVE_EDGE_TICK_MS);
    this.#watch = options.connection.watch(options.streamId, {
      onEpoch: (epoch) => {
        this.#epoch = epoch;
      },
      onFrame: (frame) => this.#receive(frame),
      onEnded: (error) => this.#lose(error),
    });
  }

  readDelay(): Delay | null {
    if (this.#isClosed) return null;
    // A hidden page shows no frames; there the playhead has to do.
    const positionS = document.hidden ? this.video.currentTime : this.#shownS;
    const relayNowMs = this.#options.connection.relayNowMs();
    const capturedAtMs = positionS > 0 ? this.#clock.capturedAtMs(positionS) : null;
    if (relayNowMs === null || capturedAtMs === null) return null;
    return { ms: Math.max(0, relayNowMs - capturedAtMs), isMinimum: false };
  }

  close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#watch.close();
    this.#cancelTick();
    this.#cancelFirstFrame();
    this.video.cancelVideoFrameCallback(this.#frameHandle);
    this.#queue?.close();
    this.#early = [];
    this.#mediaSource.removeEventListener('sourceopen', this.#onSourceOpen);
    this.video.removeEventListener('waiting', this.#onWaiting);
    this.video.removeEventListener('error', this.#onVideoError);
    releaseVideo(this.video);
    URL.revokeObjectURL(this.#objectUrl);
  }

  readonly #onSourceOpen = (): void => {
    URL.revokeObjectURL(this.#objectUrl);
    const early = this.#early;
    this.#early = [];
    for (const frame of early) this.#append(frame);
  };

  #receive(frame: ViewerFrame): void {
    if (this.#isClosed) return;
    this.#lastFrameAtMs = this.#options.nowMs();
    if (this.#mediaSource.readyState === 'open') this.#append(frame);
    else this.#early.push(frame);
  }

  #append(frame: ViewerFrame): void {
    if (this.#isClosed) return;
    if (frame.kind === 'init' && !this.#begin(frame)) return;
    // A frame that arrives by websocket has a buffer of its own, never a shared one.
    this.#queue?.append(frame.payload as Uint8Array<ArrayBuffer>);
  }

  /** An init segment: the first one, that of the next epoch, or the same one again after a cut. */
  #begin(frame: ViewerFrame): boolean {
    const epoch = this.#epoch;
    if (!epoch || epoch.epoch !== frame.epoch) {
      this.#lose(
        new CodedError('MESSAGE_UNEXPECTED', `Cannot show epoch ${frame.epoch}: it was not announced.`),
      );
      return false;
    }
    if (!MediaSource.isTypeSupported(epoch.mimeType)) {
      this.#lose(new CodedError('MEDIA_UNSUPPORTED', `This browser cannot play ${epoch.mimeType}.`));
      return false;
    }
    const offsetS = this.#clock.place(epoch, this.#ranges().at(-1)?.end ?? 0);
    if (!this.#queue) this.#queue = this.#createQueue(epoch.mimeType);
    else this.#queue.restart(offsetS, epoch.mimeType === this.#mimeType ? null : epoch.mimeType);
    this.#mimeType = epoch.mimeType;
    return true;
  }

  #createQueue(mimeType: string): AppendQueue {
    const buffer = this.#mediaSource.addSourceBuffer(mimeType);
    buffer.mode = 'segments';
    return new AppendQueue(buffer, {
      maxPendingBytes: MAX_APPEND_QUEUE_BYTES,
      onUpdated: () => this.#onUpdated(),
      onFailed: (error) => this.#lose(error),
      makeRoom: () =>
        evictable(this.#ranges(), this.video.currentTime, {
          ...LIVE_EDGE_LIMITS,
          maxBehindS: LIVE_EDGE_LIMITS.keepBehindS,
        }),
    });
  }

  #onUpdated(): void {
    if (this.#startedAtMs === undefined) return this.#startNearEnd();
    this.#target.noteCalm(this.#options.nowMs());
    this.#followEdge();
    const old = evictable(this.#ranges(), this.video.currentTime, LIVE_EDGE_LIMITS);
    if (old) this.#queue?.remove(old.start, old.end);
  }

  #startNearEnd(): void {
    const positionS = startPosition(this.#ranges(), this.#target.seconds);
    if (positionS === null) return;
    this.#startedAtMs = this.#options.nowMs();
    this.video.currentTime = positionS;
    startPlaying(this.video, (cause) => {
      this.#lose(new CodedError('MEDIA_UNSUPPORTED', 'The browser refuses to play the picture.', { cause }));
    });
  }

  #followEdge(): void {
    if (this.#startedAtMs === undefined) return;
    const ageS = (this.#options.nowMs() - this.#startedAtMs) / 1000;
    const state = {
      ranges: this.#ranges(),
      positionS: this.video.currentTime,
      targetS: this.#target.seconds,
      ageS,
    };
    const decision = decideEdge(state, LIVE_EDGE_LIMITS);
    if (decision.kind === 'jump') this.video.currentTime = decision.toS;
    else if (this.video.playbackRate !== decision.rate) this.video.playbackRate = decision.rate;
  }

  readonly #tick = (): void => {
    this.#cancelTick = this.#options.schedule(this.#tick, LIVE_EDGE_TICK_MS);
    this.#followEdge();
    if (!this.#options.isLive()) this.#lastFrameAtMs = this.#options.nowMs();
    else if (this.#options.nowMs() - this.#lastFrameAtMs > RELAY_SILENCE_MS) {
      this.#lose(new CodedError('TIMEOUT', 'The relay sends nothing although the screen is live.'));
    }
  };

  readonly #onWaiting = (): void => {
    if (this.#startedAtMs === undefined || this.video.seeking) return;
    this.#target.noteDry(this.#options.nowMs(), (this.#options.nowMs() - this.#lastFrameAtMs) / 1000);
    this.#followEdge();
  };

  readonly #onFrameShown = (_nowMs: number, { mediaTime }: VideoFrameCallbackMetadata): void => {
    this.#shownS = mediaTime;
    this.#frameHandle = this.video.requestVideoFrameCallback(this.#onFrameShown);
  };

  readonly #onVideoError = (): void => {
    const message = this.video.error?.message ?? '';
    this.#lose(
      new CodedError('WEBM_INVALID', `The browser cannot decode the media of the relay. ${message}`.trim()),
    );
  };

  #ranges(): Ranges {
    return readRanges(this.video.buffered);
  }

  #lose(error: CodedError): void {
    if (this.#isClosed) return;
    this.#listener.onLost(error);
  }
}
