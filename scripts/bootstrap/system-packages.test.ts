import { chmod, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { SetupError, createReport } from './report.mjs';
import { ensurePackages, platform } from './system-packages.mjs';

const NEEDS = [
  { package: 'shell', command: 'sh', why: 'is there everywhere' },
  { package: 'thing-tools', command: 'proofcast-test-thing', why: 'does the thing' },
];

let directory: string;

/** Stand-ins of apt-get and sudo come first on the PATH: no test touches the packages of this machine. */
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'proofcast-packages-'));
  await mkdir(join(directory, 'bin'));
  await standIn('sudo', 'shift; [ "$1" = true ] || exec "$@"');
  vi.stubEnv('PATH', `${join(directory, 'bin')}:${process.env['PATH']}`);
  vi.stubEnv('XDG_CACHE_HOME', join(directory, 'cache'));
  vi.stubEnv('PROOFCAST_NO_INSTALL', '');
});

afterEach(async () => {
  vi.unstubAllEnvs();
  await rm(directory, { recursive: true });
});

async function standIn(command: string, script: string): Promise<void> {
  await writeFile(join(directory, 'bin', command), `#!/bin/sh\n${script}\n`);
  await chmod(join(directory, 'bin', command), 0o755);
}

async function adviceOf(attempt: Promise<void>): Promise<string> {
  const error: unknown = await attempt.then(() => null).catch((reason: unknown) => reason);

  expect(error).toBeInstanceOf(SetupError);

  return error instanceof SetupError ? error.advice : '';
}

const ensure = () => ensurePackages({ needs: NEEDS, report: createReport({ write: () => true }) });

describe.runIf(platform().hasDebianPackages)('ensurePackages', () => {
  test('installs just what is missing, after reading the lists', async () => {
    const bin = join(directory, 'bin');

    await standIn(
      'apt-get',
      `echo "$@" >> ${directory}/calls; case "$*" in *install*) cp ${bin}/sudo ${bin}/proofcast-test-thing;; esac`,
    );

    await ensure();
    await ensure();

    const calls = (await readFile(join(directory, 'calls'), 'utf8')).trim().split('\n');

    expect(calls).toEqual([
      expect.stringMatching(/ update$/),
      expect.stringMatching(/ install --yes --no-install-recommends thing-tools$/),
    ]);
  });

  test('shows what apt-get printed when it fails, and how to install by hand', async () => {
    await standIn('apt-get', 'echo "E: no such luck"; exit 100');

    const advice = await adviceOf(ensure());

    expect(advice).toContain('E: no such luck');
    expect(advice).toContain('apt-get install --no-install-recommends thing-tools');
  });

  test('does not take the word of apt-get for it', async () => {
    await standIn('apt-get', 'exit 0');

    await expect(ensure()).rejects.toThrow('not usable: thing-tools');
  });

  test('installs nothing under PROOFCAST_NO_INSTALL=1 and says what is missing', async () => {
    vi.stubEnv('PROOFCAST_NO_INSTALL', '1');
    await standIn('apt-get', `touch ${directory}/calls`);

    const advice = await adviceOf(ensure());

    expect(advice).toContain('apt-get install --no-install-recommends thing-tools');
    await expect(readFile(join(directory, 'calls'))).rejects.toThrow('ENOENT');
  });
});
