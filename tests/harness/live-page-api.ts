/** The border between a test and the page that it drives. */

export interface LiveAccess {
  /** `ws://…` with the path of the signalling. */
  readonly url: string;
  readonly token: string;
  readonly streamId: string;
}

export interface PublishedPicture {
  readonly widthPx: number;
  readonly heightPx: number;
  readonly framesPerSecond: number;
  /** Changes all over, so that it needs all the bits that it may have. */
  readonly isRestless: boolean;
}

export interface SentVideo {
  readonly framesEncoded: number;
  readonly keyFramesEncoded: number;
  readonly bytesSent: number;
}

export interface ReceivedVideo {
  readonly framesDecoded: number;
  readonly widthPx: number;
  readonly heightPx: number;
}

export type Preference = { isPaused: boolean; maxSpatialLayer: number | null; priority: number };

export type LivePageApi = {
  /** Publishes a canvas with burnt-in stamps; resolves when the path is live. */
  publish(options: LiveAccess & PublishedPicture): Promise<void>;
  /** The states of the live path that have come since the last call. */
  takePaths(): string[];
  /** Resolves when the publisher has heard of so many viewers. */
  untilViewers(count: number): Promise<void>;
  /** Resolves when `count` more pictures have been drawn on what is published. */
  untilDrawn(count: number): Promise<void>;
  sent(): Promise<SentVideo>;
  /** Resolves with the milliseconds from asking to the first decoded picture. */
  view(options: LiveAccess & { preference?: Preference }): Promise<number>;
  prefer(streamId: string, preference: Preference): void;
  leave(streamId: string): void;
  /** What has gone wrong with a stream that is viewed; null while nothing has. */
  lost(streamId: string): string | null;
  received(streamId: string): Promise<ReceivedVideo>;
  /** How many peer connections are open in this page. */
  connectionCount(): number;
};
