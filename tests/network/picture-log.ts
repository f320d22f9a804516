/** What somebody sees of one stream on the wall, written down in the page itself: nothing is missed between two looks. */
import type { Id } from '@proofcast/shared';
import type { Page } from 'playwright-core';
import type { PathName } from '../../dashboard/src/player/video-path.ts';

export interface PictureChange {
  /** Milliseconds since 1970. */
  readonly atMs: number;
  readonly picture: 'connecting' | 'playing' | 'no-picture' | 'idle';
  readonly path: PathName | 'none';
}

/** A picture that was shown, and did not move for a second or more. */
export interface Freeze {
  readonly fromMs: number;
  readonly lastedMs: number;
}

export interface PictureLog {
  /** When the page was opened. */
  readonly openedAtMs: number;
  readonly changes: readonly PictureChange[];
  /** When a picture was last seen to move; 0: never. */
  readonly movedAtMs: number;
  readonly freezes: readonly Freeze[];
}

declare global {
  interface Window {
    pictureLog?: PictureLog;
  }
}

const FREEZE_MS = 1_000;
const LOOK_MS = 50;

/** Writes from the next page on that is opened in `page`. */
export async function keepPictureLog(page: Page, streamId: Id): Promise<void> {
  await page.addInitScript(
    ({ testId, freezeMs, lookMs }) => {
      const changes: PictureChange[] = [];
      const freezes: Freeze[] = [];
      const log = { openedAtMs: performance.timeOrigin, changes, movedAtMs: 0, freezes };
      window.pictureLog = log;
      const selector = `[data-testid="${testId}"]`;

      const readState = (): void => {
        const { picture, path } = document.querySelector<HTMLElement>(selector)?.dataset ?? {};
        if (picture === undefined || path === undefined) return;
        const last = changes.at(-1);
        if (last?.picture === picture && last.path === path) return;
        changes.push({ atMs: Date.now(), picture, path } as PictureChange);
      };
      new MutationObserver(readState).observe(document, {
        subtree: true,
        childList: true,
        attributes: true,
        attributeFilter: ['data-picture', 'data-path'],
      });

      let shown: HTMLVideoElement | null = null;
      let frameCount = 0;
      setInterval(() => {
        const video = document.querySelector<HTMLVideoElement>(`${selector} [data-testid="video"]`);
        const count = video?.getVideoPlaybackQuality().totalVideoFrames ?? 0;
        const hasMoved = video !== null && (video !== shown || count !== frameCount);
        shown = video;
        frameCount = count;
        if (!hasMoved) return;
        const nowMs = Date.now();
        const lastedMs = nowMs - log.movedAtMs;
        if (log.movedAtMs > 0 && lastedMs >= freezeMs) freezes.push({ fromMs: log.movedAtMs, lastedMs });
        log.movedAtMs = nowMs;
      }, lookMs);
    },
    { testId: `tile-${streamId}`, freezeMs: FREEZE_MS, lookMs: LOOK_MS },
  );
}

/** What was written since the page was opened. */
export async function readPictureLog(page: Page): Promise<PictureLog> {
  const log = await page.evaluate(() => window.pictureLog);
  if (!log) throw new Error('No picture log is kept in this page.');
  return log;
}
