/** What somebody sees of a stream that is shown alone, written down in the page itself: nothing is missed between looks. */
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
  /** When the page was asked for it. */
  readonly readAtMs: number;
  /** When the page was opened. */
  readonly openedAtMs: number;
  readonly changes: readonly PictureChange[];
  /** When a picture was last seen to move; 0: never. */
  readonly movedAtMs: number;
  readonly freezes: readonly Freeze[];
}

declare global {
  interface Window {
    pictureLog?: Omit<PictureLog, 'readAtMs'>;
  }
}

/** Says in its attributes what is shown, and holds it. */
export const STAGE = '[data-testid="focus-stage"]';

const FREEZE_MS = 1_000;
const LOOK_MS = 50;

/** Writes from the next page on that is opened in `page`. */
export async function keepPictureLog(page: Page): Promise<void> {
  await page.addInitScript(
    ({ selector, freezeMs, lookMs }) => {
      const changes: PictureChange[] = [];
      const freezes: Freeze[] = [];
      const log = { openedAtMs: performance.timeOrigin, changes, movedAtMs: 0, freezes };
      window.pictureLog = log;

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
    { selector: STAGE, freezeMs: FREEZE_MS, lookMs: LOOK_MS },
  );
}

/** What was written since the page was opened. */
export async function readPictureLog(page: Page): Promise<PictureLog> {
  return page.evaluate(() => {
    if (!window.pictureLog) throw new Error('No picture log is kept in this page.');
    return { readAtMs: Date.now(), ...window.pictureLog };
  });
}

/** A page that looks for a picture says after 10 s that there is none; on a busy machine a little later. */
export const MAX_SEARCH_MS = 14_000;

/** The longest time for which the page said nothing but that it is looking for a picture. */
export function longestSearchMs({ changes, readAtMs }: PictureLog): number {
  const searches = changes.map(({ picture, atMs }, index) =>
    picture === 'connecting' ? (changes[index + 1]?.atMs ?? readAtMs) - atMs : 0,
  );
  return Math.max(0, ...searches);
}

/** What was seen since a moment, for the report of a test: states with the milliseconds after that moment. */
export function describeSince({ changes, freezes, openedAtMs }: PictureLog, sinceMs: number): string {
  const beginMs = Math.max(sinceMs, openedAtMs);
  const states = changes
    .filter(({ atMs }) => atMs >= beginMs)
    .map(
      ({ atMs, picture, path }) => `${path === 'none' ? picture : path} at ${Math.round(atMs - beginMs)} ms`,
    );
  const stood = freezes.filter(({ fromMs, lastedMs }) => fromMs + lastedMs > beginMs);
  const longestMs = Math.max(0, ...stood.map(({ lastedMs }) => lastedMs));
  return `${states.join(', ') || 'no change'}; stood still ${stood.length} times, ${longestMs} ms at most`;
}
