// Starts the program that the setup was for, on the project's own Node, and stays behind it: passes signals
// on and ends as it ends.

import { spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { constants } from 'node:os';
import { delimiter, join } from 'node:path';
import { systemPath } from './command.mjs';
import { projectNode } from './node-modules.mjs';

const PASSED_ON = ['SIGINT', 'SIGTERM', 'SIGHUP', 'SIGQUIT'];

/**
 * @param {{ root: string, file: string, args: string[], workerBinary: string }} options
 */
export function handOver({ root, file, args, workerBinary }) {
  const child = spawn(projectNode(root), ['--disable-warning=ExperimentalWarning', file, ...args], {
    cwd: root,
    stdio: 'inherit',
    env: {
      ...process.env,
      PATH: [join(root, 'node_modules', '.bin'), systemPath()].join(delimiter),
      MEDIASOUP_WORKER_BIN: workerBinary,
    },
  });

  for (const signal of PASSED_ON) {
    process.on(signal, () => {
      // The child decides when to end; ending first would cut it off from its terminal while it cleans up.
      if (!terminalSendsToAll(signal)) {
        child.kill(signal);
      }
    });
  }

  child.once('error', (error) => {
    process.stderr.write(`Cannot start ${file}: ${error.message}\n`);
    process.exitCode = 1;
  });

  child.once('exit', (code, signal) => {
    if (signal === null) {
      process.exitCode = code;
    } else {
      endBySignal(signal);
    }
  });
}

/**
 * Whether the child has received this signal already: Ctrl-C and Ctrl-\ go to every process in the
 * terminal's foreground, and a program that takes a second one for "at once" must not get it twice.
 */
function terminalSendsToAll(signal) {
  if (signal !== 'SIGINT' && signal !== 'SIGQUIT') {
    return false;
  }

  try {
    // proc(5): after the name in parentheses come state, ppid, pgrp, session, tty_nr and tpgid.
    const stat = readFileSync('/proc/self/stat', 'utf8');
    const [, , group, , , foregroundGroup] = stat.slice(stat.lastIndexOf(')') + 2).split(' ');

    return group === foregroundGroup;
  } catch {
    return process.stdin.isTTY;
  }
}

/** Ends this process by the signal that ended the child, so that whoever waits for it sees the same. */
function endBySignal(signal) {
  for (const passedOn of PASSED_ON) {
    process.removeAllListeners(passedOn);
  }

  // Some signals (one that dumps core, say) may be ignored or held back; then the shell's convention.
  process.exitCode = 128 + (constants.signals[signal] ?? 0);
  process.kill(process.pid, signal);
}
