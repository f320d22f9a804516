// Runs other programs: their output goes line by line to a log and to whoever follows the progress.

import { spawn } from 'node:child_process';
import { createWriteStream, mkdirSync } from 'node:fs';
import { access, constants } from 'node:fs/promises';
import { delimiter, dirname, join, sep } from 'node:path';
import { createInterface } from 'node:readline';

const KEPT_LINES = 200;
const running = new Set();

/**
 * @typedef {object} RunOptions
 * @property {string} [cwd]
 * @property {NodeJS.ProcessEnv} [env]
 * @property {string} [logFile] appended to
 * @property {(line: string) => void} [onLine]
 */

/**
 * Resolves when the program has ended, however it ended: `code` is its exit code, or a word when it has
 * none (a signal, or "ENOENT" when there is no such program).
 *
 * @param {string} command
 * @param {string[]} args
 * @param {RunOptions} [options]
 * @returns {Promise<{ code: number | string, lastLines: string[] }>}
 */
export function run(command, args, { cwd, env = process.env, logFile, onLine } = {}) {
  if (logFile) {
    mkdirSync(dirname(logFile), { recursive: true });
  }

  const log = logFile ? createWriteStream(logFile, { flags: 'a' }) : null;
  const lastLines = [];
  const child = spawn(command, args, { cwd, env, stdio: ['ignore', 'pipe', 'pipe'] });

  log?.write(`$ ${[command, ...args].join(' ')}\n`);
  running.add(child);

  for (const output of [child.stdout, child.stderr]) {
    createInterface({ input: output }).on('line', (line) => {
      log?.write(`${line}\n`);
      lastLines.push(line);
      lastLines.splice(0, lastLines.length - KEPT_LINES);
      onLine?.(line);
    });
  }

  return new Promise((resolve) => {
    const finish = (code) => {
      running.delete(child);
      log?.end();
      resolve({ code, lastLines });
    };

    child.once('error', (error) => finish(error.code ?? error.message));
    child.once('close', (code, signal) => finish(code ?? signal));
  });
}

/** Passes a signal on to the programs that are running, so that none outlives the setup. */
export function signalRunning(signal) {
  for (const child of running) {
    child.kill(signal);
  }
}

/** Where the PATH leads for a program of this name; null when nowhere. */
export async function findCommand(name) {
  for (const directory of systemPath().split(delimiter)) {
    try {
      await access(join(directory, name), constants.X_OK);

      return join(directory, name);
    } catch {
      // Not in this directory.
    }
  }

  return null;
}

/** The PATH without the programs of npm packages: npm must not run on the Node that it replaces. */
export function systemPath() {
  return (process.env.PATH ?? '')
    .split(delimiter)
    .filter((directory) => !directory.endsWith(join(sep, 'node_modules', '.bin')))
    .join(delimiter);
}
