/** People at the dashboard: they sign in and look. */
import type { Id } from '@proofcast/shared';
import type { Browser, Page } from 'playwright-core';
import { fillForm } from './form.ts';

export interface Credentials {
  readonly email: string;
  readonly password: string;
}

/** A new browser session, signed in, on the first page of its role. */
export async function signIn(browser: Browser, relayUrl: string, credentials: Credentials): Promise<Page> {
  const context = await browser.newContext({ viewport: { width: 1280, height: 800 } });
  const page = await context.newPage();
  await page.goto(relayUrl);
  await fillForm(page, { 'sign-in-email': credentials.email, 'sign-in-password': credentials.password });
  await page.getByTestId('sign-in-submit').click();
  await page.waitForURL((url) => !url.pathname.startsWith('/sign-in'));
  return page;
}

/** The live wall, as somebody sees it who has just signed in. */
export async function openWall(browser: Browser, relayUrl: string, credentials: Credentials): Promise<Page> {
  const page = await signIn(browser, relayUrl, credentials);
  await page.waitForURL('**/live');
  return page;
}

/** The page of one recording, for somebody who is signed in. */
export async function openRecording(page: Page, relayUrl: string, recordingId: Id): Promise<void> {
  await page.goto(new URL(`/recordings/${recordingId}`, relayUrl).href);
  await page.locator('main').waitFor();
}

export interface Tile {
  /** Selector of the video that the tile shows. */
  readonly video: string;
  /** Resolves when the tile shows a picture that comes by this path. */
  waitForPath(path: 'webrtc' | 'relay'): Promise<void>;
  /** Opens the stream alone. */
  open(): Promise<void>;
}

export function tileOf(page: Page, streamId: Id): Tile {
  const tile = `[data-testid="tile-${streamId}"]`;
  return {
    video: `${tile} [data-testid="video"]`,
    waitForPath: (path) => page.locator(`${tile}[data-path="${path}"]`).waitFor(),
    open: () => page.locator(tile).click(),
  };
}
