/** The player of one stream with its stage: what a tile and the focus view show, live and looked back at. */
import type { CodedError, Id, Schedule } from '@proofcast/shared';
import { shallowRef, type ShallowRef } from 'vue';
import { PLAYER_LIMITS, REWIND_LIMITS, TIER_LIMITS } from '../config.ts';
import { FallbackPlayer } from './fallback-player.ts';
import type { HttpFeed } from './http-feed.ts';
import { PictureStage, type PictureElement } from './picture-stage.ts';
import { Player, type PlayerState } from './player.ts';
import type { RelayConnection } from './relay-connection.ts';
import { RewindPlayer } from './rewind-player.ts';
import { SfuPlayer } from './sfu-player.ts';
import type { SfuReceiver } from './sfu-receiver.ts';
import { StillPlayer } from './still-player.ts';
import type { StreamFeed } from './stream-feed.ts';
import { createUnavailablePath } from './unavailable-path.ts';
import {
  PATH_NAMES,
  type Delay,
  type LivePath,
  type PathListener,
  type PathName,
  type Preference,
} from './video-path.ts';
import type { VideoPool } from './video-pool.ts';

export interface StreamPlayerOptions {
  readonly streamId: Id;
  readonly relay: RelayConnection;
  readonly http: HttpFeed;
  readonly sfu: SfuReceiver;
  readonly videos: VideoPool;
  readonly schedule: Schedule;
  readonly nowMs: () => number;
  readonly isLive: () => boolean;
  readonly isHopeless: (name: PathName) => boolean;
  /** An attempt by this path has brought a picture, or had its time and has not. */
  readonly onOutcome: (name: PathName, hasPicture: boolean) => void;
}

/** A path with the element that its pictures are in. */
export interface StagedPath extends LivePath {
  readonly picture: PictureElement;
}

/** What of the past is shown instead of the live picture. Moments are milliseconds of the relay's clock. */
export type RewindView =
  | { readonly kind: 'off'; readonly error: CodedError | null }
  | { readonly kind: 'loading'; readonly momentMs: number; readonly error: CodedError | null }
  | { readonly kind: 'playing' | 'paused'; readonly momentMs: number };

interface Rewind {
  readonly player: RewindPlayer;
  readonly video: HTMLVideoElement;
  hasPicture: boolean;
}

const UNSEEN: Preference = { isVisible: true, widthPx: 0, isFocus: false, isHeard: false };

export class StreamPlayer {
  readonly stage: PictureStage;
  readonly state: ShallowRef<PlayerState<StagedPath>> = shallowRef({ kind: 'idle' });
  readonly rewind: ShallowRef<RewindView> = shallowRef({ kind: 'off', error: null });
  readonly #options: StreamPlayerOptions;
  readonly #player: Player<StagedPath>;
  readonly #paths = new Set<StagedPath>();
  #preference = UNSEEN;
  #rewind: Rewind | null = null;

  constructor(options: StreamPlayerOptions) {
    this.#options = options;
    this.stage = new PictureStage(options.videos);
    const { schedule, nowMs, isHopeless } = options;
    this.#player = new Player<StagedPath>({
      limits: PLAYER_LIMITS,
      tiers: PATH_NAMES.map((name) => ({
        name,
        limits: TIER_LIMITS[name],
        open: (listener) => this.#open(name, listener),
      })),
      schedule,
      nowMs,
      isHopeless,
      onChange: (state) => this.#onState(state),
    });
  }

  setExpected(isExpected: boolean): void {
    this.#player.setExpected(isExpected);
  }

  retryNow(paths?: readonly PathName[]): void {
    this.#player.retryNow(paths);
  }

  /** See `Player.hurry`. */
  hurry(path: PathName): void {
    this.#player.hurry(path);
  }

  /** What somebody sees and hears of the stream, for the paths that can make use of it. */
  setPreference(preference: Preference): void {
    this.#preference = preference;
    this.stage.setHeard(preference.isHeard);
    for (const path of this.#paths) path.setPreference?.(preference);
  }

  /** How late the shown picture is; null while there is none or it is not known. */
  readDelay(): Delay | null {
    if (this.#rewind) return this.#rewind.player.readDelay();
    const state = this.state.value;
    return state.kind === 'playing' ? state.picture.readDelay() : null;
  }

  /** The relay's clock now, by whichever carrier tells it; null while none does. */
  relayNowMs(): number | null {
    return this.#options.relay.relayNowMs() ?? this.#options.http.relayNowMs();
  }

  /**
   * Shows the recording as it was at a moment of the relay's clock, and on from there; the live picture goes on behind
   * it. A moment that has hardly passed is live.
   */
  lookBack(momentMs: number): void {
    const nowMs = this.relayNowMs();
    if (nowMs !== null && nowMs - momentMs < REWIND_LIMITS.minBehindMs) return this.goLive();
    if (this.#rewind) this.#rewind.player.seek(momentMs);
    else if ('MediaSource' in window) this.#rewind = this.#openRewind(momentMs);
    this.#publishRewind();
  }

  /** Goes on from where it was paused, or pauses; nothing for the live picture. */
  togglePause(): void {
    if (this.rewind.value.kind === 'paused') this.#rewind?.player.play();
    else this.#rewind?.player.pause();
  }

  /** Back to the live picture, which has never gone. */
  goLive(error: CodedError | null = null): void {
    const rewind = this.#rewind;
    if (!rewind) return;
    this.#rewind = null;
    rewind.player.close();
    this.stage.remove(rewind.video);
    this.#render();
    this.rewind.value = { kind: 'off', error };
  }

  /** Idempotent. */
  close(): void {
    this.goLive();
    this.#player.close();
    this.stage.element.remove();
  }

  #onState(state: PlayerState<StagedPath>): void {
    this.state.value = state;
    this.#render();
  }

  #render(): void {
    if (this.#rewind?.hasPicture) return this.stage.show(this.#rewind.video);
    const state = this.state.value;
    if (state.kind === 'playing') this.stage.show(state.picture.picture);
    else this.stage.freeze();
    if (state.kind === 'idle') this.stage.clear();
  }

  #open(name: PathName, listener: PathListener): StagedPath {
    switch (name) {
      case 'webrtc':
        return this.#openWebRtc(listener);
      case 'relay':
        return this.#openFeed(name, this.#options.relay, listener);
      case 'http':
        return this.#openFeed(name, this.#options.http, listener);
      case 'stills':
        return this.#openStills(listener);
    }
  }

  #openWebRtc(listener: PathListener): StagedPath {
    const { sfu, streamId, schedule, nowMs } = this.#options;
    const video = this.stage.addVideo();
    return this.#staged({ name: 'webrtc', picture: video, listener }, (reporting) => {
      return new SfuPlayer({ receiver: sfu, streamId, video, schedule, nowMs }, reporting);
    });
  }

  #openFeed(name: PathName, feed: StreamFeed, listener: PathListener): StagedPath {
    const { streamId, schedule, nowMs, isLive } = this.#options;
    const video = this.stage.addVideo();
    return this.#staged({ name, picture: video, listener }, (reporting) =>
      'MediaSource' in window
        ? new FallbackPlayer({ feed, streamId, video, schedule, nowMs, isLive }, reporting)
        : createUnavailablePath(video, 'This browser cannot play what the relay sends.', reporting),
    );
  }

  #openStills(listener: PathListener): StagedPath {
    const { streamId, http, schedule, nowMs, isLive } = this.#options;
    const canvas = this.stage.addCanvas();
    const request = (signal: AbortSignal): Promise<Response> =>
      http.open('streamStill', { params: { streamId }, signal });
    const relayNowMs = (): number | null => this.relayNowMs();
    return this.#staged({ name: 'stills', picture: canvas, listener }, (reporting) => {
      return new StillPlayer({ request, relayNowMs, canvas, schedule, nowMs, isLive }, reporting);
    });
  }

  /** The path on the stage: its element goes when it is closed, and the page hears what came of it. */
  #staged(
    { name, picture, listener }: { name: PathName; picture: PictureElement; listener: PathListener },
    open: (listener: PathListener) => LivePath,
  ): StagedPath {
    const { nowMs, onOutcome } = this.#options;
    const openedAtMs = nowMs();
    let hasPicture = false;
    let isClosed = false;
    const path = open({
      ...listener,
      onFirstFrame: () => {
        hasPicture = true;
        onOutcome(name, true);
        listener.onFirstFrame();
      },
    });
    const staged: StagedPath = {
      picture,
      readDelay: () => path.readDelay(),
      setPreference: (preference) => path.setPreference?.(preference),
      close: () => {
        if (isClosed) return;
        isClosed = true;
        this.#paths.delete(staged);
        path.close();
        this.stage.remove(picture);
        const hadItsChance = nowMs() - openedAtMs >= TIER_LIMITS.relay.headStartMs;
        if (!hasPicture && hadItsChance) onOutcome(name, false);
      },
    };
    this.#paths.add(staged);
    staged.setPreference?.(this.#preference);
    return staged;
  }

  #openRewind(momentMs: number): Rewind {
    const { streamId, schedule, nowMs, relay, http } = this.#options;
    const video = this.stage.addVideo();
    const player = new RewindPlayer(
      {
        pickFeed: () => (relay.state.kind === 'open' ? relay : http),
        streamId,
        video,
        schedule,
        nowMs,
        onPicture: () => {
          rewind.hasPicture = true;
          if (this.#rewind === rewind) this.#render();
        },
        onChange: () => this.#publishRewind(),
        onEnd: (error) => this.goLive(error),
      },
      momentMs,
    );
    const rewind: Rewind = { player, video, hasPicture: false };
    return rewind;
  }

  #publishRewind(): void {
    const player = this.#rewind?.player;
    if (!player) return;
    const momentMs = player.readMomentMs();
    const { state } = player;
    this.rewind.value = state.kind === 'loading' ? { ...state, momentMs } : { kind: state.kind, momentMs };
  }
}
