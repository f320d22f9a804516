/** The border between a benchmark and a page in which a crowd watches; see pages/crowd-page.ts. */
import type { LiveAccess, PublishedPicture } from './live-page-api.ts';

/** Over all that the page receives. */
export interface ReceivedPackets {
  readonly packets: number;
  readonly bytes: number;
  readonly lost: number;
}

export type CrowdPageApi = {
  /** Publishes a canvas with the desktop app's publisher; resolves when the path is live. */
  publish(options: LiveAccess & PublishedPicture): Promise<void>;
  /** One more viewer, with the dashboard's receiver and a connection of its own, of all these streams. */
  view(accesses: readonly LiveAccess[]): Promise<void>;
  /** The same as `publish`, to the bare SFU that the page can ask. */
  publishBare(streamId: string, picture: PublishedPicture): Promise<void>;
  /** The same as `view`. */
  viewBare(streamIds: readonly string[]): Promise<void>;
  received(): Promise<ReceivedPackets>;
};
