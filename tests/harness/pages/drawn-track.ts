// Runs in a page: a canvas that is drawn anew many times a second, as a track.
import type { PublishedPicture } from '../live-page-api.ts';
import { drawStamp } from './draw-stamp.ts';

/** A track of pictures with burnt-in stamps. `onDrawn` hears of each. */
export function drawnTrack(
  picture: PublishedPicture,
  onDrawn: () => void = () => undefined,
): MediaStreamTrack {
  const canvas = document.createElement('canvas');
  canvas.width = picture.widthPx;
  canvas.height = picture.heightPx;
  const context = canvas.getContext('2d', { alpha: false });
  if (!context) throw new Error('This browser has no 2D canvas.');
  context.fillStyle = '#10202c';
  context.fillRect(0, 0, canvas.width, canvas.height);
  setInterval(() => {
    if (picture.isRestless) drawRestlessly(context);
    drawStamp(context, Date.now());
    onDrawn();
  }, 1000 / picture.framesPerSecond);
  const [track] = canvas.captureStream(picture.framesPerSecond).getVideoTracks();
  if (!track) throw new Error('This browser cannot capture a canvas.');
  track.contentHint = 'detail';
  return track;
}

function drawRestlessly(context: CanvasRenderingContext2D): void {
  const { width, height } = context.canvas;
  for (let patch = 0; patch < 400; patch += 1) {
    context.fillStyle = `hsl(${Math.random() * 360} 80% 50%)`;
    context.fillRect(Math.random() * width, Math.random() * height, 24, 12);
  }
}
