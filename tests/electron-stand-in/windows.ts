/** Test code: the windows that are open, for the parts of the stand-in that must know them all. */
import type { BrowserWindow } from './browser-window.ts';

export const openWindows = new Set<BrowserWindow>();
