/** Test code: the channel between the app's process and `launch.ts`. */
import type { PowerEvent } from './power-monitor.ts';
import type { StandInCommand, StandInReport } from './settings.ts';

/** The button that is pressed in each dialog; the first one unless the launcher says otherwise. */
export let dialogAnswer = 0;

export function report(message: StandInReport): void {
  process.send?.(message);
}

export function listenToLauncher(on: {
  quit: () => void;
  closeWindow: () => void;
  endCapture: () => void;
  power: (event: PowerEvent) => void;
}): void {
  process.on('message', (command: StandInCommand) => {
    switch (command.kind) {
      case 'quit':
        return on.quit();
      case 'close-window':
        return on.closeWindow();
      case 'end-capture':
        return on.endCapture();
      case 'power':
        return on.power(command.event);
      case 'answer-dialogs':
        dialogAnswer = command.button;
    }
  });
  // A launcher that was killed must leave nothing behind: Chromium ends with this process, whose pipe it listens to.
  process.on('disconnect', () => process.exit(1));
}
