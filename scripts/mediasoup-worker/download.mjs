// Fetches the worker that mediasoup's authors built, from where mediasoup's own installer would. That is
// the tried combination of sources and libraries, so it is preferred wherever it can be reached.

import { chmod, mkdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { arch, platform, release } from 'node:os';
import { join } from 'node:path';
import { run } from '../bootstrap/command.mjs';

// A closed network must not cost more than this.
const CONNECT_TIMEOUT_MS = 5_000;
const DOWNLOAD_TIMEOUT_MS = 120_000;

/**
 * Puts the prebuilt worker at `destination`. Returns null when that is done, else why it is not: a sentence
 * for the person, since building is then the way to go on.
 *
 * @param {{ packageDir: string, workDir: string, destination: string }} options `packageDir` is mediasoup's
 *   npm package.
 * @returns {Promise<string | null>}
 */
export async function downloadWorker({ packageDir, workDir, destination }) {
  const url = await prebuiltUrl(packageDir);
  const abort = new AbortController();
  let timer = setTimeout(() => abort.abort(), CONNECT_TIMEOUT_MS);

  try {
    const response = await fetch(url, { signal: abort.signal });

    if (!response.ok) {
      return `there is none for this machine (HTTP ${response.status})`;
    }

    clearTimeout(timer);
    timer = setTimeout(() => abort.abort(), DOWNLOAD_TIMEOUT_MS);

    const archive = join(workDir, 'prebuilt.tgz');

    await mkdir(workDir, { recursive: true });
    await writeFile(archive, Buffer.from(await response.arrayBuffer()));

    // The archive holds this one file.
    const { code } = await run('tar', ['-xzf', archive, '-C', workDir, 'mediasoup-worker']);

    if (code !== 0) {
      return 'what came is not the archive that was expected';
    }

    await chmod(join(workDir, 'mediasoup-worker'), 0o755);
    await rename(join(workDir, 'mediasoup-worker'), destination);

    return null;
  } catch (error) {
    return abort.signal.aborted ? 'it did not come in time' : `it cannot be reached (${reason(error)})`;
  } finally {
    clearTimeout(timer);
    await rm(workDir, { recursive: true, force: true });
  }
}

/** The same address that mediasoup's npm-scripts.mjs forms, with the same variable to use a mirror. */
async function prebuiltUrl(packageDir) {
  const { version, repository } = JSON.parse(await readFile(join(packageDir, 'package.json'), 'utf8'));
  const base =
    process.env.MEDIASOUP_WORKER_PREBUILT_DOWNLOAD_BASE_URL ||
    `${repository.url.replace(/^git\+/, '').replace(/\.git$/, '')}/releases/download`;
  const kernel = platform() === 'linux' ? `-kernel${release().split('.')[0]}` : '';

  return `${base}/${version}/mediasoup-worker-${version}-${platform()}-${arch()}${kernel}.tgz`;
}

/** fetch() says only "fetch failed"; the cause knows more. */
function reason(error) {
  return error.cause?.code ?? error.cause?.message ?? error.message;
}
