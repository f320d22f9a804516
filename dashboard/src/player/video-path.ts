/** What the player knows of a way for pictures to come: the same for WebRTC and for the relay. */
import type { CodedError } from '@proofcast/shared';

export type PathName = 'webrtc' | 'relay';

/** How late the shown picture is. `isMinimum`: only a part of the way can be measured; it may be later than this. */
export interface Delay {
  readonly ms: number;
  readonly isMinimum: boolean;
}

/** Nothing is called before the function that opens the path has returned. */
export interface PathListener {
  /** The first picture is decoded and can be shown. At most once. */
  readonly onFirstFrame: () => void;
  /** No picture will come any more. At most once, never after `close`. */
  readonly onLost: (error: CodedError) => void;
}

/** One attempt to get pictures on one path; after `onLost` or `close` it is of no further use. */
export interface VideoPath {
  readonly video: HTMLVideoElement;
  /** Null while it is not known. */
  readDelay(): Delay | null;
  /** Idempotent. */
  close(): void;
}
