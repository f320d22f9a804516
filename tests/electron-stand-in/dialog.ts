/** Test code: dialogs are answered at once, as the launcher has said, and reported to it. */
import { dialogAnswer, report } from './launcher-channel.ts';

interface MessageBoxOptions {
  message: string;
  buttons?: string[];
}

export const dialog = {
  showMessageBox(
    _window: unknown,
    { message, buttons = ['OK'] }: MessageBoxOptions,
  ): Promise<{ response: number }> {
    report({ kind: 'dialog', message, buttons, answer: dialogAnswer });
    return Promise.resolve({ response: dialogAnswer });
  },
};
