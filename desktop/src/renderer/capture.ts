/** The captured screen: one track that both paths use, a small copy of it for the preview, and the sound with it. */
import { CodedError, toCodedError } from '@proofcast/shared';
import type { SoundSource } from '../ipc.ts';
import { CAPTURE } from './config.ts';
import { Sound } from './sound.ts';

/** What the recorder and the live path get. */
export interface CapturedTracks {
  readonly picture: MediaStreamTrack;
  /** Null: the share is silent. */
  readonly sound: MediaStreamTrack | null;
}

export interface Capture {
  readonly tracks: CapturedTracks;
  readonly preview: MediaStream;
  /** Null when none was asked for, or the system has none. */
  readonly sound: Sound | null;
  /** Releases the screen and the sound. Idempotent. */
  close(): void;
}

export interface CaptureOptions {
  /** The sound to be shared with the picture, if any. */
  readonly soundSource: SoundSource | undefined;
  /** The system or the person has ended the capture from outside. */
  readonly onEnded: (capture: Capture) => void;
  /** Why there is no sound at the moment although it is shared; null when there is. The picture is not its business. */
  readonly onSoundFailure: (error: CodedError | null) => void;
}

/** Captures the source that `beginSharing` has named. Throws a coded error that says why nothing can be captured. */
export async function startCapture(options: CaptureOptions): Promise<Capture> {
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
  const [previewTrack, sound] = await Promise.all([createPreviewTrack(track), openSound(options)]);
  const onTrackEnded = () => options.onEnded(capture);
  const capture: Capture = {
    tracks: { picture: track, sound: sound?.track ?? null },
    preview: new MediaStream([previewTrack]),
    sound,
    close() {
      track.removeEventListener('ended', onTrackEnded);
      previewTrack.stop();
      track.stop();
      sound?.close();
    },
  };
  if (track.readyState === 'ended') {
    capture.close();
    throw explain(null);
  }
  track.addEventListener('ended', onTrackEnded, { once: true });
  return capture;
}

/** A share whose sound cannot be had is a silent one. */
async function openSound({ soundSource, onSoundFailure }: CaptureOptions): Promise<Sound | null> {
  if (!soundSource) return null;
  try {
    return await Sound.open({ source: soundSource, onFailure: onSoundFailure });
  } catch (error) {
    onSoundFailure(toCodedError(error));
    return null;
  }
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
