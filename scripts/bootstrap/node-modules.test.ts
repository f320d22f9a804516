import { existsSync } from 'node:fs';
import { chmod, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { ensureNodeModules } from './node-modules.mjs';
import { SetupError, createReport } from './report.mjs';

const LOCKED = {
  '': { name: 'checkout' },
  'node_modules/thing': { version: '1.0.0', integrity: 'sha512-A' },
};
const OTHER = { 'node_modules/thing': { version: '0.9.0', integrity: 'sha512-B' } };

let root: string;

/** A checkout with a package-lock.json, and a stand-in of npm that runs `script` and notes its arguments. */
beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), 'proofcast-node-modules-'));
  await writeFile(join(root, 'package-lock.json'), JSON.stringify({ packages: LOCKED }));
  vi.stubEnv('PATH', `${join(root, 'bin')}:${process.env['PATH']}`);
  vi.stubEnv('XDG_CACHE_HOME', join(root, 'cache'));
});

afterEach(async () => {
  vi.unstubAllEnvs();
  await rm(root, { recursive: true });
});

async function standInForNpm(script: string): Promise<void> {
  await mkdir(join(root, 'bin'));
  await writeFile(join(root, 'bin', 'npm'), `#!/bin/sh\necho "$1" >> npm-calls\n${script}\n`);
  await chmod(join(root, 'bin', 'npm'), 0o755);
}

async function npmCalls(): Promise<string[]> {
  const file = join(root, 'npm-calls');

  return existsSync(file) ? (await readFile(file, 'utf8')).trim().split('\n') : [];
}

/** What npm leaves behind after it has installed `packages`. */
async function installed(packages: object): Promise<void> {
  await mkdir(join(root, 'node_modules', '.bin'), { recursive: true });
  await mkdir(join(root, 'node_modules', 'thing'));
  await writeFile(join(root, 'node_modules', '.bin', 'node'), '');
  await writeFile(join(root, 'node_modules', '.package-lock.json'), JSON.stringify({ packages }));
}

/** The same, as shell commands for the stand-in. */
const INSTALL = `
  mkdir -p node_modules/.bin node_modules/thing && touch node_modules/.bin/node
  echo '${JSON.stringify({ packages: { 'node_modules/thing': LOCKED['node_modules/thing'] } })}' \\
    > node_modules/.package-lock.json`;

const ensure = () => ensureNodeModules({ root, report: createReport({ write: () => true }) });

describe('ensureNodeModules', () => {
  test('installs with `npm ci`, and not again', async () => {
    await standInForNpm(INSTALL);

    await ensure();
    await ensure();

    expect(await npmCalls()).toEqual(['ci']);
  });

  test('keeps packages that were installed by hand and are those of package-lock.json', async () => {
    await standInForNpm('exit 1');
    await installed({ 'node_modules/thing': LOCKED['node_modules/thing'] });

    await ensure();

    expect(await npmCalls()).toEqual([]);
  });

  test('installs when other packages are there than package-lock.json names', async () => {
    await standInForNpm(INSTALL);
    await installed(OTHER);

    await ensure();

    expect(await npmCalls()).toEqual(['ci']);
  });

  test('installs again after package-lock.json has changed', async () => {
    await standInForNpm(INSTALL);
    await ensure();
    await writeFile(
      join(root, 'package-lock.json'),
      JSON.stringify({ packages: { ...LOCKED, 'node_modules/more': { version: '2.0.0' } } }),
    );

    await ensure();

    expect(await npmCalls()).toEqual(['ci', 'ci']);
  });

  test('goes round a registry that lacks packages for other platforms', async () => {
    await standInForNpm(`
      if [ "$1" = ci ]; then echo 'npm error Missing: @thing/for-another-platform@ from lock file'; exit 1; fi
      ${INSTALL}`);

    await ensure();

    expect(await npmCalls()).toEqual(['ci', 'install']);
  });

  test('does not go round a package.json that package-lock.json contradicts', async () => {
    await standInForNpm(`echo 'npm error Missing: thing@2.0.0 from lock file'; exit 1`);

    await expect(ensure()).rejects.toThrow(SetupError);
    expect(await npmCalls()).toEqual(['ci']);
  });

  test('refuses what the way round has installed when it is not what package-lock.json names', async () => {
    await standInForNpm(`
      if [ "$1" = ci ]; then echo 'npm error Missing: @thing/for-another-platform@ from lock file'; exit 1; fi
      ${INSTALL.replaceAll('1.0.0', '1.0.1')}`);

    await expect(ensure()).rejects.toThrow('not those of package-lock.json');
  });
});
