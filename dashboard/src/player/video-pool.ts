/** Video elements that are used again: a wall that is paged through neither makes nor forgets one for each tile. */
import { createVideo, releaseVideo } from './video-element.ts';

export class VideoPool {
  readonly #maxIdle: number;
  readonly #idle: HTMLVideoElement[] = [];

  constructor({ maxIdle }: { maxIdle: number }) {
    this.#maxIdle = maxIdle;
  }

  get idleCount(): number {
    return this.#idle.length;
  }

  take(): HTMLVideoElement {
    return this.#idle.pop() ?? createVideo();
  }

  /** Takes an element back that nobody listens to any more; what it plays ends here. */
  giveBack(video: HTMLVideoElement): void {
    releaseVideo(video);
    video.remove();
    video.className = '';
    video.playbackRate = 1;
    video.muted = true;
    delete video.dataset['testid'];
    if (this.#idle.length < this.#maxIdle && !this.#idle.includes(video)) this.#idle.push(video);
  }

  /** Forgets what is idle. Idempotent. */
  close(): void {
    this.#idle.length = 0;
  }
}
