/** Test code: what `launch.ts` tells the process that runs the app on the stand-in. */
import type { PowerEvent } from './power-monitor.ts';

export interface StandInSettings {
  /** X display that Chromium shows its window on and captures from. */
  readonly display: string;
  readonly chromiumPath: string;
  /** Of Chromium itself; the app's own data are in `userDataDir`. */
  readonly profileDir: string;
  readonly userDataDir: string;
  /** Folder of the app, what `app.getAppPath()` returns. */
  readonly appDir: string;
  readonly windowPosition: { readonly x: number; readonly y: number };
}

export const SETTINGS_VARIABLE = 'ELECTRON_STAND_IN';

export function readSettings(): StandInSettings {
  const text = process.env[SETTINGS_VARIABLE];
  if (!text) throw new Error('The stand-in for electron is started by launch.ts only.');
  return JSON.parse(text) as StandInSettings;
}

/** From the app's process to the one that launched it. */
export type StandInReport =
  | { kind: 'started'; cdpUrl: string }
  | { kind: 'dialog'; message: string; buttons: string[]; answer: number };

/** From the launcher to the app's process. */
export type StandInCommand =
  | { kind: 'quit' }
  /** What the person does who closes the window with the mouse. */
  | { kind: 'close-window' }
  /** The system ends what the page captures. */
  | { kind: 'end-capture' }
  /** The system says that the device sleeps, is awake, is locked or unlocked. */
  | { kind: 'power'; event: PowerEvent }
  /** The button that the person presses in each dialog from now on. */
  | { kind: 'answer-dialogs'; button: number };
