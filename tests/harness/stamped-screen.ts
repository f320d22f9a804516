/**
 * A real X screen that shows a page which burns the time into every picture it draws. What is captured from this
 * screen can be dated to the millisecond, wherever it turns up.
 */
import { openHarnessPage } from './harness-pages.ts';
import { openKioskScreen, type KioskScreen, type ScreenSize } from './kiosk-screen.ts';

export type StampedScreen = KioskScreen;

/** Enough to date a picture within 50 ms and little enough for two busy cores. */
const STAMPS_PER_SECOND = 20;

export interface StampedScreenOptions {
  readonly size?: ScreenSize;
  readonly stampsPerSecond?: number;
}

export const openStampedScreen = (options: StampedScreenOptions = {}): Promise<StampedScreen> =>
  openScreen('stamped-screen.ts', options);

/** One on which something like a film is seen as well. */
export const openRestlessScreen = (options: StampedScreenOptions = {}): Promise<StampedScreen> =>
  openScreen('restless-screen.ts', options);

function openScreen(
  module: string,
  { size, stampsPerSecond = STAMPS_PER_SECOND }: StampedScreenOptions,
): Promise<StampedScreen> {
  const query = { stampsPerSecond: String(stampsPerSecond) };
  return openKioskScreen((page) => openHarnessPage(page, module, query), size);
}
