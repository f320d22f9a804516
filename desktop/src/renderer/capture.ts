/** The captured screen: one track that both paths use, and a small copy of it for the preview. */
import { CodedError } from '@proofcast/shared';
import { CAPTURE } from './config.ts';

export interface Capture {
  readonly track: MediaStreamTrack;
  readonly preview: MediaStream;
  /** Releases the screen. Idempotent. */
  close(): void;
}

/**
 * Captures the source that `beginSharing` has named. `onEnded` is called when the system or the person ends the capture
 * from outside. Throws a coded error that says why nothing can be captured.
 */
export async function startCapture(onEnded: (capture: Capture) => void): Promise<Capture> {
  const stream = await navigator.mediaDevices
    .getDisplayMedia({
      video: {
        frameRate: { max: CAPTURE.maxFrameRate },
        width: { max: CAPTURE.maxWidthPx },
        height: { max: CAPTURE.maxHeightPx },
      },
      audio: false,
    })
    .catch((cause: unknown) => {
      throw explain(cause);
    });
  const [track] = stream.getVideoTracks();
  if (!track) throw new CodedError('MEDIA_UNSUPPORTED', 'The system gave no picture of this source.');
  // Sharp text matters more than smooth motion.
  track.contentHint = 'detail';
  const previewTrack = await createPreviewTrack(track);
  if (track.readyState === 'ended') throw explain(null);
  const onTrackEnded = () => onEnded(capture);
  const capture: Capture = {
    track,
    preview: new MediaStream([previewTrack]),
    close() {
      track.removeEventListener('ended', onTrackEnded);
      previewTrack.stop();
      track.stop();
    },
  };
  track.addEventListener('ended', onTrackEnded, { once: true });
  return capture;
}

async function createPreviewTrack(track: MediaStreamTrack): Promise<MediaStreamTrack> {
  const preview = track.clone();
  const { previewFrameRate, previewWidthPx } = CAPTURE;
  // A system that cannot scale the copy shows the full picture: costly, not wrong.
  await preview
    .applyConstraints({ frameRate: { max: previewFrameRate }, width: { max: previewWidthPx } })
    .catch(() => undefined);
  return preview;
}

/** https://www.w3.org/TR/screen-capture/#dom-mediadevices-getdisplaymedia names the errors. */
function explain(cause: unknown): CodedError {
  const name = cause instanceof DOMException ? cause.name : '';
  if (name === 'NotAllowedError') {
    return new CodedError('FORBIDDEN', 'The system did not allow this app to capture the screen.', { cause });
  }
  if (name === 'InvalidStateError') {
    return new CodedError('FORBIDDEN', 'The system lets this app capture only after a click.', { cause });
  }
  return new CodedError('MEDIA_UNSUPPORTED', 'This source cannot be captured. It may have been closed.', {
    cause,
  });
}
