/**
 * The past of a running recording, beside the live picture: plays what the relay has of it from a moment on, at its
 * real speed, and asks for more as it goes. It owns its sink and its watch; the video element belongs to the stage.
 * Moments are milliseconds of the relay's clock.
 */
import {
  CodedError,
  createReconnectPolicy,
  type Id,
  type Schedule,
  type ViewerFrame,
} from '@proofcast/shared';
import { REWIND_LIMITS } from '../config.ts';
import { MediaSink } from './media-sink.ts';
import type { EpochMessage, PastRange, StreamFeed, Watch } from './stream-feed.ts';
import { onFirstFrame, startPlaying } from './video-element.ts';
import type { Delay } from './video-path.ts';

export interface RewindPlayerOptions {
  /** Where to read from; asked again when it was lost. */
  readonly pickFeed: () => StreamFeed;
  readonly streamId: Id;
  readonly video: HTMLVideoElement;
  readonly schedule: Schedule;
  readonly nowMs: () => number;
  /** The first picture of the moment that was asked for is decoded. */
  readonly onPicture: () => void;
  readonly onChange: () => void;
  /** It has played all there is, or `error` is why it cannot play. At most once. */
  readonly onEnd: (error: CodedError | null) => void;
}

export type RewindState =
  /** The moment that was asked for is on its way; `error` is what went wrong last. */
  | { readonly kind: 'loading'; readonly error: CodedError | null }
  | { readonly kind: 'playing' }
  | { readonly kind: 'paused' };

const nothing = (): void => undefined;

export class RewindPlayer {
  readonly #options: RewindPlayerOptions;
  #sink: MediaSink;
  readonly #policy = createReconnectPolicy(REWIND_LIMITS.retry);
  #feed: StreamFeed;
  #watch: Watch | undefined;
  #state: RewindState = { kind: 'loading', error: null };
  #isPausedByUser = false;
  /** Where the playhead was when it last moved, or had no reason to. */
  #stuckAt = { positionS: 0, sinceMs: 0 };
  /** Where to go as soon as its media is there. */
  #goalMs: number;
  #offsetUs: number | null = null;
  #untilUs = 0;
  /** When the first media of the moment that was asked for was there. */
  #loadedAtMs: number | null = null;
  /** Set when nothing more will come behind what is buffered. */
  #isComplete = false;
  #cancelFirstFrame = nothing;
  #cancelRetry = nothing;
  #cancelTick: () => void;
  #isClosed = false;

  constructor(options: RewindPlayerOptions, fromMs: number) {
    this.#options = options;
    this.#goalMs = fromMs;
    this.#feed = options.pickFeed();
    this.#sink = this.#createSink([]);
    this.#cancelTick = options.schedule(this.#tick, REWIND_LIMITS.tickMs);
    this.#open(fromMs);
  }

  get state(): RewindState {
    return this.#state;
  }

  /** The moment that is shown, or that was asked for and is on its way. */
  readMomentMs(): number {
    if (this.#state.kind === 'loading') return this.#goalMs;
    return this.#sink.capturedAtMs(this.#options.video.currentTime) ?? this.#goalMs;
  }

  readDelay(): Delay | null {
    const relayNowMs = this.#feed.relayNowMs();
    if (relayNowMs === null || this.#state.kind === 'loading') return null;
    return { ms: Math.max(0, relayNowMs - this.readMomentMs()), isMinimum: false };
  }

  /** Goes to a moment: at once when it is buffered, else when the relay has sent it. */
  seek(momentMs: number): void {
    if (this.#isClosed) return;
    this.#goalMs = momentMs;
    const positionS = this.#sink.positionAt(momentMs);
    const isBuffered = this.#sink.ranges.some(
      ({ start, end }) => positionS !== null && positionS >= start && positionS < end - REWIND_LIMITS.edgeS,
    );
    if (isBuffered && positionS !== null && this.#state.kind !== 'loading') {
      this.#options.video.currentTime = positionS;
      this.#play();
      return this.#options.onChange();
    }
    this.#load(momentMs);
  }

  pause(): void {
    this.#isPausedByUser = true;
    this.#options.video.pause();
    if (this.#state.kind === 'playing') this.#become({ kind: 'paused' });
  }

  play(): void {
    this.#isPausedByUser = false;
    if (this.#state.kind === 'paused') this.#play();
  }

  /** Idempotent. */
  close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#cancelTick();
    this.#cancelRetry();
    this.#cancelFirstFrame();
    this.#watch?.close();
    this.#sink.close();
  }

  #load(momentMs: number): void {
    this.#goalMs = momentMs;
    this.#become({ kind: 'loading', error: null });
    this.#isComplete = false;
    this.#loadedAtMs = null;
    this.#clear();
    const range = this.#rangeFrom(momentMs);
    if (this.#watch) this.#watch.seek(range);
    else this.#open(momentMs);
  }

  #open(fromMs: number): void {
    this.#cancelRetry();
    this.#watch?.close();
    this.#feed = this.#options.pickFeed();
    this.#watch = this.#feed.watch(
      this.#options.streamId,
      {
        onEpoch: (epoch) => {
          this.#sink.announce(epoch);
          this.#learnClock(epoch.publisherClockOffsetUs);
        },
        onFrame: (frame) => this.#receive(frame),
        onEnded: (error) => this.#onEnded(error),
      },
      this.#rangeFrom(fromMs),
    );
  }

  /** Asked for by the publisher's clock, which is only known once the relay has told how it differs. */
  #rangeFrom(momentMs: number): PastRange {
    const fromUs = Math.max(0, Math.round(momentMs * 1000 - (this.#offsetUs ?? 0)));
    this.#untilUs = fromUs + REWIND_LIMITS.aheadS * 1e6;
    return { fromUs, untilUs: this.#untilUs };
  }

  #learnClock(offsetUs: number): void {
    const errorUs = Math.abs(offsetUs - (this.#offsetUs ?? 0));
    const isFirst = this.#offsetUs === null;
    this.#offsetUs = offsetUs;
    if (isFirst && errorUs > REWIND_LIMITS.clockToleranceMs * 1000) {
      this.#clear();
      this.#watch?.seek(this.#rangeFrom(this.#goalMs));
    }
  }

  #createSink(announced: readonly EpochMessage[]): MediaSink {
    const sink: MediaSink = new MediaSink({
      video: this.#options.video,
      announced,
      onUpdated: () => this.#onUpdated(),
      onFailed: (error) => this.#options.onEnd(error),
      // What lies beyond is played when the playhead gets there, unless nothing before it is of interest any more.
      onBeyond: (frame) => {
        if (sink === this.#sink && !sink.isSettled) this.#renewSink();
        if (sink !== this.#sink) this.#sink.take(frame);
      },
      makeRoom: () => this.#oldest(),
    });
    return sink;
  }

  #renewSink(): void {
    const { announced } = this.#sink;
    this.#sink.close();
    this.#sink = this.#createSink(announced);
  }

  /** Everything that is buffered is forgotten; what comes next belongs to another place. */
  #clear(): void {
    if (this.#sink.beyond) this.#renewSink();
    else this.#sink.clear();
  }

  /** The playhead has reached an epoch that this sink cannot take. */
  #cross({ startedAtUs, publisherClockOffsetUs }: EpochMessage): void {
    this.#load(Math.ceil((startedAtUs + publisherClockOffsetUs) / 1000));
  }

  #receive(frame: ViewerFrame): void {
    this.#sink.take(frame);
  }

  #onUpdated(): void {
    if (!this.#sink.isSettled) return;
    if (this.#state.kind === 'loading') return this.#arrive();
    const old = this.#oldest();
    if (old && old.end - old.start > REWIND_LIMITS.keepBehindS) this.#sink.remove(old);
  }

  /** Shows the moment that was asked for when its media is there. */
  #arrive(): void {
    const { ranges } = this.#sink;
    const goalS = this.#sink.positionAt(this.#goalMs);
    const last = ranges.at(-1);
    if (goalS === null || !last) return;
    this.#loadedAtMs ??= this.#options.nowMs();
    const isThere = ranges.some(({ start, end }) => goalS >= start && goalS < end - REWIND_LIMITS.edgeS);
    if (isThere) return this.#show(goalS);
    // There is no picture of that moment: before the beginning, or in a gap.
    if (this.#options.nowMs() - this.#loadedAtMs < REWIND_LIMITS.settleMs) return;
    this.#show(ranges.find(({ start }) => start > goalS)?.start ?? last.start);
  }

  #show(positionS: number): void {
    const { video, onPicture } = this.#options;
    this.#cancelFirstFrame();
    this.#cancelFirstFrame = onFirstFrame(video, onPicture);
    this.#loadedAtMs = null;
    this.#policy.reset();
    video.currentTime = positionS;
    this.#play();
  }

  #play(): void {
    if (this.#isPausedByUser) return this.#become({ kind: 'paused' });
    startPlaying(this.#options.video, () => this.#become({ kind: 'paused' }));
    this.#become({ kind: 'playing' });
  }

  readonly #tick = (): void => {
    this.#cancelTick = this.#options.schedule(this.#tick, REWIND_LIMITS.tickMs);
    if (this.#state.kind === 'loading') return this.#sink.isSettled ? this.#arrive() : undefined;
    const { video } = this.#options;
    const { ranges } = this.#sink;
    const next = ranges.find(({ start }) => start > video.currentTime);
    const isInside =
      !this.#isStuck() &&
      ranges.some(
        ({ start, end }) => video.currentTime >= start && video.currentTime < end - REWIND_LIMITS.edgeS,
      );
    if (!isInside && next) video.currentTime = next.start;
    else if (!isInside && this.#sink.beyond) return this.#cross(this.#sink.beyond);
    else if (!isInside && this.#isComplete) return this.#options.onEnd(null);
    this.#balance();
    this.#options.onChange();
  };

  /** So close in front of a gap that there is a picture, and not enough of what follows it to go on. */
  #isStuck(): boolean {
    const { currentTime, readyState } = this.#options.video;
    const mayMove = this.#state.kind === 'playing' && readyState < HTMLMediaElement.HAVE_FUTURE_DATA;
    if (!mayMove || currentTime !== this.#stuckAt.positionS) {
      this.#stuckAt = { positionS: currentTime, sinceMs: this.#options.nowMs() };
    }
    return this.#options.nowMs() - this.#stuckAt.sinceMs > REWIND_LIMITS.settleMs;
  }

  /** Neither too little in front of the playhead, nor, while it is paused, all that is captured meanwhile. */
  #balance(): void {
    const endS = this.#sink.ranges.at(-1)?.end ?? 0;
    const aheadS = endS - this.#options.video.currentTime;
    if (this.#watch && aheadS > REWIND_LIMITS.maxAheadS) {
      this.#watch.close();
      this.#watch = undefined;
    } else if (this.#watch) {
      this.#askForMore();
    } else if (!this.#isComplete && aheadS < REWIND_LIMITS.aheadS) {
      // From the key cluster before the end on: what is there already is replaced by the same.
      this.#open(this.#sink.capturedAtMs(endS) ?? this.#goalMs);
    }
  }

  #askForMore(): void {
    const shownUs = this.readMomentMs() * 1000 - (this.#offsetUs ?? 0);
    const wantedUs = Math.round(shownUs + REWIND_LIMITS.aheadS * 1e6);
    if (this.#isComplete || wantedUs < this.#untilUs + (REWIND_LIMITS.aheadS * 1e6) / 2) return;
    this.#untilUs = wantedUs;
    this.#watch?.extend(wantedUs);
  }

  /** What lies far enough behind the playhead to go. */
  #oldest(): { start: number; end: number } | null {
    const first = this.#sink.ranges[0];
    const endS = this.#options.video.currentTime - REWIND_LIMITS.keepBehindS;
    return first && endS > first.start ? { start: first.start, end: endS } : null;
  }

  #onEnded(error: CodedError): void {
    this.#watch = undefined;
    if (error.code === 'STREAM_OFFLINE' && this.#state.kind !== 'loading') this.#isComplete = true;
    else this.#retry(error);
  }

  /** Begins again at the moment that is shown, when the relay can be reached again. */
  #retry(error: CodedError): void {
    if (this.#isClosed) return;
    this.#goalMs = this.readMomentMs();
    this.#become({ kind: 'loading', error });
    this.#loadedAtMs = null;
    this.#clear();
    this.#cancelRetry();
    this.#cancelRetry = this.#options.schedule(() => this.#open(this.#goalMs), this.#policy.nextDelayMs());
  }

  #become(state: RewindState): void {
    if (this.#isClosed) return;
    this.#state = state;
    this.#options.onChange();
  }
}
