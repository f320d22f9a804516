/**
 * A real X screen that shows a page which burns the time into every picture it draws. What is captured from this
 * screen can be dated to the millisecond, wherever it turns up.
 */
import { openHarnessPage } from './harness-pages.ts';
import { openKioskScreen, type KioskScreen } from './kiosk-screen.ts';

export type StampedScreen = KioskScreen;

export const openStampedScreen = (): Promise<StampedScreen> =>
  openKioskScreen((page) => openHarnessPage(page, 'stamped-screen.ts'));

/** One on which something like a film is seen as well. */
export const openRestlessScreen = (): Promise<StampedScreen> =>
  openKioskScreen((page) => openHarnessPage(page, 'restless-screen.ts'));
