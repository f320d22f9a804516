/** Video elements as live pictures need them. */

/** Muted and inline, which is what browsers let play without a click. */
export function createVideo(): HTMLVideoElement {
  const video = document.createElement('video');
  video.muted = true;
  video.playsInline = true;
  video.disablePictureInPicture = true;
  video.disableRemotePlayback = true;
  return video;
}

/**
 * Starts playing; `onRefused` hears when the browser does not let it, which is not the same as a play that another
 * load or the removal of the element has interrupted.
 */
export function startPlaying(video: HTMLVideoElement, onRefused: (cause: unknown) => void): void {
  video.play().catch((cause: unknown) => {
    if (!(cause instanceof DOMException) || cause.name !== 'AbortError') onRefused(cause);
  });
}

/**
 * Calls `onFrame` once when the first picture is there; returns how to stop waiting. A hidden page composes no frames,
 * so there the decoded data has to be enough.
 */
export function onFirstFrame(video: HTMLVideoElement, onFrame: () => void): () => void {
  const handle = video.requestVideoFrameCallback(() => finish());
  const onData = (): void => {
    if (document.hidden) finish();
  };
  video.addEventListener('loadeddata', onData);
  const stop = (): void => {
    video.cancelVideoFrameCallback(handle);
    video.removeEventListener('loadeddata', onData);
  };
  const finish = (): void => {
    stop();
    onFrame();
  };
  return stop;
}

/** Lets go of everything that the element holds. */
export function releaseVideo(video: HTMLVideoElement): void {
  video.pause();
  video.srcObject = null;
  video.removeAttribute('src');
  video.load();
}
