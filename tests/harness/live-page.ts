/** What a page with the real clients of the SFU can be told; see pages/live-page.ts. */
import { join } from 'node:path';
import { launchBrowser, type RemotePage, type TestBrowser } from '../../sfu/testing/browser.ts';
import type { LivePageApi } from './live-page-api.ts';

export type LivePage = RemotePage<LivePageApi>;

/** The publisher of the desktop app and the receiver of the dashboard, in pages of a real browser. */
export function launchLiveBrowser(): Promise<TestBrowser<LivePageApi>> {
  return launchBrowser<LivePageApi>(join(import.meta.dirname, 'pages', 'live-page.ts'));
}

/** The video element of a stream that a page views. */
export const videoOf = (streamId: string): string => `[data-testid="video-${streamId}"]`;
