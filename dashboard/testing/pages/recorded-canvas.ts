/** A moving picture that is really recorded, in the page, with or without a tone. */

export const MIME_TYPE = 'video/webm;codecs=vp8';
export const SOUND_MIME_TYPE = 'video/webm;codecs=vp8,opus';

/** The keyframe interval is not in the DOM types yet. */
type RecorderOptions = MediaRecorderOptions & { videoKeyFrameIntervalDuration: number };

interface Content {
  /** Cannot be compressed, so that it soon makes many bytes. */
  readonly isNoise?: boolean;
  readonly hasSound?: boolean;
}

export interface Recording {
  readonly recorder: MediaRecorder;
  /** Wall clock when the recorder began. */
  readonly startedAtMs: number;
  stop(): void;
}

/** Records until it is stopped. */
export async function recordCanvas(
  onBytes: (bytes: Uint8Array<ArrayBuffer>) => void,
  { sliceMs, isNoise = false, hasSound = false }: { sliceMs: number } & Content,
): Promise<Recording> {
  const canvas = document.createElement('canvas');
  canvas.width = 320;
  canvas.height = 180;
  const context = canvas.getContext('2d', { alpha: false });
  if (!context) throw new Error('This browser has no 2D canvas.');
  const timer = setInterval(() => (isNoise ? drawNoise(context) : drawClock(context)), 33);
  const options: RecorderOptions = {
    mimeType: hasSound ? SOUND_MIME_TYPE : MIME_TYPE,
    videoBitsPerSecond: isNoise ? 8e6 : 5e5,
    videoKeyFrameIntervalDuration: 500,
  };
  const tone = hasSound ? await startTone() : null;
  const tracks = [...canvas.captureStream(30).getTracks(), ...(tone?.tracks ?? [])];
  const recorder = new MediaRecorder(new MediaStream(tracks), options);
  let order = Promise.resolve();
  recorder.addEventListener('dataavailable', ({ data }) => {
    order = order.then(async () => onBytes(new Uint8Array(await data.arrayBuffer())));
  });
  const started = new Promise((resolve) => recorder.addEventListener('start', resolve, { once: true }));
  recorder.start(sliceMs);
  await started;
  return {
    recorder,
    startedAtMs: Date.now(),
    stop: () => {
      clearInterval(timer);
      if (recorder.state !== 'inactive') recorder.stop();
      tone?.stop();
    },
  };
}

/** All bytes of a recording of so many seconds. */
export async function recordClip(seconds: number, content: Content = {}): Promise<Uint8Array<ArrayBuffer>> {
  const parts: Uint8Array<ArrayBuffer>[] = [];
  const recording = await recordCanvas((bytes) => parts.push(bytes), { sliceMs: 100, ...content });
  await new Promise((resolve) => setTimeout(resolve, seconds * 1000));
  const stopped = new Promise((resolve) =>
    recording.recorder.addEventListener('stop', resolve, { once: true }),
  );
  recording.stop();
  await stopped;
  // The last slice is read after the recorder has said that it stopped.
  await new Promise((resolve) => setTimeout(resolve, 50));
  return new Uint8Array(await new Blob(parts).arrayBuffer());
}

async function startTone(): Promise<{ tracks: MediaStreamTrack[]; stop(): void }> {
  const context = new AudioContext();
  const oscillator = context.createOscillator();
  const output = context.createMediaStreamDestination();
  oscillator.connect(output);
  oscillator.start();
  await context.resume();
  return { tracks: output.stream.getTracks(), stop: () => void context.close() };
}

function drawClock(context: CanvasRenderingContext2D): void {
  context.fillStyle = '#fff';
  context.fillRect(0, 0, 320, 180);
  context.fillStyle = '#000';
  context.font = '40px monospace';
  context.fillText(String(Date.now() % 100_000), 20, 100);
}

function drawNoise(context: CanvasRenderingContext2D): void {
  const image = context.createImageData(320, 180);
  crypto.getRandomValues(image.data.subarray(0, 65_536));
  image.data.copyWithin(65_536, 0, 65_536);
  image.data.copyWithin(131_072, 0, 65_536);
  context.putImageData(image, 0, 0);
}
