// The npm packages of the checkout: installs them with `npm ci` when they are not what package-lock.json
// says. Install scripts stay off (.npmrc): the two things they would do are done by the bootstrap itself.

import { createHash } from 'node:crypto';
import { existsSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { cacheDirectory } from './cache.mjs';
import { run, systemPath } from './command.mjs';
import { withLock } from './lock.mjs';
import { SetupError } from './report.mjs';

const HEARTBEAT_MS = 5_000;

/**
 * @param {{ root: string, report: import('./report.mjs').Report }} options `root` is the checkout.
 */
export async function ensureNodeModules({ root, report }) {
  if (isStamped(root)) {
    return;
  }

  const lock = join(cacheDirectory(), 'locks', `node-modules-${hashOf(root).slice(0, 16)}`);

  await withLock({ file: lock, what: 'installing npm packages', report }, async () => {
    if (isStamped(root)) {
      return;
    }
    if (!matchesLockfile(root)) {
      await install({ root, report });
    }

    writeFileSync(stampFile(root), stampText(root));
  });
}

/** The Node that the project runs on, which is one of the packages. */
export function projectNode(root) {
  return join(root, 'node_modules', '.bin', 'node');
}

// The stamp says for which package-lock.json the packages were last found right, so that a start need not
// compare them again. It lies inside node_modules and so disappears together with them.

function isStamped(root) {
  return existsSync(stampFile(root)) && readFileSync(stampFile(root), 'utf8') === stampText(root);
}

function stampFile(root) {
  return join(root, 'node_modules', '.proofcast-stamp');
}

function stampText(root) {
  const lockfile = readFileSync(join(root, 'package-lock.json'));

  return `${hashOf(lockfile)} ${process.platform} ${process.arch}\n`;
}

function hashOf(content) {
  return createHash('sha256').update(content).digest('hex');
}

/**
 * Whether someone has already installed just these packages by hand (`npm install`, `npm ci`): npm writes
 * down what it has installed, and it should not be thrown away to be fetched again.
 */
function matchesLockfile(root) {
  const installedFile = join(root, 'node_modules', '.package-lock.json');

  if (!existsSync(installedFile) || !existsSync(projectNode(root))) {
    return false;
  }

  const wanted = packagesOf(join(root, 'package-lock.json'));
  const installed = packagesOf(installedFile);
  const isSame = (path) =>
    wanted[path]?.version === installed[path]?.version &&
    wanted[path]?.integrity === installed[path]?.integrity;

  return (
    Object.keys(installed).every(isSame) &&
    Object.keys(wanted)
      // Neither the workspaces themselves nor what is for other platforms is written down as installed.
      .filter((path) => /(^|\/)node_modules\//.test(path) && !wanted[path].optional)
      .every((path) => path in installed && isSame(path) && existsSync(join(root, path)))
  );
}

function packagesOf(file) {
  return JSON.parse(readFileSync(file, 'utf8')).packages;
}

async function install({ root, report }) {
  report.step('Installing the npm packages that package-lock.json names');

  let result = await npm(['ci'], { root, report });

  if (result.code !== 0 && isOnlyAboutOtherPlatforms(result.lastLines)) {
    // A registry that carries a part of the packages (a company's mirror, say) leaves gaps in the tree that
    // `npm ci` computes, and it refuses although none of them is for this machine. `npm install` passes
    // over them; what it has installed is held against package-lock.json below.
    report.step('The registry lacks packages for other platforms: installing with `npm install` instead');
    result = await npm(['install', '--no-save'], { root, report });

    if (result.code === 0 && !matchesLockfile(root)) {
      result = { ...result, code: 'success, but the packages are not those of package-lock.json' };
    }
  }
  if (result.code !== 0) {
    throw new SetupError(
      `installing the npm packages failed (npm ended with ${result.code})`,
      // npm says first what is wrong, and then at length how it is used.
      `${result.lastLines.slice(0, 20).join('\n')}\n\nThe whole log: ${result.logFile}\nIs the npm registry reachable?`,
    );
  }
  linkNode(root);
  if (!existsSync(projectNode(root))) {
    throw new SetupError(
      `there is no Node 24 for this machine among the npm packages (${process.platform} ${process.arch})`,
      'Proofcast runs on Linux (x64, arm64), macOS (x64) and Windows (x64, under WSL 2).',
    );
  }
}

/** npm 10, which older releases of Node 20 bring, installs the package but leaves out the link to its program. */
function linkNode(root) {
  const binary = join(root, 'node_modules', `node-${process.platform}-${process.arch}`, 'bin', 'node');

  if (!existsSync(projectNode(root)) && existsSync(binary)) {
    symlinkSync(relative(dirname(projectNode(root)), binary), projectNode(root));
  }
}

async function npm(command, { root, report }) {
  const logFile = join(cacheDirectory(), 'logs', 'npm.log');
  const startedAtMs = performance.now();
  const heartbeat = setInterval(() => {
    report.progress(`still installing after ${Math.round((performance.now() - startedAtMs) / 1000)} s`);
  }, HEARTBEAT_MS);

  // Only errors: Node is itself one of the packages, so npm's remark that it runs on an older one is
  // beside the point.
  const options = ['--ignore-scripts', '--no-audit', '--no-fund', '--loglevel=error'];
  const env = { ...process.env, PATH: systemPath() };

  try {
    return { logFile, ...(await run('npm', [...command, ...options], { cwd: root, env, logFile })) };
  } finally {
    clearInterval(heartbeat);
  }
}

/** Such a package has no version in npm's complaint, since the registry did not offer any. */
function isOnlyAboutOtherPlatforms(lines) {
  const complaints = lines.filter((line) => /^npm (error|ERR!) (Missing|Invalid): /.test(line));

  return complaints.length > 0 && complaints.every((line) => / Missing: \S+@ from lock file$/.test(line));
}
