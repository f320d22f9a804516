// The mediasoup worker: a native program that npm does not bring. Keeps it in a per-user cache, where it
// comes by download or else by building, and counts only once it has been verified.

import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { arch } from 'node:os';
import { join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { RECIPE_DIR, buildWorker } from '../mediasoup-worker/build.mjs';
import { downloadWorker } from '../mediasoup-worker/download.mjs';
import { cacheDirectory } from './cache.mjs';
import { findCommand, run } from './command.mjs';
import { withLock } from './lock.mjs';
import { projectNode } from './node-modules.mjs';
import { SetupError } from './report.mjs';
import { NEEDED_TO_BUILD_WORKER, ensurePackages, platform } from './system-packages.mjs';

// What the worker ends with when it is started by hand: proof that its libraries are all there.
const STARTED_BY_HAND = 41;

const VERIFICATION_FILES = ['verify.ts', 'verify-page.ts'].map((name) =>
  fileURLToPath(new URL(`../mediasoup-worker/${name}`, import.meta.url)),
);

/**
 * Returns the path of a worker that is fit for use.
 *
 * @param {{ root: string, report: import('./report.mjs').Report }} options `root` is the checkout.
 * @returns {Promise<string>}
 */
export async function ensureWorker({ root, report }) {
  if (process.env.MEDIASOUP_WORKER_BIN) {
    return givenWorker(process.env.MEDIASOUP_WORKER_BIN);
  }

  const entry = cacheEntry(root);

  if (!(isVerified(entry) && (await starts(entry.binary)))) {
    await withLock({ file: `${entry.directory}.lock`, what: 'making the mediasoup worker', report }, () =>
      fillEntry({ root, entry, report }),
    );
  }

  return entry.binary;
}

async function givenWorker(path) {
  if (!(await starts(path))) {
    throw new SetupError(
      `MEDIASOUP_WORKER_BIN names ${path}, which is not a mediasoup worker that starts here`,
      'Unset it to have one fetched or built.',
    );
  }

  return path;
}

/**
 * @typedef {object} Entry
 * @property {string} directory of its own for each version of mediasoup, recipe, processor and system
 * @property {string} binary
 * @property {string} mark exists once the binary has been verified, and says by which verification
 * @property {string} packageDir mediasoup's npm package
 */

/** @returns {Entry} */
function cacheEntry(root) {
  const packageDir = join(root, 'node_modules', 'mediasoup');
  const { version } = JSON.parse(readFileSync(join(packageDir, 'package.json'), 'utf8'));
  const key = createHash('sha256').update(`${arch()} ${platform().release}\n`);

  for (const file of filesBelow(RECIPE_DIR)) {
    key.update(`${file}\n`).update(readFileSync(join(RECIPE_DIR, file)));
  }

  const directory = join(
    cacheDirectory(),
    'mediasoup-worker',
    `${version}-${key.digest('hex').slice(0, 12)}`,
  );

  return {
    directory,
    binary: join(directory, 'mediasoup-worker'),
    mark: join(directory, 'verified'),
    packageDir,
  };
}

/** Paths relative to `directory`, in an order that does not depend on the file system. */
function filesBelow(directory) {
  return readdirSync(directory, { recursive: true, withFileTypes: true })
    .filter((found) => found.isFile())
    .map((found) => relative(directory, join(found.parentPath ?? found.path, found.name)))
    .toSorted();
}

function isVerified({ binary, mark }) {
  return existsSync(binary) && existsSync(mark) && readFileSync(mark, 'utf8') === verificationKey();
}

/** Changes when the verification does: what an older one found proves nothing about what is new in it. */
function verificationKey() {
  const key = createHash('sha256');

  for (const file of VERIFICATION_FILES) {
    key.update(readFileSync(file));
  }

  return `${key.digest('hex')}\n`;
}

async function starts(binary) {
  return (await run(binary, [], { env: {} })).code === STARTED_BY_HAND;
}

async function fillEntry({ root, entry, report }) {
  mkdirSync(entry.directory, { recursive: true });

  if (!(await isUsable({ entry, report }))) {
    // The mark was for a binary that is about to be replaced.
    rmSync(entry.mark, { force: true });

    if (await download({ entry, report })) {
      const failure = await verificationFailure({ root, entry, report });

      if (failure === null) {
        return;
      }

      report.step(failure);
      // Else an interrupted build would leave it to the next setup as one that was built here.
      rmSync(entry.binary);
    }

    await build({ entry, report });
  }
  // Perhaps another setup did all this while we waited for the lock.
  if (isVerified(entry)) {
    return;
  }

  const failure = await verificationFailure({ root, entry, report });

  if (failure !== null) {
    throw new SetupError(
      'the mediasoup worker is not fit for use on this machine',
      `${failure}\n\nTo have it made anew, remove ${entry.directory}`,
    );
  }
}

/** Whether there is a worker that starts, after installing the libraries that it may lack. */
async function isUsable({ entry, report }) {
  if (!existsSync(entry.binary)) {
    return false;
  }
  if (!(await starts(entry.binary))) {
    // A cache can outlive the system it was filled on. The packages to build with bring, under names that
    // do not change with each release of Debian, the libraries to run with.
    await ensurePackages({ needs: NEEDED_TO_BUILD_WORKER, report });
  }

  return starts(entry.binary);
}

async function download({ entry, report }) {
  report.step('Looking for a prebuilt mediasoup worker');

  const obstacle = await downloadWorker({
    packageDir: entry.packageDir,
    workDir: join(entry.directory, 'download'),
    destination: entry.binary,
  });

  if (obstacle !== null) {
    report.step(`No prebuilt worker: ${obstacle}`);
  } else if (!(await starts(entry.binary))) {
    report.step('The prebuilt worker does not start on this system');
  } else {
    return true;
  }

  return false;
}

async function build({ entry, report }) {
  report.step('Building the mediasoup worker from its sources, once for this machine: 3 to 10 minutes');
  await ensurePackages({ needs: NEEDED_TO_BUILD_WORKER, report });
  await buildWorker({
    sourceDir: join(entry.packageDir, 'worker'),
    workDir: join(entry.directory, 'build'),
    destination: entry.binary,
    logFile: join(entry.directory, 'build.log'),
    report,
  });
}

/** Marks the worker as verified and returns null, or returns what is wrong with it. */
async function verificationFailure({ root, entry, report }) {
  report.step('Verifying the mediasoup worker with a real browser');

  const { code, lastLines } = await run(
    projectNode(root),
    ['--disable-warning=ExperimentalWarning', VERIFICATION_FILES[0], await findCommand('chromium')],
    { cwd: root, env: { ...process.env, MEDIASOUP_WORKER_BIN: entry.binary } },
  );

  if (code !== 0) {
    return lastLines.slice(-30).join('\n') || `The verification ended with ${code}`;
  }

  writeFileSync(entry.mark, verificationKey());
  report.step(`The mediasoup worker is in place (${lastLines.at(-1)})`);

  return null;
}
