/**
 * The place on the page where the pictures of one stream are: one element for each path that is open, of which one is
 * shown, and the last picture of a path that was lost. A view adopts the stage's element and hands it on to the next
 * view, so that going from the wall to the focus view interrupts nothing.
 */
import { startPlaying } from './video-element.ts';
import type { VideoPool } from './video-pool.ts';

/** A video plays; a canvas shows still pictures. */
export type PictureElement = HTMLVideoElement | HTMLCanvasElement;

export class PictureStage {
  readonly element: HTMLDivElement;
  readonly #videos: VideoPool;
  #shown: PictureElement | undefined;
  #isHeard = false;
  #lastPicture: HTMLCanvasElement | undefined;

  constructor(videos: VideoPool) {
    this.#videos = videos;
    this.element = document.createElement('div');
    this.element.className = 'picture-stage';
  }

  /** The element is in the page from the beginning, under what is shown: browsers do not decode what is nowhere. */
  addVideo(): HTMLVideoElement {
    return this.#add(this.#videos.take());
  }

  addCanvas(): HTMLCanvasElement {
    return this.#add(document.createElement('canvas'));
  }

  /** Nobody uses the element any more. */
  remove(picture: PictureElement): void {
    if (this.#shown === picture) this.#shown = undefined;
    if (picture instanceof HTMLVideoElement) this.#videos.giveBack(picture);
    else picture.remove();
  }

  /** Sound comes from what is shown, and only from that. */
  setHeard(isHeard: boolean): void {
    this.#isHeard = isHeard;
    if (this.#shown instanceof HTMLVideoElement) this.#shown.muted = !isHeard;
  }

  show(picture: PictureElement): void {
    if (this.#shown && this.#shown !== picture) this.#hide(this.#shown);
    this.#shown = picture;
    if (picture instanceof HTMLVideoElement) picture.muted = !this.#isHeard;
    picture.dataset['testid'] = picture instanceof HTMLVideoElement ? 'video' : 'still';
    picture.classList.add('picture-stage__picture--shown');
    this.#dropLastPicture();
  }

  /** Keeps the picture that is shown now as a still one, because its path is about to be closed. */
  freeze(): void {
    const picture = this.#shown;
    if (!picture) return;
    this.#hide(picture);
    this.#shown = undefined;
    const { width, height } = sizeOf(picture);
    if (width === 0) return;
    this.#dropLastPicture();
    const canvas = document.createElement('canvas');
    canvas.className = 'picture-stage__last';
    canvas.width = width;
    canvas.height = height;
    canvas.getContext('2d')?.drawImage(picture, 0, 0);
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

  #add<E extends PictureElement>(picture: E): E {
    picture.className = 'picture-stage__picture';
    this.element.append(picture);
    return picture;
  }

  #hide(picture: PictureElement): void {
    if (picture instanceof HTMLVideoElement) picture.muted = true;
    delete picture.dataset['testid'];
    picture.classList.remove('picture-stage__picture--shown');
  }

  #dropLastPicture(): void {
    this.#lastPicture?.remove();
    this.#lastPicture = undefined;
  }
}

function sizeOf(picture: PictureElement): { width: number; height: number } {
  if (picture instanceof HTMLCanvasElement) return picture;
  return { width: picture.videoWidth, height: picture.videoHeight };
}
