// Runs in a page: captures the screen and records it as the desktop app does, and throws away what is recorded.

/** As in the desktop app's own configuration. */
export interface RecorderSettings {
  readonly capture: {
    readonly maxFrameRate: number;
    readonly maxWidthPx: number;
    readonly maxHeightPx: number;
  };
  readonly recorder: {
    readonly mimeType: string;
    readonly videoBitsPerSecond: number;
    readonly keyFrameIntervalMs: number;
    readonly sliceMs: number;
  };
}

export interface ScreenRecorder {
  /** Resolves when slices come. */
  start(settings: RecorderSettings): Promise<void>;
  stop(): void;
}

declare global {
  interface Window {
    readonly screenRecorder: ScreenRecorder;
  }
}

let stop = (): void => undefined;

async function start({ capture, recorder: settings }: RecorderSettings): Promise<void> {
  const { maxFrameRate, maxWidthPx, maxHeightPx } = capture;
  const stream = await navigator.mediaDevices.getDisplayMedia({
    video: { frameRate: { max: maxFrameRate }, width: { max: maxWidthPx }, height: { max: maxHeightPx } },
    audio: false,
  });
  for (const track of stream.getTracks()) track.contentHint = 'detail';
  // Newer than TypeScript's DOM types: videoKeyFrameIntervalDuration, in milliseconds.
  const options = {
    mimeType: settings.mimeType,
    videoBitsPerSecond: settings.videoBitsPerSecond,
    videoKeyFrameIntervalDuration: settings.keyFrameIntervalMs,
  };
  const recorder = new MediaRecorder(stream, options);
  const hasSlice = new Promise((resolve) =>
    recorder.addEventListener('dataavailable', resolve, { once: true }),
  );
  recorder.start(settings.sliceMs);
  stop = () => {
    recorder.stop();
    for (const track of stream.getTracks()) track.stop();
  };
  await hasSlice;
}

Object.assign(window, { screenRecorder: { start, stop: () => stop() } satisfies ScreenRecorder });
