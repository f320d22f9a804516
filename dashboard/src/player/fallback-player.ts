/**
 * One stream live through the relay: webm from the view websocket or an HTTP body into a MediaSource, kept close to the
 * live edge. It owns its sink and its watch; the video element belongs to the stage that gave it.
 */
import { CodedError, type Id, type Schedule, type ViewerFrame } from '@proofcast/shared';
import {
  LIVE_EDGE_LIMITS,
  LIVE_EDGE_TICK_MS,
  RELAY_FREEZE_MS,
  RELAY_SILENCE_MS,
  SLEEP_MS,
} from '../config.ts';
import { decideEdge, evictable, startPosition, TargetAhead } from './live-edge.ts';
import { MediaSink } from './media-sink.ts';
import type { EpochMessage, StreamFeed, Watch } from './stream-feed.ts';
import { onFirstFrame, startPlaying } from './video-element.ts';
import type { Delay, PathListener, VideoPath } from './video-path.ts';

export interface FallbackPlayerOptions {
  readonly feed: StreamFeed;
  readonly streamId: Id;
  readonly video: HTMLVideoElement;
  readonly schedule: Schedule;
  readonly nowMs: () => number;
  /** Whether the stream is live, so that silence means that something is broken. */
  readonly isLive: () => boolean;
}

export class FallbackPlayer implements VideoPath {
  readonly video: HTMLVideoElement;
  readonly #options: FallbackPlayerOptions;
  readonly #listener: PathListener;
  #sink: MediaSink;
  readonly #target: TargetAhead;
  readonly #watch: Watch;
  readonly #cancelFirstFrame: () => void;
  #cancelTick: () => void;
  #startedAtMs: number | undefined;
  /** Position of the picture that is on the screen. */
  #shownS = 0;
  #frameHandle: number;
  #lastFrameAtMs: number;
  #lastTickAtMs: number;
  /** Where the playhead was when it last moved, or had no reason to. */
  #progress: { readonly positionS: number; readonly atMs: number };
  #isClosed = false;

  constructor(options: FallbackPlayerOptions, listener: PathListener) {
    const { video, streamId, feed, schedule, nowMs } = options;
    this.#options = options;
    this.#listener = listener;
    this.video = video;
    this.#lastFrameAtMs = nowMs();
    this.#lastTickAtMs = nowMs();
    this.#progress = { positionS: 0, atMs: nowMs() };
    this.#target = new TargetAhead(LIVE_EDGE_LIMITS, nowMs());
    this.#sink = this.#createSink([]);
    video.addEventListener('waiting', this.#onWaiting);
    document.addEventListener('visibilitychange', this.#onVisibility);
    this.#cancelFirstFrame = onFirstFrame(video, listener.onFirstFrame);
    this.#frameHandle = video.requestVideoFrameCallback(this.#onFrameShown);
    this.#cancelTick = schedule(this.#tick, LIVE_EDGE_TICK_MS);
    this.#watch = feed.watch(streamId, {
      onEpoch: (epoch) => this.#sink.announce(epoch),
      onFrame: (frame) => this.#receive(frame),
      onEnded: (error) => this.#lose(error),
    });
  }

  readDelay(): Delay | null {
    if (this.#isClosed) return null;
    // A hidden page shows no frames; there the playhead has to do.
    const positionS = document.hidden ? this.video.currentTime : this.#shownS;
    const relayNowMs = this.#options.feed.relayNowMs();
    const capturedAtMs = positionS > 0 ? this.#sink.capturedAtMs(positionS) : null;
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
    this.video.removeEventListener('waiting', this.#onWaiting);
    document.removeEventListener('visibilitychange', this.#onVisibility);
    this.#sink.close();
  }

  #createSink(announced: readonly EpochMessage[]): MediaSink {
    const { video } = this;
    const sink: MediaSink = new MediaSink({
      video,
      announced,
      onUpdated: () => this.#onUpdated(),
      onFailed: (error) => this.#lose(error),
      onBeyond: (frame) => {
        if (sink === this.#sink && !this.#isClosed) this.#renewSink();
        this.#sink.take(frame);
      },
      makeRoom: (ranges) =>
        evictable(ranges, video.currentTime, {
          ...LIVE_EDGE_LIMITS,
          maxBehindS: LIVE_EDGE_LIMITS.keepBehindS,
        }),
    });
    return sink;
  }

  /** Begins again at the live edge with an empty buffer. */
  #renewSink(): void {
    const { announced } = this.#sink;
    this.#sink.close();
    this.#startedAtMs = undefined;
    this.#shownS = 0;
    this.#progress = { positionS: 0, atMs: this.#options.nowMs() };
    this.#sink = this.#createSink(announced);
  }

  #receive(frame: ViewerFrame): void {
    this.#lastFrameAtMs = this.#options.nowMs();
    this.#sink.take(frame);
  }

  #onUpdated(): void {
    if (this.#startedAtMs === undefined) return this.#startNearEnd();
    this.#target.noteCalm(this.#options.nowMs());
    this.#followEdge();
    const old = evictable(this.#sink.ranges, this.video.currentTime, LIVE_EDGE_LIMITS);
    if (old) this.#sink.remove(old);
  }

  #startNearEnd(): void {
    const positionS = startPosition(this.#sink.ranges, this.#target.seconds);
    if (positionS === null) return;
    this.#startedAtMs = this.#options.nowMs();
    this.video.currentTime = positionS;
    this.#play();
  }

  #play(): void {
    startPlaying(this.video, (cause) => {
      this.#lose(new CodedError('MEDIA_UNSUPPORTED', 'The browser refuses to play the picture.', { cause }));
    });
  }

  #followEdge(): void {
    if (this.#startedAtMs === undefined) return;
    const ageS = (this.#options.nowMs() - this.#startedAtMs) / 1000;
    const state = {
      ranges: this.#sink.ranges,
      positionS: this.video.currentTime,
      targetS: this.#target.seconds,
      ageS,
    };
    const decision = decideEdge(state, LIVE_EDGE_LIMITS);
    if (decision.kind === 'jump') this.video.currentTime = decision.toS;
    else if (this.video.playbackRate !== decision.rate) this.video.playbackRate = decision.rate;
  }

  readonly #tick = (): void => {
    const { schedule, nowMs, isLive } = this.#options;
    this.#cancelTick = schedule(this.#tick, LIVE_EDGE_TICK_MS);
    const wasAsleep = nowMs() - this.#lastTickAtMs > SLEEP_MS;
    this.#lastTickAtMs = nowMs();
    this.#followEdge();
    // What was sent meanwhile is only about to arrive.
    if (!isLive() || wasAsleep) this.#lastFrameAtMs = nowMs();
    if (nowMs() - this.#lastFrameAtMs > RELAY_SILENCE_MS) {
      return this.#lose(new CodedError('TIMEOUT', 'The relay sends nothing although the screen is live.'));
    }
    this.#checkProgress(wasAsleep);
  };

  /** Media in front of a playhead that does not move: the browser has got stuck. */
  #checkProgress(wasAsleep: boolean): void {
    const { nowMs } = this.#options;
    const positionS = this.video.currentTime;
    const aheadS = (this.#sink.ranges.at(-1)?.end ?? 0) - positionS;
    const mayStand = this.#startedAtMs === undefined || document.hidden || wasAsleep;
    if (mayStand || positionS !== this.#progress.positionS || aheadS < LIVE_EDGE_LIMITS.minTargetS) {
      this.#progress = { positionS, atMs: nowMs() };
    } else if (nowMs() - this.#progress.atMs > RELAY_FREEZE_MS) {
      this.#lose(new CodedError('TIMEOUT', 'The picture of the relay stands still.'));
    }
  }

  readonly #onWaiting = (): void => {
    if (this.#startedAtMs === undefined || this.video.seeking) return;
    // A hidden page is slow itself, which says nothing about the network.
    if (!document.hidden) {
      this.#target.noteDry(this.#options.nowMs(), (this.#options.nowMs() - this.#lastFrameAtMs) / 1000);
    }
    this.#followEdge();
  };

  /** Browsers may pause what nobody sees. */
  readonly #onVisibility = (): void => {
    if (document.hidden || this.#startedAtMs === undefined) return;
    if (this.video.paused) this.#play();
    this.#followEdge();
  };

  readonly #onFrameShown = (_nowMs: number, { mediaTime }: VideoFrameCallbackMetadata): void => {
    this.#shownS = mediaTime;
    this.#frameHandle = this.video.requestVideoFrameCallback(this.#onFrameShown);
  };

  #lose(error: CodedError): void {
    if (this.#isClosed) return;
    this.#listener.onLost(error);
  }
}
