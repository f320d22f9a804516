/**
 * A MediaSource that takes the frames of one watch: announced epochs, init segments, media. It owns the MediaSource and
 * its one SourceBuffer; where the playhead is, and what may go, is for who uses it.
 */
import { CodedError, type ViewerFrame } from '@proofcast/shared';
import { MAX_APPEND_QUEUE_BYTES } from '../config.ts';
import { AppendQueue } from './append-queue.ts';
import { readRanges, type Ranges } from './live-edge.ts';
import { PlayoutClock } from './playout-clock.ts';
import type { EpochMessage } from './stream-feed.ts';
import { releaseVideo } from './video-element.ts';

export interface MediaSinkOptions {
  readonly video: HTMLVideoElement;
  /** What is buffered may have changed. */
  readonly onUpdated: () => void;
  /** Nothing can be appended any more. */
  readonly onFailed: (error: CodedError) => void;
  /**
   * A frame of the epoch `beyond`, or of one behind it, for another sink: its init segment, then all that follows. Only
   * told when this sink was taken as far as it goes.
   */
  readonly onBeyond: (frame: ViewerFrame) => void;
  /** The browser's quota is used up: the range that may go, or null when nothing may. */
  readonly makeRoom: (ranges: Ranges) => { start: number; end: number } | null;
  /** What the sink before this one was told of. */
  readonly announced?: readonly EpochMessage[];
}

export class MediaSink {
  readonly #options: MediaSinkOptions;
  readonly #mediaSource = new MediaSource();
  readonly #objectUrl: string;
  #clock = new PlayoutClock();
  /** Told, and not followed by a later one whose init segment was appended; in the order in which they were told. */
  readonly #announced = new Map<number, EpochMessage>();
  #queue: AppendQueue | undefined;
  #mimeType = '';
  /** Frames that came before `sourceopen`; null from then on. */
  #early: ViewerFrame[] | null = [];
  #isCleared = false;
  #beyond: EpochMessage | null = null;
  #isClosed = false;

  constructor(options: MediaSinkOptions) {
    this.#options = options;
    for (const epoch of options.announced ?? []) this.announce(epoch);
    this.#mediaSource.addEventListener('sourceopen', this.#onSourceOpen);
    this.#objectUrl = URL.createObjectURL(this.#mediaSource);
    options.video.src = this.#objectUrl;
    options.video.addEventListener('error', this.#onVideoError);
  }

  get ranges(): Ranges {
    return readRanges(this.#options.video.buffered);
  }

  /** The relay's clock when the picture at this position was captured, in milliseconds; null while it is not known. */
  capturedAtMs(positionS: number): number | null {
    return this.#clock.capturedAtMs(positionS);
  }

  /** Where on the time line of the element that is which was captured at this time of the relay's clock. */
  positionAt(capturedAtMs: number): number | null {
    return this.#clock.positionAt(capturedAtMs);
  }

  get announced(): readonly EpochMessage[] {
    return [...this.#announced.values()];
  }

  /**
   * The first epoch that this sink cannot take: it has sound where the one before had none, or the reverse, and a
   * SourceBuffer keeps the number of its tracks (W3C Media Source Extensions, 3.5.8).
   */
  get beyond(): EpochMessage | null {
    return this.#beyond;
  }

  /** Precedes the init segment of the epoch. */
  announce(epoch: EpochMessage): void {
    this.#announced.delete(epoch.epoch);
    this.#announced.set(epoch.epoch, epoch);
  }

  take(frame: ViewerFrame): void {
    if (this.#isClosed) return;
    // Not by the state of the source: it is open a moment before the event, and this frame would overtake the others.
    if (this.#early) this.#early.push(frame);
    else this.#append(frame);
  }

  /** What comes from here on lies somewhere else: forgets what is buffered as soon as the next init segment is there. */
  clear(): void {
    this.#isCleared = true;
    if (this.#early) this.#early = [];
  }

  /** Whether all that is buffered belongs to where it was last told to go. */
  get isSettled(): boolean {
    return !this.#isCleared && !(this.#queue?.isClearing ?? false);
  }

  remove({ start, end }: { start: number; end: number }): void {
    this.#queue?.remove(start, end);
  }

  /** Lets go of the element as well. Idempotent. */
  close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    const { video } = this.#options;
    this.#queue?.close();
    this.#early = null;
    this.#mediaSource.removeEventListener('sourceopen', this.#onSourceOpen);
    video.removeEventListener('error', this.#onVideoError);
    releaseVideo(video);
    URL.revokeObjectURL(this.#objectUrl);
  }

  readonly #onSourceOpen = (): void => {
    URL.revokeObjectURL(this.#objectUrl);
    const early = this.#early ?? [];
    this.#early = null;
    for (const frame of early) this.#append(frame);
  };

  readonly #onVideoError = (): void => {
    const message = this.#options.video.error?.message ?? '';
    this.#fail(
      new CodedError('WEBM_INVALID', `The browser cannot decode the media of the relay. ${message}`.trim()),
    );
  };

  #append(frame: ViewerFrame): void {
    if (!this.#isClosed && !this.#beyond && frame.kind === 'init' && !this.#begin(frame)) return;
    if (this.#beyond) return this.#options.onBeyond(frame);
    if (this.#isClosed) return;
    // After `clear`, what was under way to the place before.
    if (this.#isCleared) return;
    // The frames of both carriers are never in shared memory.
    this.#queue?.append(frame.payload as Uint8Array<ArrayBuffer>);
  }

  /** An init segment: the first one, that of the next epoch, or the same one again after a cut. False: it failed. */
  #begin(frame: ViewerFrame): boolean {
    const epoch = this.#announced.get(frame.epoch);
    if (!epoch) {
      this.#fail(
        new CodedError('MESSAGE_UNEXPECTED', `Cannot show epoch ${frame.epoch}: it was not announced.`),
      );
      return false;
    }
    if (!MediaSource.isTypeSupported(epoch.mimeType)) {
      this.#fail(new CodedError('MEDIA_UNSUPPORTED', `This browser cannot play ${epoch.mimeType}.`));
      return false;
    }
    for (const earlier of this.#announced.keys()) {
      if (earlier === epoch.epoch) break;
      this.#announced.delete(earlier);
    }
    if (this.#queue && trackCount(epoch.mimeType) !== trackCount(this.#mimeType)) {
      this.#beyond = epoch;
      return true;
    }
    if (this.#isCleared) this.#forget();
    const bufferedEndS = this.ranges.at(-1)?.end ?? 0;
    const offsetS = this.#clock.place(epoch, bufferedEndS);
    if (!this.#queue) this.#queue = this.#createQueue(epoch.mimeType);
    else this.#queue.restart(offsetS, epoch.mimeType === this.#mimeType ? null : epoch.mimeType);
    this.#mimeType = epoch.mimeType;
    return true;
  }

  #forget(): void {
    this.#isCleared = false;
    this.#clock = new PlayoutClock();
    this.#queue?.clear();
  }

  #createQueue(mimeType: string): AppendQueue {
    const buffer = this.#mediaSource.addSourceBuffer(mimeType);
    buffer.mode = 'segments';
    return new AppendQueue(buffer, {
      maxPendingBytes: MAX_APPEND_QUEUE_BYTES,
      onUpdated: this.#options.onUpdated,
      onFailed: (error) => this.#fail(error),
      makeRoom: () => this.#options.makeRoom(this.ranges),
    });
  }

  #fail(error: CodedError): void {
    if (!this.#isClosed) this.#options.onFailed(error);
  }
}

/** A recorder names the codec of each track (RFC 6381, 3.2). */
function trackCount(mimeType: string): number {
  return mimeType.split(',').length;
}
