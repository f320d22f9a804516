/** The live wall of the dashboard in a browser of its own, what it shows and what it costs. */
import type { Id } from '@proofcast/shared';
import type { Browser, Page } from 'playwright-core';
import { browserCpuSeconds } from './browser-usage.ts';
import { launchViewer } from './chromium.ts';
import { openWall, tileOf, type Credentials } from './dashboard-driver.ts';
import { readStamp } from './stamp-readers.ts';

/** Large enough for seven rows of seven tiles without scrolling. */
export const ALL_IN_SIGHT = { width: 1760, height: 1560 } as const;

export interface TileReading {
  readonly streamId: Id;
  /** `none` while there is no picture. */
  readonly path: string;
  /** Pictures that the shown video has got so far. */
  readonly pictureCount: number;
}

declare global {
  interface Window {
    /** Put there by `WallPage`. */
    openedConnections: RTCPeerConnection[];
  }
}

export class WallPage {
  readonly page: Page;
  /** Paths of the websockets that the page has opened, in order. */
  readonly sockets: readonly string[];
  readonly #browser: Browser;

  private constructor(parts: { browser: Browser; page: Page; sockets: readonly string[] }) {
    this.#browser = parts.browser;
    this.page = parts.page;
    this.sockets = parts.sockets;
  }

  /** Signed in, with the grid that was asked for, on an empty page: `load` opens the wall. */
  static async open(
    relayUrl: string,
    { admin, gridSize }: { admin: Credentials; gridSize: 25 | 49 },
  ): Promise<WallPage> {
    const browser = await launchViewer();
    try {
      const page = await openWall(browser, relayUrl, admin);
      await page.getByTestId(`grid-${gridSize}`).click();
      await page.goto('about:blank');
      await page.setViewportSize(ALL_IN_SIGHT);
      await page.addInitScript(() => {
        const Native = window.RTCPeerConnection;
        window.openedConnections = [];
        window.RTCPeerConnection = class extends Native {
          constructor(configuration?: RTCConfiguration) {
            super(configuration);
            window.openedConnections.push(this);
          }
        };
      });
      const sockets: string[] = [];
      page.on('websocket', (socket) => sockets.push(new URL(socket.url()).pathname));
      return new WallPage({ browser, page, sockets });
    } catch (error) {
      await browser.close();
      throw error;
    }
  }

  async load(relayUrl: string): Promise<void> {
    await this.page.goto(new URL('/live', relayUrl).href);
  }

  /** The tiles that are in the page, in its order. */
  readTiles(): Promise<TileReading[]> {
    return this.page.evaluate(() =>
      [...document.querySelectorAll<HTMLElement>('article[data-testid^="tile-"]')].map((tile) => {
        const video = tile.querySelector<HTMLVideoElement>('[data-testid="video"]');
        return {
          streamId: (tile.dataset['testid'] ?? '').slice('tile-'.length),
          path: tile.dataset['path'] ?? 'none',
          pictureCount: video?.getVideoPlaybackQuality().totalVideoFrames ?? 0,
        };
      }),
    );
  }

  /** When the pictures that these tiles show at the moment were drawn, milliseconds since 1970; null without a stamp. */
  readStamps(streamIds: readonly Id[]): Promise<(number | null)[]> {
    return Promise.all(
      streamIds.map(async (streamId) => {
        const stamp = await readStamp(this.page, tileOf(this.page, streamId).video);
        return stamp?.stampMs ?? null;
      }),
    );
  }

  /** Peer connections that are open in the page. */
  connectionCount(): Promise<number> {
    return this.page.evaluate(
      () => window.openedConnections.filter(({ connectionState }) => connectionState !== 'closed').length,
    );
  }

  /** User and system time of all processes of this browser so far, in seconds. */
  cpuSeconds(): Promise<number> {
    return browserCpuSeconds(this.#browser);
  }

  close(): Promise<void> {
    return this.#browser.close();
  }
}
