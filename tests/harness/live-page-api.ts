/** The border between a test and the page that it drives. */
import type { BareSending } from './bare-client-api.ts';

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
  /** In all layers together. */
  readonly framesEncoded: number;
  /** In the layer for small tiles alone, which is encoded whatever the network carries. */
  readonly smallFramesEncoded: number;
  readonly keyFramesEncoded: number;
  readonly bytesSent: number;
}

export interface ReceivedVideo {
  readonly framesDecoded: number;
  readonly widthPx: number;
  readonly heightPx: number;
}

export type Preference = { isVisible: boolean; widthPx: number; isFocus: boolean; isHeard: boolean };

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
  /** Connects the signalling and loads what is needed, as the dashboard does when it opens; resolves when that is done. */
  warmUp(access: LiveAccess): Promise<void>;
  /** Resolves with the milliseconds from asking to the first decoded picture. */
  view(options: LiveAccess): Promise<number>;
  prefer(streamId: string, preference: Preference): void;
  leave(streamId: string): void;
  /** What has gone wrong with a stream that is viewed; null while nothing has. */
  lost(streamId: string): string | null;
  received(streamId: string): Promise<ReceivedVideo>;
  /** How late the player says that the picture is; null while it does not know. */
  delay(streamId: string): { readonly ms: number; readonly isMinimum: boolean } | null;
  /** How old the next `count` pictures of a stream are when they are shown, in milliseconds. */
  ages(streamId: string, count: number): Promise<number[]>;
  /** Resolves with when a picture of `streamId` that was drawn after this was first shown, milliseconds since 1970. */
  untilDrawnAfter(streamId: string, drawnAfterMs: number): Promise<number>;
  /** Sends a picture to another page without any server: resolves with the offer. */
  offerPeer(picture: PublishedPicture): Promise<string>;
  /** Receives that as `streamId`: resolves with the answer. */
  answerPeer(streamId: string, offer: string): Promise<string>;
  acceptPeer(answer: string): Promise<void>;
  /** Publishes to the bare SFU that the page can reach. */
  publishBare(options: { streamId: string } & PublishedPicture & BareSending): Promise<void>;
  /** Views from it; the viewer is told to hold pictures back for so long at least, null: what the browser does. */
  viewBare(streamId: string, jitterBufferTargetMs: number | null): Promise<void>;
  /** Resolves with when the first picture of `streamId` was there, milliseconds since 1970. */
  untilFrame(streamId: string): Promise<number>;
  /** How many peer connections are open in this page. */
  connectionCount(): number;
};
