/** A picture that says whose it is and which one it is, so that a viewer can judge what it decodes. */
import type { Colour, Picture } from './api.ts';

const WIDTH_PX = 320;
const HEIGHT_PX = 240;
const STAMP_BITS = 16;
const BIT_WIDTH_PX = WIDTH_PX / STAMP_BITS;
const BIT_HEIGHT_PX = 40;
const FRAME_RATE = 30;
const CHANNELS: readonly Colour[] = ['red', 'green', 'blue'];

/** One colour, a strip of sixteen black or white blocks that count the pictures, and a moving bar. */
export function stampedTrack(colour: Colour): MediaStreamTrack {
  const canvas = document.createElement('canvas');
  canvas.width = WIDTH_PX;
  canvas.height = HEIGHT_PX;
  const context = canvas.getContext('2d', { alpha: false });
  if (!context) throw new Error('This browser has no 2D canvas.');
  let stamp = 0;
  setInterval(() => {
    stamp = (stamp + 1) % 2 ** STAMP_BITS;
    context.fillStyle = `rgb(${CHANNELS.map((channel) => (channel === colour ? 200 : 20)).join(' ')})`;
    context.fillRect(0, 0, WIDTH_PX, HEIGHT_PX);
    for (let bit = 0; bit < STAMP_BITS; bit += 1) {
      context.fillStyle = (stamp >> bit) & 1 ? 'white' : 'black';
      context.fillRect(bit * BIT_WIDTH_PX, 0, BIT_WIDTH_PX, BIT_HEIGHT_PX);
    }
    context.fillStyle = 'black';
    context.fillRect((stamp * 4) % WIDTH_PX, HEIGHT_PX - 20, 8, 20);
  }, 1000 / FRAME_RATE);
  const [track] = canvas.captureStream(FRAME_RATE).getVideoTracks();
  if (!track) throw new Error('This browser cannot capture a canvas.');
  return track;
}

/** Reads the picture that a video shows at the moment, whatever its size. */
export function createPictureReader(): (video: HTMLVideoElement) => Picture {
  const canvas = new OffscreenCanvas(WIDTH_PX, HEIGHT_PX);
  const context = canvas.getContext('2d', { willReadFrequently: true, alpha: false });
  if (!context) throw new Error('This browser has no 2D canvas.');
  return (video) => {
    context.drawImage(video, 0, 0, WIDTH_PX, HEIGHT_PX);
    const strip = context.getImageData(0, BIT_HEIGHT_PX / 2, WIDTH_PX, 1).data;
    let stamp = 0;
    for (let bit = 0; bit < STAMP_BITS; bit += 1) {
      if ((strip[4 * (bit + 0.5) * BIT_WIDTH_PX] ?? 0) > 128) stamp |= 1 << bit;
    }
    const [red = 0, green = 0, blue = 0] = context.getImageData(WIDTH_PX / 2, HEIGHT_PX / 2, 1, 1).data;
    const brightest = [red, green, blue].indexOf(Math.max(red, green, blue));
    return { colour: CHANNELS[brightest] ?? 'red', stamp };
  };
}
