/** A path that this browser cannot take: it says so, and that is all it ever does. */
import { CodedError } from '@proofcast/shared';
import type { PathListener, VideoPath } from './video-path.ts';

export function createUnavailablePath(
  video: HTMLVideoElement,
  reason: string,
  listener: PathListener,
): VideoPath {
  let isClosed = false;
  queueMicrotask(() => {
    if (!isClosed) listener.onLost(new CodedError('MEDIA_UNSUPPORTED', reason));
  });
  return {
    video,
    readDelay: () => null,
    close: () => {
      isClosed = true;
    },
  };
}
