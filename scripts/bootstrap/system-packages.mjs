// Programs and libraries that npm does not bring: finds what is missing and, on Debian, installs it.

import { existsSync, readFileSync } from 'node:fs';
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { cacheDirectory } from './cache.mjs';
import { findCommand, run } from './command.mjs';
import { withLock } from './lock.mjs';
import { SetupError } from './report.mjs';

// How long apt waits for another apt.
const APT_LOCK_TIMEOUT_SECONDS = 600;

/**
 * A need is judged by what is used of it, a program or a library that pkg-config knows, rather than by the
 * package, so that one that came another way counts too. `package` is Debian's name of it.
 *
 * @typedef {{ package: string, why: string, command?: string, module?: string, fonts?: true,
 *   onlyOn?: NodeJS.Platform }} Need
 */

/** @type {Need[]} */
export const NEEDED_TO_RUN = [
  { package: 'git', command: 'git', why: 'tells the tests which files belong to the project' },
  { package: 'ffmpeg', command: 'ffmpeg', why: 'exports recordings; checks media in tests' },
  {
    package: 'chromium',
    command: 'chromium',
    why: 'the browser of the demonstration publisher and of the tests',
  },
  { package: 'xvfb', command: 'Xvfb', why: 'a screen to capture where there is none', onlyOn: 'linux' },
  { package: 'fonts-dejavu-core', fonts: true, why: 'readable text on that screen', onlyOn: 'linux' },
  { package: 'iproute2', command: 'ip', why: 'makes the networks of the tests', onlyOn: 'linux' },
  { package: 'socat', command: 'socat', why: 'makes them slow and lossy', onlyOn: 'linux' },
];

const BUILDS_WORKER = 'builds the mediasoup worker';

/** @type {Need[]} */
export const NEEDED_TO_BUILD_WORKER = [
  { package: 'g++', command: 'g++', why: BUILDS_WORKER },
  { package: 'meson', command: 'meson', why: BUILDS_WORKER },
  { package: 'ninja-build', command: 'ninja', why: BUILDS_WORKER },
  { package: 'pkg-config', command: 'pkg-config', why: BUILDS_WORKER },
  { package: 'flatbuffers-compiler', command: 'flatc', why: BUILDS_WORKER },
  { package: 'libflatbuffers-dev', module: 'flatbuffers', why: BUILDS_WORKER },
  { package: 'libuv1-dev', module: 'libuv', why: BUILDS_WORKER },
  { package: 'libssl-dev', module: 'openssl', why: BUILDS_WORKER },
  { package: 'libsrtp2-dev', module: 'libsrtp2', why: BUILDS_WORKER },
  { package: 'libabsl-dev', module: 'absl_strings', why: BUILDS_WORKER },
];

/**
 * Installs what is missing of `needs`, or says what the person has to install.
 *
 * @param {{ needs: Need[], report: import('./report.mjs').Report }} options
 */
export async function ensurePackages({ needs, report }) {
  const missing = await findMissing(needs);

  if (missing.length === 0) {
    return;
  }

  const prefix = await installPrefix(missing);

  await withLock(
    { file: join(cacheDirectory(), 'packages.lock'), what: 'installing packages', report },
    async () => {
      const stillMissing = await findMissing(missing);

      if (stillMissing.length > 0) {
        await install({ needs: stillMissing, prefix, report });
      }
    },
  );
}

/** @param {Need[]} needs */
export async function findMissing(needs) {
  const present = await Promise.all(needs.map(isPresent));

  return needs.filter((_, index) => !present[index]);
}

async function isPresent({ command, module, fonts, onlyOn }) {
  if (onlyOn && onlyOn !== process.platform) {
    return true;
  }
  if (command) {
    return (await findCommand(command)) !== null;
  }
  if (module) {
    return (await run('pkg-config', ['--exists', module])).code === 0;
  }

  return fonts ? anyFontExists() : false;
}

async function anyFontExists() {
  for (const directory of [
    '/usr/share/fonts/truetype',
    '/usr/share/fonts/opentype',
    '/usr/local/share/fonts',
  ]) {
    const families = await readdir(directory).catch(() => []);

    if (families.length > 0) {
      return true;
    }
  }

  return false;
}

/** What has to stand before apt-get; throws instructions where installing is not possible or not wanted. */
async function installPrefix(missing) {
  const { name, hasDebianPackages } = platform();

  if (!hasDebianPackages) {
    throw new SetupError(
      `something that Proofcast needs is missing on this machine (${name})`,
      elsewhere(missing),
    );
  }
  if (process.env.PROOFCAST_NO_INSTALL === '1') {
    throw new SetupError(
      'packages are missing, and PROOFCAST_NO_INSTALL=1 forbids installing them',
      byHand(missing),
    );
  }
  if (process.getuid() === 0) {
    return [];
  }
  // -n: a question for a password would hang where nobody sits.
  if ((await run('sudo', ['-n', 'true'])).code === 0) {
    return ['sudo', '-n'];
  }

  throw new SetupError(
    'packages are missing, and installing them takes root or sudo without a password',
    byHand(missing),
  );
}

/** The system as far as the setup tells systems apart; `release` changes when its libraries do. */
export function platform() {
  if (process.platform !== 'linux') {
    return { name: process.platform, release: process.platform, hasDebianPackages: false };
  }

  const facts = existsSync('/etc/os-release') ? readFileSync('/etc/os-release', 'utf8') : '';
  const fact = (key) => new RegExp(`^${key}="?([^"\n]*)"?$`, 'm').exec(facts)?.[1] ?? '';
  const family = `${fact('ID')} ${fact('ID_LIKE')}`.split(' ');

  return {
    name: fact('PRETTY_NAME') || 'unknown Linux',
    release: `${fact('ID')} ${fact('VERSION_ID')}`,
    // Ubuntu has apt too, but no chromium package behind that name: only a stub for a snap.
    hasDebianPackages:
      family.includes('debian') && !family.includes('ubuntu') && existsSync('/usr/bin/apt-get'),
  };
}

async function install({ needs, prefix, report }) {
  const width = Math.max(...needs.map((need) => need.package.length));
  const reasons = needs.map((need) => `\n             ${need.package.padEnd(width)}  ${need.why}`);

  report.step(`Installing Debian packages:${reasons.join('')}`);

  // Kept from both calls: `update` ends with 0 although it reached nothing, and `install` then knows no package.
  const complaints = [];

  const apt = async (what, args, onLine) => {
    const logFile = join(cacheDirectory(), 'logs', 'apt.log');
    const [command, ...rest] = [
      ...prefix,
      'env',
      'DEBIAN_FRONTEND=noninteractive',
      'LC_ALL=C.UTF-8',
      'apt-get',
      '-q',
      '-o',
      `DPkg::Lock::Timeout=${APT_LOCK_TIMEOUT_SECONDS}`,
      '-o',
      'Dpkg::Use-Pty=0',
      ...args,
    ];
    const { code, lastLines } = await run(command, rest, { logFile, onLine });

    complaints.push(...lastLines.filter((line) => /^(E|W): /.test(line)));

    if (code !== 0) {
      throw new SetupError(
        `${what} failed (apt-get ended with ${code})`,
        `${complaints.join('\n')}\n\nThe whole log: ${logFile}\n\n${byHand(needs)}`,
      );
    }
  };

  report.progress('reading the lists of packages');
  await apt('Reading the lists of packages', ['update']);
  await apt(
    'Installing packages',
    ['install', '--yes', '--no-install-recommends', ...needs.map((need) => need.package)],
    aptProgress(report),
  );

  const stillMissing = await findMissing(needs);

  if (stillMissing.length > 0) {
    throw new SetupError(
      `apt-get reported success, but this is not usable: ${stillMissing.map((need) => need.package).join(', ')}`,
      'Is the directory of the programs on your PATH?',
    );
  }

  report.step('These packages are installed, with what they depend on');
}

/** Each package passes through three lines: Get, Unpacking, Setting up. */
function aptProgress(report) {
  const counts = { Get: 0, Unpacking: 0, Setting: 0 };
  let total = 0;

  return (line) => {
    const word = /^(Get|Unpacking|Setting)\b/.exec(line)?.[1];

    total = Number(/(\d+) newly installed/.exec(line)?.[1] ?? total);

    if (word) {
      counts[word] += 1;
      report.progress(
        `of ${total} packages: ${counts.Get} fetched, ${counts.Unpacking} unpacked, ${counts.Setting} set up`,
      );
    }
  };
}

function byHand(needs) {
  const alsoToBuild = needs.some((need) => need.why === BUILDS_WORKER)
    ? []
    : [
        '',
        'and, unless the prebuilt mediasoup worker can be downloaded here, for building it:',
        '',
        installCommand(NEEDED_TO_BUILD_WORKER),
      ];

  return [
    'To install them yourself:',
    '',
    '  sudo apt-get update',
    installCommand(needs),
    ...alsoToBuild,
    '',
    'Then run the same command again.',
  ].join('\n');
}

function installCommand(needs) {
  return `  sudo apt-get install --no-install-recommends ${needs.map((need) => need.package).join(' ')}`;
}

function elsewhere(needs) {
  const lines = needs.map(
    ({ package: name, command, module, why }) =>
      `  ${command ?? module ?? 'a font'} (${why}; Debian's package ${name})`,
  );

  return [
    'Proofcast sets itself up on Debian 12 and later. Here, please install these and see that the programs are',
    'on the PATH under these names, and the libraries known to pkg-config:',
    '',
    ...lines,
    '',
    'Or use a container or virtual machine with Debian 12; on Windows, Debian under WSL 2.',
  ].join('\n');
}
