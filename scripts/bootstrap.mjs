// The first thing that every npm script of this repository runs: makes a fresh machine ready and hands over
// to the program that was asked for. Plain JavaScript without dependencies, because it starts under whatever
// Node is there, before node_modules exists.
//
//   node scripts/bootstrap.mjs [--then <file.ts> -- <arguments for it>]
//
// Environment: PROOFCAST_NO_INSTALL=1 leaves Debian packages alone and says what is missing instead;
// MEDIASOUP_WORKER_BIN uses this mediasoup worker instead of fetching or building one.

import { constants } from 'node:os';
import { resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { signalRunning } from './bootstrap/command.mjs';
import { handOver } from './bootstrap/hand-over.mjs';
import { ensureNodeModules } from './bootstrap/node-modules.mjs';
import { SetupError, createReport } from './bootstrap/report.mjs';
import { NEEDED_TO_RUN, ensurePackages } from './bootstrap/system-packages.mjs';
import { ensureWorker } from './bootstrap/worker.mjs';

const OLDEST_NODE = 20;
const STOPPING = ['SIGINT', 'SIGTERM', 'SIGHUP'];

const root = fileURLToPath(new URL('..', import.meta.url));
const report = createReport();

try {
  const program = parseArguments(process.argv.slice(2));
  const workerBinary = await setUp();

  if (program) {
    handOver({ root, workerBinary, ...program });
  } else {
    report.step('Everything is in place');
  }
} catch (error) {
  if (!(error instanceof SetupError)) {
    throw error;
  }

  report.failure(error);
  process.exitCode = 1;
}

/** @returns {Promise<string>} the path of the mediasoup worker */
async function setUp() {
  for (const signal of STOPPING) {
    process.on(signal, stop);
  }

  if (Number(process.versions.node.split('.')[0]) < OLDEST_NODE) {
    throw new SetupError(
      `this is Node ${process.versions.node}, and the setup needs Node ${OLDEST_NODE} or newer`,
      'It then brings Node 24, on which Proofcast runs, by itself.',
    );
  }

  await ensurePackages({ needs: NEEDED_TO_RUN, report });
  await ensureNodeModules({ root, report });

  const workerBinary = await ensureWorker({ root, report });

  for (const signal of STOPPING) {
    process.off(signal, stop);
  }

  return workerBinary;
}

/** Ends the setup; what it was doing is taken up again by the next one. */
function stop(signal) {
  signalRunning(signal);
  process.exit(128 + constants.signals[signal]);
}

/** @returns {{ file: string, args: string[] } | null} what to hand over to */
function parseArguments([option, file, separator, ...args]) {
  if (option === undefined) {
    return null;
  }
  if (option !== '--then' || file === undefined || (separator !== undefined && separator !== '--')) {
    throw new SetupError(
      `cannot make sense of the arguments ${process.argv.slice(2).join(' ')}`,
      'Usage: node scripts/bootstrap.mjs [--then <file.ts> -- <arguments for it>]',
    );
  }

  return { file: resolve(root, file), args };
}
