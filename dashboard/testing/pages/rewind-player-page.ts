/**
 * Scenarios of looking back in a real browser; called from rewind-player.browser.test.ts. Media and MediaSource are
 * real; the feed is played by the page, which has a recording of many short epochs to give.
 */
import { CodedError, type ViewerFrame } from '@proofcast/shared';
import { REWIND_LIMITS } from '../../src/config.ts';
import { RewindPlayer } from '../../src/player/rewind-player.ts';
import type { PastRange, StreamFeed, Watch, Watcher } from '../../src/player/stream-feed.ts';
import { createVideo } from '../../src/player/video-element.ts';
import { MIME_TYPE, recordClip, SOUND_MIME_TYPE } from './recorded-canvas.ts';

const STREAM = 'str_00000000000000000001';
/** When the recording began, by the relay's clock. */
const BEGIN_MS = 1_800_000_000_000;
const CLIP_S = 3;
const sleep = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

/** A recording of `epochs` clips, one behind the other; sends all that lies behind the beginning of a range. */
class RecordingFeed implements StreamFeed {
  readonly asked: PastRange[] = [];
  readonly extended: number[] = [];
  readonly #clips: readonly Clip[];
  readonly #epochs: number;
  readonly #offsetUs: number;
  #watcher: Watcher | null = null;

  /** The clips are taken in turns. */
  constructor(clips: readonly Clip[], { epochs, offsetUs = 0 }: { epochs: number; offsetUs?: number }) {
    this.#clips = clips;
    this.#epochs = epochs;
    this.#offsetUs = offsetUs;
  }

  get isWatched(): boolean {
    return this.#watcher !== null;
  }

  relayNowMs(): number {
    return BEGIN_MS + this.#epochs * CLIP_S * 1000;
  }

  watch(_streamId: string, watcher: Watcher, range?: PastRange): Watch {
    this.#watcher = watcher;
    if (range) this.#send(watcher, range);
    return {
      seek: (to) => this.#send(watcher, to),
      extend: (untilUs) => this.extended.push(untilUs),
      close: () => {
        if (this.#watcher === watcher) this.#watcher = null;
      },
    };
  }

  /** The connection is gone. */
  lose(): void {
    const watcher = this.#watcher;
    this.#watcher = null;
    watcher?.onEnded(new CodedError('UNAVAILABLE', 'gone'));
  }

  #send(watcher: Watcher, range: PastRange): void {
    this.asked.push(range);
    const fromS = (range.fromUs / 1e6 - BEGIN_MS / 1000 + this.#offsetUs / 1e6) / CLIP_S;
    const first = Math.min(this.#epochs - 1, Math.max(0, Math.floor(fromS)));
    queueMicrotask(() => {
      for (let epoch = first; epoch < this.#epochs; epoch += 1) {
        if (this.#watcher !== watcher) return;
        const startedAtUs = (BEGIN_MS + epoch * CLIP_S * 1000) * 1000 - this.#offsetUs;
        const publisherClockOffsetUs = this.#offsetUs;
        const clip = this.#clips[epoch % this.#clips.length];
        if (!clip) return;
        const { mimeType, bytes, initBytes } = clip;
        watcher.onEpoch({ channel: 1, epoch, mimeType, startedAtUs, publisherClockOffsetUs });
        watcher.onFrame(this.#frame('init', epoch, bytes.slice(0, initBytes)));
        watcher.onFrame(this.#frame('media', epoch, bytes.slice(initBytes)));
      }
    });
  }

  #frame(kind: 'init' | 'media', epoch: number, payload: Uint8Array): ViewerFrame {
    return {
      kind,
      channel: 1,
      epoch,
      sequence: 0,
      captureTimeUs: 0,
      isDiscontinuity: kind === 'init',
      payload,
    };
  }
}

interface Clip {
  readonly mimeType: string;
  readonly bytes: Uint8Array;
  /** What lies before the first cluster. */
  readonly initBytes: number;
}

async function makeClip(hasSound: boolean): Promise<Clip> {
  const bytes = await recordClip(CLIP_S, { hasSound });
  const cluster = [0x1f, 0x43, 0xb6, 0x75];
  const initBytes = bytes.findIndex((_, start) =>
    cluster.every((byte, index) => bytes[start + index] === byte),
  );
  return { mimeType: hasSound ? SOUND_MIME_TYPE : MIME_TYPE, bytes, initBytes };
}

let silent: Promise<Clip> | undefined;
let sounding: Promise<Clip> | undefined;

async function open(
  feedOptions: { epochs: number; offsetUs?: number; isSoundInTurns?: boolean },
  fromS: number,
) {
  const clips = [await (silent ??= makeClip(false))];
  if (feedOptions.isSoundInTurns) clips.push(await (sounding ??= makeClip(true)));
  const feed = new RecordingFeed(clips, feedOptions);
  const video = createVideo();
  document.body.append(video);
  const log: string[] = [];
  const picture = Promise.withResolvers<void>();
  const player = new RewindPlayer(
    {
      pickFeed: () => feed,
      streamId: STREAM,
      video,
      schedule: (callback, delayMs) => {
        const timer = setTimeout(callback, delayMs);
        return () => clearTimeout(timer);
      },
      nowMs: Date.now,
      onPicture: () => {
        log.push('picture');
        picture.resolve();
      },
      onChange: () => undefined,
      onEnd: (error) => log.push(`end ${error?.code ?? ''}`),
    },
    BEGIN_MS + fromS * 1000,
  );
  const momentS = () => (player.readMomentMs() - BEGIN_MS) / 1000;
  return {
    feed,
    video,
    player,
    log,
    picture: picture.promise,
    momentS,
    /** The last moment that can be gone to without asking for more. */
    bufferedToS: () => momentS() + video.buffered.end(video.buffered.length - 1) - video.currentTime,
  };
}

/** Chromium's count, which no standard knows. */
type SoundingVideo = HTMLVideoElement & { readonly webkitAudioDecodedByteCount: number };

async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await sleep(20);
}

const scenarios = {
  async moment() {
    const { player, picture, momentS, bufferedToS, log } = await open({ epochs: 6 }, 7);
    await picture;
    const atS = momentS();
    const delayMs = player.readDelay()?.ms ?? null;
    await until(() => bufferedToS() > 14);
    player.seek(BEGIN_MS + 12_500);
    await sleep(300);
    const soughtS = momentS();
    player.close();
    return { atS, delayMs, soughtS, log };
  },

  async beforeBeginning() {
    const { player, picture, momentS } = await open({ epochs: 2 }, -60);
    await picture;
    const atS = momentS();
    player.close();
    return { atS };
  },

  /** The publisher's clock is an hour ahead. */
  async otherClock() {
    const { feed, player, picture, momentS } = await open({ epochs: 6, offsetUs: -3_600e6 }, 7);
    await picture;
    const atS = momentS();
    player.close();
    return { atS, asked: feed.asked.map(({ fromUs }) => fromUs / 1e6 - BEGIN_MS / 1000) };
  },

  /** Paused close to the live picture, where everything comes whether it is asked for or not. */
  async pausedForLong() {
    const epochs = Math.ceil(REWIND_LIMITS.maxAheadS / CLIP_S) + 2;
    const { feed, video, player, picture, momentS } = await open({ epochs }, 0);
    await picture;
    player.pause();
    const pausedState = player.state.kind;
    await until(() => !feed.isWatched);
    const bufferedS = video.buffered.end(video.buffered.length - 1);
    player.seek(BEGIN_MS + (epochs - 2) * CLIP_S * 1000);
    await until(() => feed.isWatched);
    const resumedFromS = (feed.asked.at(-1)?.fromUs ?? 0) / 1e6 - BEGIN_MS / 1000;
    const atS = momentS();
    player.close();
    return {
      pausedState,
      bufferedS,
      resumedFromS,
      atS,
      lengthS: epochs * CLIP_S,
      askedTimes: feed.asked.length,
    };
  },

  /** Every second epoch has sound. */
  async soundInTurns() {
    const { video, player, picture, momentS, log } = await open({ epochs: 4, isSoundInTurns: true }, 1);
    await picture;
    const atS = momentS();
    const hasPlayed = (s: number) => until(() => player.state.kind === 'playing' && momentS() > s);
    await hasPlayed(CLIP_S + 1);
    const soundBytes = (video as SoundingVideo).webkitAudioDecodedByteCount;
    await hasPlayed(2 * CLIP_S + 1);
    player.seek(BEGIN_MS + 1_000);
    await until(() => player.state.kind === 'playing' && momentS() < CLIP_S);
    const backAtS = momentS();
    player.seek(BEGIN_MS + (3 * CLIP_S + 1) * 1000);
    await hasPlayed(3 * CLIP_S + 1);
    player.close();
    return { atS, soundBytes, backAtS, ends: log.filter((entry) => entry.startsWith('end')) };
  },

  async lost() {
    const { feed, player, picture, momentS } = await open({ epochs: 6 }, 7);
    await picture;
    feed.lose();
    const whileLost = player.state;
    await until(() => player.state.kind === 'playing');
    const atS = momentS();
    player.close();
    player.close();
    return {
      whileLost: whileLost.kind === 'loading' ? whileLost.error?.code : null,
      atS,
      isWatched: feed.isWatched,
    };
  },
};

Object.assign(window, { scenarios });
export type Scenarios = typeof scenarios;
