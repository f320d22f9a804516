// Runs in a page: records canvases into which the time is burnt, as the recorder of the desktop app records a screen.
import { encodeStamp, STAMP_COLUMNS, STAMP_HEIGHT_FRACTION } from '../stamp.ts';

export interface CanvasRecipe {
  readonly mimeType: string;
  readonly lengthMs: number;
  readonly timesliceMs: number;
  readonly hasSound: boolean;
  /** Something that takes many bytes to encode. */
  readonly hasNoise: boolean;
  /** The recorder is paused from this time to that. */
  readonly paused: { readonly fromMs: number; readonly toMs: number } | null;
  /** The picture gets another size at this time. */
  readonly resizedAtMs: number | null;
}

export interface CanvasRecording {
  readonly startedAtMs: number;
  /** Base64, in order of arrival. */
  readonly slices: string[];
}

const FRAMES_PER_SECOND = 15;
const SIZES = [
  [640, 360],
  [480, 270],
] as const;

Reflect.set(globalThis, 'recordCanvas', recordCanvas);

async function recordCanvas(recipe: CanvasRecipe): Promise<CanvasRecording> {
  const canvas = document.createElement('canvas');
  const drawing = startDrawing(canvas, recipe.hasNoise);
  const stream = canvas.captureStream(FRAMES_PER_SECOND);
  const audio = new AudioContext();
  if (recipe.hasSound) stream.addTrack(makeSound(audio));
  // Newer than TypeScript's DOM types: videoKeyFrameIntervalDuration, in milliseconds.
  const { mimeType, hasNoise } = recipe;
  const videoBitsPerSecond = hasNoise ? 6_000_000 : 1_000_000;
  const options = { mimeType, videoBitsPerSecond, videoKeyFrameIntervalDuration: 2000 };
  const recorder = new MediaRecorder(stream, options);
  const slices: Promise<string>[] = [];
  recorder.ondataavailable = ({ data }) => slices.push(toBase64(data));
  const stopped = new Promise((resolve) => (recorder.onstop = resolve));
  const startedAtMs = Date.now();
  recorder.start(recipe.timesliceMs);
  if (recipe.paused !== null) {
    setTimeout(() => recorder.pause(), recipe.paused.fromMs);
    setTimeout(() => recorder.resume(), recipe.paused.toMs);
  }
  if (recipe.resizedAtMs !== null) setTimeout(() => drawing.resize(), recipe.resizedAtMs);
  setTimeout(() => recorder.stop(), recipe.lengthMs);
  await stopped;
  drawing.stop();
  for (const track of stream.getTracks()) track.stop();
  await audio.close();
  return { startedAtMs, slices: await Promise.all(slices) };
}

function startDrawing(canvas: HTMLCanvasElement, hasNoise: boolean): { resize(): void; stop(): void } {
  // Opaque, as a real screen is: with an alpha channel MediaRecorder writes other blocks.
  const context = canvas.getContext('2d', { alpha: false })!;
  const noise = context.createImageData(400, 150);
  for (let i = 0; i < noise.data.length; i++) noise.data[i] = i % 4 === 3 ? 255 : Math.random() * 256;
  const draw = (): void => {
    const { width, height } = canvas;
    const now = Date.now();
    context.fillStyle = '#10202c';
    context.fillRect(0, 0, width, height);
    context.fillStyle = '#2f9e8f';
    context.fillRect(((now % 4000) / 4000) * width, height / 2, width / 6, height / 4);
    if (hasNoise) context.putImageData(noise, (now % 7) * 5, height * 0.4 + (now % 5));
    const stampHeight = Math.round(height * STAMP_HEIGHT_FRACTION);
    const cellWidth = width / STAMP_COLUMNS;
    encodeStamp(now).forEach((isWhite, index) => {
      const column = index % STAMP_COLUMNS;
      const row = Math.floor(index / STAMP_COLUMNS);
      context.fillStyle = isWhite ? '#fff' : '#000';
      context.fillRect(column * cellWidth, (row * stampHeight) / 2, cellWidth + 1, stampHeight / 2);
    });
  };
  const setSize = ([width, height]: (typeof SIZES)[number]): void => {
    canvas.width = width;
    canvas.height = height;
    draw();
  };
  setSize(SIZES[0]);
  const timer = setInterval(draw, 1000 / FRAMES_PER_SECOND);
  return { resize: () => setSize(SIZES[1]), stop: () => clearInterval(timer) };
}

function makeSound(audio: AudioContext): MediaStreamTrack {
  const oscillator = new OscillatorNode(audio, { frequency: 440 });
  const destination = new MediaStreamAudioDestinationNode(audio);
  oscillator.connect(destination);
  oscillator.start();
  const [track] = destination.stream.getAudioTracks();
  if (track === undefined) throw new Error('The oscillator gives no track.');
  return track;
}

async function toBase64(blob: Blob): Promise<string> {
  let binary = '';
  for (const byte of new Uint8Array(await blob.arrayBuffer())) binary += String.fromCharCode(byte);
  return btoa(binary);
}
