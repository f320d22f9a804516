// The mediasoup worker: a native program that npm does not bring. Keeps it in a per-user cache, where it
// comes by download or else by building, and counts only once it has been verified.

import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { arch } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { RECIPE_DIR, buildWorker } from '../mediasoup-worker/build.mjs';
import { downloadWorker } from '../mediasoup-worker/download.mjs';
import { cacheDirectory } from './cache.mjs';
import { findCommand, run } from './command.mjs';
import { withLock } from './lock.mjs';
import { projectNode } from './node-modules.mjs';
import { SetupError } from './report.mjs';
import { NEEDED_TO_BUILD_WORKER, ensurePackages, findMissing, platform } from './system-packages.mjs';

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

  if (isVerified(entry) && (await starts(entry.binary))) {
    return entry.binary;
  }

  await withLock({ file: `${entry.directory}.lock`, what: 'making the mediasoup worker', report }, async () => {
    mkdirSync(entry.directory, { recursive: true });

    if (existsSync(entry.binary) && !(await starts(entry.binary))) {
      await mendCached({ entry, report });
    }
    if (isVerified(entry)) {
      return;
    }
    if (existsSync(entry.binary) || (await download({ root, entry, report }))) {
      if (await verify({ root, entry, report })) {
        return;
      }

      report.step('This mediasoup worker is not fit for use here');
      rmSync(entry.binary);
    }

    await build({ root, entry, report });

    const failure = await verificationFailure({ root, entry, report });

    if (failure) {
      throw new SetupError('the mediasoup worker that was built is not fit for use', failure);
    }
  });

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
