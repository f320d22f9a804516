/** What the player knows of a way for pictures to come: the same for WebRTC, for the relay, and for still pictures. */
import type { CodedError } from '@proofcast/shared';

/**
 * The tiers, best first: WebRTC through the SFU; the relay by websocket; the same bytes as the body of an HTTP response;
 * a still picture every few seconds.
 */
export const PATH_NAMES = ['webrtc', 'relay', 'http', 'stills'] as const;
export type PathName = (typeof PATH_NAMES)[number];

/** How late the shown picture is. `isMinimum`: only a part of the way can be measured; it may be later than this. */
export interface Delay {
  readonly ms: number;
  readonly isMinimum: boolean;
}

/** What somebody sees and hears of the stream, so that a path need not send more than that. */
export interface Preference {
  /** False: off the screen, or in a page that is hidden. */
  readonly isVisible: boolean;
  /** Of the place where it is shown, in pixels of the device; 0 when not known. */
  readonly widthPx: number;
  /** Shown alone and large. */
  readonly isFocus: boolean;
  readonly isHeard: boolean;
}

/** Nothing is called before the function that opens the path has returned. */
export interface PathListener {
  /** The first picture is decoded and can be shown. At most once. */
  readonly onFirstFrame: () => void;
  /** No picture will come any more. At most once, never after `close`. */
  readonly onLost: (error: CodedError) => void;
}

/** One attempt to get pictures on one path; after `onLost` or `close` it is of no further use. */
export interface LivePath {
  /** Null while it is not known. */
  readDelay(): Delay | null;
  /** Paths without it send the same to everybody. Called after opening, and at each change. */
  setPreference?(preference: Preference): void;
  /** Idempotent. */
  close(): void;
}

/** One whose pictures and sound a video element plays. */
export interface VideoPath extends LivePath {
  readonly video: HTMLVideoElement;
}
