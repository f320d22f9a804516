/**
 * The place on the page where the pictures of one stream are: one video element for each path that is open, of which
 * one is shown, and the last picture of a path that was lost. A view adopts the stage's element and hands it on to the
 * next view, so that going from the wall to the focus view interrupts nothing.
 */
import { createVideo, startPlaying } from './video-element.ts';

export class PictureStage {
  readonly element: HTMLDivElement;
  #shown: HTMLVideoElement | undefined;
  #lastPicture: HTMLCanvasElement | undefined;

  constructor() {
    this.element = document.createElement('div');
    this.element.className = 'picture-stage';
  }

  /** The element is in the page from the beginning, under what is shown: browsers do not decode what is nowhere. */
  addVideo(): HTMLVideoElement {
    const video = createVideo();
    video.className = 'picture-stage__video';
    this.element.append(video);
    return video;
  }

  removeVideo(video: HTMLVideoElement): void {
    video.remove();
    if (this.#shown === video) this.#shown = undefined;
  }

  show(video: HTMLVideoElement): void {
    if (this.#shown) this.#hide(this.#shown);
    this.#shown = video;
    video.dataset['testid'] = 'video';
    video.classList.add('picture-stage__video--shown');
    this.#dropLastPicture();
  }

  /** Keeps the picture that is shown now as a still one, because its path is about to be closed. */
  freeze(): void {
    const video = this.#shown;
    if (!video) return;
    this.#hide(video);
    this.#shown = undefined;
    if (video.videoWidth === 0) return;
    this.#dropLastPicture();
    const canvas = document.createElement('canvas');
    canvas.className = 'picture-stage__last';
    canvas.width = video.videoWidth;
    canvas.height = video.videoHeight;
    canvas.getContext('2d')?.drawImage(video, 0, 0);
    this.#lastPicture = canvas;
    this.element.append(canvas);
  }

  /** Takes a still picture away: it is no longer about something that should be there. */
  clear(): void {
    this.#dropLastPicture();
  }

  /** A view has adopted the element; leaving the page before has paused what plays. */
  resume(): void {
    for (const video of this.element.querySelectorAll('video')) {
      if (video.paused && video.readyState > HTMLMediaElement.HAVE_NOTHING)
        startPlaying(video, () => undefined);
    }
  }

  #hide(video: HTMLVideoElement): void {
    delete video.dataset['testid'];
    video.classList.remove('picture-stage__video--shown');
  }

  #dropLastPicture(): void {
    this.#lastPicture?.remove();
    this.#lastPicture = undefined;
  }
}
