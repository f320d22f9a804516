/**
 * Where the frames of one stream come from: a channel of the page's websocket, or the body of an HTTP response. The same
 * bytes in the same order; rules V3–V10 and section H of docs/protocol.md.
 */
import type { CodedError, Id, MessageToViewer, ViewerFrame } from '@proofcast/shared';

export type EpochMessage = Extract<MessageToViewer, { type: 'epoch' }>['data'];

/** A place in the past and up to where it is wanted, both by the publisher's wall clock. */
export interface PastRange {
  readonly fromUs: number;
  readonly untilUs: number;
}

/** The side that watches one stream. */
export interface Watcher {
  readonly onEpoch: (epoch: EpochMessage) => void;
  /** The payload may be a part of a larger buffer. */
  readonly onFrame: (frame: ViewerFrame) => void;
  /** All before `atUs` has come; what follows comes after `extend`. */
  readonly onHeld?: (atUs: number) => void;
  /** Nothing more will come. At most once, never after the watch was closed. */
  readonly onEnded: (error: CodedError) => void;
}

export interface Watch {
  /** Goes to another place; nothing of the place before comes any more. */
  seek(range: PastRange): void;
  /** Goes on up to `untilUs` where a range of the past has ended. */
  extend(untilUs: number): void;
  /** Idempotent. */
  close(): void;
}

export interface StreamFeed {
  /** The relay's clock now, in milliseconds; null while it is not known. */
  relayNowMs(): number | null;
  /** Watches one stream live, or from a place in the past on. Calls nothing before it has returned. */
  watch(streamId: Id, watcher: Watcher, range?: PastRange): Watch;
}
