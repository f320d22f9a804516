/**
 * One stream by WebRTC in a video element, and the watch over whether its picture still moves. What is received is the
 * page's `SfuReceiver`'s; the video element belongs to the stage.
 */
import { CodedError, toCodedError, type Id, type Schedule, type ViewPreference } from '@proofcast/shared';
import { FOCUS_PRIORITY, SMALL_PICTURE_MAX_PX, WEBRTC_STATS_MS } from '../config.ts';
import type { ReceivedStream } from './received-stream.ts';
import type { SfuReceiver } from './sfu-receiver.ts';
import { onFirstFrame, releaseVideo, startPlaying } from './video-element.ts';
import type { Delay, PathListener, Preference, VideoPath } from './video-path.ts';
import { WebRtcMeter } from './webrtc-meter.ts';

export interface SfuPlayerOptions {
  readonly receiver: SfuReceiver;
  readonly streamId: Id;
  readonly video: HTMLVideoElement;
  readonly schedule: Schedule;
  readonly nowMs: () => number;
}

const FULL_PREFERENCE: ViewPreference = {
  isPaused: false,
  isHeard: false,
  maxSpatialLayer: null,
  priority: 1,
};

/** What the SFU is asked for, so that it sends no more than is seen and heard. */
export function toViewPreference({ isVisible, widthPx, isFocus, isHeard }: Preference): ViewPreference {
  const isSmall = !isFocus && widthPx > 0 && widthPx <= SMALL_PICTURE_MAX_PX;
  return {
    isPaused: !isVisible,
    isHeard,
    maxSpatialLayer: isSmall ? 0 : null,
    priority: isFocus ? FOCUS_PRIORITY : FULL_PREFERENCE.priority,
  };
}

const nothing = (): void => undefined;

export class SfuPlayer implements VideoPath {
  readonly video: HTMLVideoElement;
  readonly #options: SfuPlayerOptions;
  readonly #listener: PathListener;
  readonly #meter: WebRtcMeter;
  readonly #stream: ReceivedStream;
  #preference = FULL_PREFERENCE;
  /** What is wanted once there is a first picture, until which a stream is never paused. */
  #wanted = FULL_PREFERENCE;
  #cancelFirstFrame = nothing;
  #cancelStats = nothing;
  #hadFrame = false;
  /** What the element plays: the picture, and the sound while there is any. */
  #media = new MediaStream();
  #isClosed = false;

  constructor(options: SfuPlayerOptions, listener: PathListener) {
    this.#options = options;
    this.#listener = listener;
    this.video = options.video;
    this.#meter = new WebRtcMeter(options.nowMs);
    this.#stream = options.receiver.receive(
      options.streamId,
      {
        onTrack: (track) => this.#show(track),
        onSound: (track) => this.#hear(track),
        onEnded: (error) => this.#lose(error),
      },
      this.#preference,
    );
  }

  /**
   * Which layer is wanted, or that none is: a picture that is paused stands still, keeps its connection, and is not
   * taken for frozen.
   */
  setPreference(preference: Preference): void {
    if (this.#isClosed) return;
    this.#wanted = toViewPreference(preference);
    this.#prefer();
  }

  readDelay(): Delay | null {
    return this.#meter.delay;
  }

  close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#cancelFirstFrame();
    this.#cancelStats();
    this.#stream.close();
    releaseVideo(this.video);
  }

  #prefer(): void {
    const preference = this.#hadFrame ? this.#wanted : { ...this.#wanted, isPaused: false };
    if (isSame(preference, this.#preference)) return;
    if (this.#preference.isPaused && !preference.isPaused) this.#meter.forget();
    this.#preference = preference;
    this.#stream.prefer(preference);
  }

  #show(track: MediaStreamTrack): void {
    this.#cancelFirstFrame();
    this.#meter.forget();
    this.#cancelFirstFrame = onFirstFrame(this.video, () => this.#onFrame());
    this.#media = new MediaStream([track, ...this.#media.getAudioTracks()]);
    this.video.srcObject = this.#media;
    startPlaying(this.video, (cause) => {
      this.#lose(new CodedError('MEDIA_UNSUPPORTED', 'The browser refuses to play the picture.', { cause }));
    });
    this.#scheduleStats();
  }

  #hear(track: MediaStreamTrack | null): void {
    for (const before of this.#media.getAudioTracks()) this.#media.removeTrack(before);
    if (track) this.#media.addTrack(track);
  }

  /** A picture that comes back by itself is the same path, and no first one. */
  #onFrame(): void {
    if (this.#hadFrame) return;
    this.#hadFrame = true;
    this.#prefer();
    this.#listener.onFirstFrame();
  }

  #scheduleStats(): void {
    this.#cancelStats();
    this.#cancelStats = this.#options.schedule(() => {
      this.#readStats().catch((error: unknown) => this.#lose(toCodedError(error)));
    }, WEBRTC_STATS_MS);
  }

  async #readStats(): Promise<void> {
    const report = await this.#stream.readStats();
    if (this.#isClosed) return;
    if (report && !this.#preference.isPaused) this.#meter.take(report, this.#stream.sendingDelayMs);
    this.#stream.reading = this.#meter.reading;
    if (!this.#preference.isPaused && this.#meter.isFrozen) {
      return this.#lose(new CodedError('TIMEOUT', 'The WebRTC picture stands still.'));
    }
    this.#scheduleStats();
  }

  #lose(error: CodedError): void {
    if (!this.#isClosed) this.#listener.onLost(error);
  }
}

function isSame(a: ViewPreference, b: ViewPreference): boolean {
  const isSent = a.isPaused === b.isPaused && a.isHeard === b.isHeard;
  return isSent && a.maxSpatialLayer === b.maxSpatialLayer && a.priority === b.priority;
}
