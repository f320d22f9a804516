// Builds the mediasoup worker from the sources in its npm package against Debian's libraries. What decides
// the result (patches, replaced subprojects, Meson's arguments) is in recipe/, which the cache is keyed by;
// this file only carries the recipe out.

import { availableParallelism, totalmem } from 'node:os';
import { cp, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { run } from '../bootstrap/command.mjs';
import { SetupError } from '../bootstrap/report.mjs';
import { MESON_ARGUMENTS } from './recipe/meson-arguments.mjs';
import { PATCHES } from './recipe/patches.mjs';

/** The files that decide what the built worker is. */
export const RECIPE_DIR = fileURLToPath(new URL('recipe', import.meta.url));

// The largest sources take about this much to compile.
const BYTES_PER_JOB = 1024 ** 3;

/**
 * @param {{ sourceDir: string, workDir: string, destination: string, logFile: string,
 *   report: import('../bootstrap/report.mjs').Report }} options `sourceDir` is mediasoup's worker/;
 *   `workDir` must be on the file system of `destination`. A work directory that an interrupted build left
 *   behind is taken up where it stopped.
 */
export async function buildWorker({ sourceDir, workDir, destination, logFile, report }) {
  const preparedDir = join(workDir, 'worker');
  const buildDir = join(workDir, 'build');

  if (!existsSync(preparedDir)) {
    await prepareSources({ sourceDir, preparedDir });
  }

  await rm(logFile, { force: true });

  try {
    if (!existsSync(join(buildDir, 'build.ninja'))) {
      report.step('Configuring the mediasoup worker');
      // What an interrupted configuration left would be refused.
      await rm(buildDir, { recursive: true, force: true });
      await mustSucceed('Configuring the mediasoup worker', 'meson', {
        args: ['setup', ...MESON_ARGUMENTS, buildDir, preparedDir],
        logFile,
      });
    }

    report.step('Compiling the mediasoup worker');
    // First by itself: some sources include the generated headers without saying so to Meson.
    await mustSucceed("Generating the headers of the worker's messages", 'meson', {
      args: ['compile', '-C', buildDir, 'flatbuffers-generator'],
      logFile,
    });
    await compile({ buildDir, logFile, report });
  } catch (error) {
    // Half-configured or failed work is not worth resuming; the log stays.
    await rm(workDir, { recursive: true, force: true });
    throw error;
  }

  await rename(join(buildDir, 'mediasoup-worker'), destination);
  await rm(workDir, { recursive: true, force: true });
}

async function prepareSources({ sourceDir, preparedDir }) {
  const unfinishedDir = `${preparedDir}.unfinished`;

  await rm(unfinishedDir, { recursive: true, force: true });
  await cp(sourceDir, unfinishedDir, { recursive: true });
  await rm(join(unfinishedDir, 'subprojects'), { recursive: true });
  await cp(join(RECIPE_DIR, 'subprojects'), join(unfinishedDir, 'subprojects'), { recursive: true });

  for (const patch of PATCHES) {
    await applyPatch(join(unfinishedDir, patch.file), patch);
  }

  await rename(unfinishedDir, preparedDir);
}

async function applyPatch(path, { file, why, find, replace }) {
  const text = await readFile(path, 'utf8');
  const [before, after, ...more] = text.split(find);

  if (after === undefined || more.length > 0) {
    throw new SetupError(
      `Cannot patch mediasoup's worker/${file}: expected the text below once, found it ${text.split(find).length - 1} times`,
      `${find.trim()}\n\nThe patch is needed because ${why}. Compare the file with ` +
        'scripts/mediasoup-worker/recipe/patches.mjs and read docs/decisions/0003-mediasoup-worker.md.',
    );
  }

  await writeFile(path, before + replace + after);
}

async function compile({ buildDir, logFile, report }) {
  const jobs = Math.max(1, Math.min(availableParallelism(), Math.floor(totalmem() / BYTES_PER_JOB)));
  const startedAtMs = performance.now();

  await mustSucceed('Compiling the mediasoup worker', 'ninja', {
    args: ['-C', buildDir, '-j', String(jobs), 'mediasoup-worker'],
    logFile,
    onLine: (line) => {
      const [, done, total] = /^\[(\d+)\/(\d+)\]/.exec(line)?.map(Number) ?? [];

      if (total > 0) {
        report.progress(`compiled ${done} of ${total} parts${timeLeft({ startedAtMs, done, total })}`);
      }
    },
  });
}

/** Said in whole minutes, and only once enough is done to know. */
function timeLeft({ startedAtMs, done, total }) {
  if (done < 20 || done === total) {
    return '';
  }

  const minutes = (((performance.now() - startedAtMs) / done) * (total - done)) / 60_000;

  return minutes < 1 ? ', less than a minute left' : `, about ${Math.ceil(minutes)} min left`;
}

async function mustSucceed(what, command, { args, logFile, onLine }) {
  const { code, lastLines } = await run(command, args, { env: cleanEnvironment(), logFile, onLine });

  if (code !== 0) {
    throw new SetupError(
      `${what} failed (${command} ended with ${code})`,
      `${lastLines.slice(-25).join('\n')}\n\nThe whole log: ${logFile}`,
    );
  }
}

/** Without the person's own compiler settings: the cache key does not know them. */
function cleanEnvironment() {
  const env = { ...process.env, LC_ALL: 'C' };

  for (const name of [
    'CC',
    'CXX',
    'CPPFLAGS',
    'CFLAGS',
    'CXXFLAGS',
    'LDFLAGS',
    'NINJA_STATUS',
    'MESON_ARGS',
  ]) {
    delete env[name];
  }

  return env;
}
