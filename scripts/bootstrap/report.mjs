// What the person sees while the machine is set up: plain lines on stderr with the time since the start, so
// that stdout belongs to the program that is started afterwards. Nothing is printed when nothing is done.

/** A failure that is the machine's, not the program's: shown as text, without a stack trace. */
export class SetupError extends Error {
  /** @param {string} message what is the case @param {string} [advice] what to do, or what was printed */
  constructor(message, advice = '') {
    super(message);
    this.advice = advice;
  }
}

// Lines in a log of CI are worth keeping few; a person at a terminal wants to see it move.
const PROGRESS_EVERY_MS = { terminal: 500, log: 10_000 };

/** @typedef {ReturnType<typeof createReport>} Report */

/** @param {{ write: (text: string) => unknown, isTTY?: boolean, columns?: number }} stream */
export function createReport(stream = process.stderr) {
  const startedAtMs = performance.now();
  const isTerminal = stream.isTTY === true;
  let lastProgressAtMs = 0;
  let unfinishedLine = false;

  const elapsed = () => `${((performance.now() - startedAtMs) / 1000).toFixed(1)} s`.padStart(8);

  const print = (text) => {
    stream.write(`${unfinishedLine ? '\r\u001B[K' : ''}[${elapsed()}] ${text}\n`);
    unfinishedLine = false;
  };

  return {
    /** Something begins or has become the case. */
    step(text) {
      lastProgressAtMs = performance.now();
      print(text);
    },

    /** How far the step is; may be called often, is shown now and then. */
    progress(text) {
      const nowMs = performance.now();

      if (nowMs - lastProgressAtMs < (isTerminal ? PROGRESS_EVERY_MS.terminal : PROGRESS_EVERY_MS.log)) {
        return;
      }

      lastProgressAtMs = nowMs;

      if (isTerminal) {
        const line = `[${elapsed()}]   ${text}`;

        // A line that wraps could not be taken back.
        stream.write(`\r\u001B[K${line.slice(0, (stream.columns ?? 80) - 1)}`);
        unfinishedLine = true;
      } else {
        print(`  ${text}`);
      }
    },

    /** The setup ends here. */
    failure(error) {
      print(`Setup stopped: ${error.message}`);

      if (error.advice) {
        stream.write(`\n${error.advice}\n\n`);
      }
    },
  };
}
