// Runs in a page: burns the time into every picture it draws, with moving content below.
import { STAMP_HEIGHT_FRACTION } from '../stamp.ts';
import { drawStamp } from './draw-stamp.ts';

/** Pictures a second. */
const stampsPerSecond = Number(new URLSearchParams(location.search).get('stampsPerSecond'));

const canvas = document.createElement('canvas');
canvas.width = innerWidth;
canvas.height = innerHeight;
document.body.replaceChildren(canvas);
// Opaque, as a real screen is: with an alpha channel MediaRecorder writes other blocks.
const context = canvas.getContext('2d', { alpha: false })!;

const stampHeight = Math.round(canvas.height * STAMP_HEIGHT_FRACTION);

const BACKGROUND = '#10202c';
const textTop = stampHeight + 24;
const squareTop = Math.round(canvas.height * 0.6);

context.fillStyle = BACKGROUND;
context.fillRect(0, 0, canvas.width, canvas.height);
context.font = '28px sans-serif';

/** Repaints only what changes, as a desk does: the machine has better things to do than to paint. */
function draw(): void {
  const now = Date.now();
  context.fillStyle = BACKGROUND;
  context.fillRect(0, textTop, canvas.width / 2, 48);
  context.fillRect(0, squareTop, canvas.width, 80);
  context.fillStyle = '#d7e3ea';
  context.fillText(new Date(now).toISOString(), 40, textTop + 36);
  const across = (now % 4000) / 4000;
  context.fillStyle = '#2f9e8f';
  context.fillRect(40 + across * (canvas.width - 160), squareTop, 80, 80);
  drawStamp(context, now);
}

draw();
setInterval(draw, 1000 / stampsPerSecond);
