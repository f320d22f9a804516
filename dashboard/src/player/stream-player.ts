/** The player of one stream with its stage: what a tile and the focus view show. */
import type { Id, Schedule } from '@proofcast/shared';
import { shallowRef, type ShallowRef } from 'vue';
import { PLAYER_LIMITS } from '../config.ts';
import { FallbackPlayer } from './fallback-player.ts';
import { PictureStage } from './picture-stage.ts';
import { Player, type PlayerState } from './player.ts';
import type { RelayConnection } from './relay-connection.ts';
import { SfuPlayer } from './sfu-player.ts';
import type { SfuReceiver } from './sfu-receiver.ts';
import { createUnavailablePath } from './unavailable-path.ts';
import type { Delay, PathListener, PathName, VideoPath } from './video-path.ts';

export interface StreamPlayerOptions {
  readonly streamId: Id;
  readonly relay: RelayConnection;
  readonly sfu: SfuReceiver;
  readonly schedule: Schedule;
  readonly nowMs: () => number;
  readonly isLive: () => boolean;
  readonly isWebRtcHopeless: () => boolean;
  /** An attempt by WebRTC has brought a picture, or had its time and has not. */
  readonly onWebRtcOutcome: (hasPicture: boolean) => void;
}

export class StreamPlayer {
  readonly stage = new PictureStage();
  readonly state: ShallowRef<PlayerState<VideoPath>> = shallowRef({ kind: 'idle' });
  readonly #options: StreamPlayerOptions;
  readonly #player: Player<VideoPath>;

  constructor(options: StreamPlayerOptions) {
    this.#options = options;
    const { schedule, nowMs } = options;
    this.#player = new Player<VideoPath>({
      limits: PLAYER_LIMITS,
      schedule,
      nowMs,
      isWebRtcHopeless: options.isWebRtcHopeless,
      onChange: (state) => this.#show(state),
      open: {
        webrtc: (listener) => this.#openWebRtc(listener),
        relay: (listener) => this.#openRelay(listener),
      },
    });
  }

  setExpected(isExpected: boolean): void {
    this.#player.setExpected(isExpected);
  }

  retryNow(paths?: readonly PathName[]): void {
    this.#player.retryNow(paths);
  }

  /** How late the shown picture is; null while there is none or it is not known. */
  readDelay(): Delay | null {
    const state = this.state.value;
    return state.kind === 'playing' ? state.picture.readDelay() : null;
  }

  /** Idempotent. */
  close(): void {
    this.#player.close();
    this.stage.element.remove();
  }

  #show(state: PlayerState<VideoPath>): void {
    if (state.kind === 'playing') this.stage.show(state.picture.video);
    else this.stage.freeze();
    if (state.kind === 'idle') this.stage.clear();
    this.state.value = state;
  }

  #openWebRtc(listener: PathListener): VideoPath {
    const { sfu, streamId, schedule, nowMs, onWebRtcOutcome } = this.#options;
    const openedAtMs = nowMs();
    let hasPicture = false;
    const onFirstFrame = (): void => {
      hasPicture = true;
      onWebRtcOutcome(true);
      listener.onFirstFrame();
    };
    const video = this.stage.addVideo();
    const path = new SfuPlayer(
      { receiver: sfu, streamId, video, schedule, nowMs },
      { ...listener, onFirstFrame },
    );
    return this.#staged(path, () => {
      const hadItsChance = nowMs() - openedAtMs >= PLAYER_LIMITS.relayHeadStartMs;
      if (!hasPicture && hadItsChance) onWebRtcOutcome(false);
    });
  }

  #openRelay(listener: PathListener): VideoPath {
    const { relay, streamId, schedule, nowMs, isLive } = this.#options;
    const video = this.stage.addVideo();
    const path =
      'MediaSource' in window
        ? new FallbackPlayer({ connection: relay, streamId, video, schedule, nowMs, isLive }, listener)
        : createUnavailablePath(video, 'This browser cannot play what the relay sends.', listener);
    return this.#staged(path, () => undefined);
  }

  /** The path with its element taken off the stage when it is closed. */
  #staged(path: VideoPath, onClosed: () => void): VideoPath {
    let isClosed = false;
    return {
      video: path.video,
      readDelay: () => path.readDelay(),
      close: () => {
        if (isClosed) return;
        isClosed = true;
        path.close();
        this.stage.removeVideo(path.video);
        onClosed();
      },
    };
  }
}
