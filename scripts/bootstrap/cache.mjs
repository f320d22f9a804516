// Where a person's machine keeps what is expensive to make: one directory for all checkouts.

import { accessSync, constants, mkdirSync } from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { SetupError } from './report.mjs';

/** Follows the XDG Base Directory Specification. */
export function cacheDirectory() {
  const directory = join(process.env.XDG_CACHE_HOME || join(homedir(), '.cache'), 'proofcast');

  try {
    mkdirSync(directory, { recursive: true });
    accessSync(directory, constants.W_OK);
  } catch (error) {
    throw new SetupError(
      `Cannot write to the cache directory ${directory} (${error.code})`,
      'Set XDG_CACHE_HOME to a directory in which you may write.',
    );
  }

  return directory;
}
