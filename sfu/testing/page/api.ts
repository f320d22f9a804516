/** What a page can be told to do; the test calls it, the page implements it. Free of DOM types for the test's sake. */

import type { ViewPreference } from '@proofcast/shared';

export interface Access {
  /** `ws://…` with the path of the signalling. */
  readonly url: string;
  readonly token: string;
  readonly streamId: string;
}

export interface PublishOptions extends Access {
  readonly layers: 'none' | 'simulcast';
  /** Fills the picture, so that a viewer can tell whose it is. */
  readonly colour: Colour;
  readonly withSound: boolean;
}

export interface ViewOptions extends Access {
  /** Only candidates of this protocol are used. */
  readonly protocol: 'udp' | 'tcp';
}

export type Colour = 'red' | 'green' | 'blue';

export interface Picture {
  readonly colour: Colour;
  /** Counts the pictures of the publisher. */
  readonly stamp: number;
}

export interface TestPage {
  publish(options: PublishOptions): Promise<void>;
  view(options: ViewOptions): Promise<void>;
  /** Consumes what is new in the stream that is viewed. */
  consume(streamId: string): Promise<void>;
  leave(streamId: string): Promise<void>;
  /** Closes the media connection of a stream without telling the signalling. */
  hangUp(streamId: string): void;
  /** Resolves when `count` more pictures of this colour were decoded, with the last one. */
  pictures(streamId: string, colour: Colour, count: number): Promise<Picture>;
  /** How many pictures were decoded so far. */
  pictureCount(streamId: string): number;
  prefer(streamId: string, preference: ViewPreference): Promise<void>;
  /** Audio packets received so far. */
  audioPackets(streamId: string): Promise<number>;
  /** The protocol and address that media arrives by. */
  selectedPath(streamId: string): Promise<{ protocol: string; port: number }>;
  /** The next notification of this name. */
  next(name: string): Promise<Record<string, unknown>>;
}
