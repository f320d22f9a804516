/** Somebody at the dashboard on a peer of a test network, who opens the wall and then touches nothing. */
import type { Id } from '@proofcast/shared';
import type { Page } from 'playwright-core';
import { expect } from 'vitest';
import type { PathName } from '../../dashboard/src/player/video-path.ts';
import { tileOf } from '../harness/dashboard-driver.ts';
import { watchStamps, type SeenStamp } from '../harness/stamp-readers.ts';
import { keepPictureLog, readPictureLog, type PictureChange, type PictureLog } from './picture-log.ts';
import type { NetworkLink } from './network-link.ts';
import type { Peer } from './test-network.ts';

/** Several browsers, an app and the services share the machine. */
const TIMEOUT_MS = 60_000;

interface NetworkViewerOptions {
  readonly page: Page;
  readonly peer: Peer;
  readonly streamId: Id;
  readonly wallUrl: string;
}

export class NetworkViewer {
  readonly page: Page;
  readonly #peer: Peer;
  readonly #streamId: Id;
  readonly #wallUrl: string;

  private constructor({ page, peer, streamId, wallUrl }: NetworkViewerOptions) {
    this.page = page;
    this.#peer = peer;
    this.#streamId = streamId;
    this.#wallUrl = wallUrl;
  }

  static async create(options: NetworkViewerOptions): Promise<NetworkViewer> {
    await keepPictureLog(options.page, options.streamId);
    return new NetworkViewer(options);
  }

  get link(): NetworkLink {
    return this.#peer.link;
  }

  /** Opens the wall anew; resolves with the milliseconds from then to the first picture. */
  async openWall(): Promise<number> {
    await this.page.goto(this.#wallUrl);
    let first: PictureChange | undefined;
    await this.#poll(
      ({ changes }) => (first = changes.find(({ picture }) => picture === 'playing')) !== undefined,
    );
    return first!.atMs - (await this.log()).openedAtMs;
  }

  /** Resolves when the picture comes this way, at once when it does. */
  async waitForPath(path: PathName): Promise<void> {
    await this.page
      .locator(`[data-testid="tile-${this.#streamId}"][data-path="${path}"]`)
      .waitFor({ timeout: TIMEOUT_MS });
  }

  /** Resolves when no picture is shown. */
  async waitForNoPicture(): Promise<void> {
    await this.page
      .locator(`[data-testid="tile-${this.#streamId}"][data-path="none"]`)
      .waitFor({ timeout: TIMEOUT_MS });
  }

  /** Resolves with so many pictures that were drawn on the publisher's screen after now. */
  async watch(count: number): Promise<SeenStamp[]> {
    const sinceMs = Date.now();
    const fresh = (seen: readonly SeenStamp[]) => seen.filter(({ stampMs }) => stampMs > sinceMs);
    const { video } = tileOf(this.page, this.#streamId);
    return fresh(
      await watchStamps(this.page, video, {
        isEnough: (seen) => fresh(seen).length >= count,
        timeoutMs: TIMEOUT_MS,
      }),
    );
  }

  log(): Promise<PictureLog> {
    return readPictureLog(this.page);
  }

  /** What was seen since a moment; what was on the page then comes first. */
  async changesSince(sinceMs: number): Promise<PictureChange[]> {
    const { changes } = await this.log();
    const before = changes.findLastIndex(({ atMs }) => atMs <= sinceMs);
    return changes.slice(Math.max(0, before));
  }

  async #poll(isSo: (log: PictureLog) => boolean): Promise<void> {
    await expect.poll(async () => isSo(await this.log()), { timeout: TIMEOUT_MS }).toBe(true);
  }
}
