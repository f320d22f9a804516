/**
 * `npm run desktop`: starts the app in Electron, or says how to get there. Plain JavaScript, because it also has to
 * say so under an older Node, on a machine where nothing is set up yet.
 */
import { spawn } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const HERE = dirname(fileURLToPath(import.meta.url));

const INSTRUCTION = `
Proofcast's desktop app cannot start: the program of Electron is not on this machine.
Its npm package carries only the interface (run \`npm start\` once to have that); the program is fetched from github.com by

    npx install-electron

Where that is not reachable, fetch the archive on another machine and name the folder it was unpacked to:

    ELECTRON_OVERRIDE_DIST_PATH=/path/to/electron npm run desktop

Without Electron, \`npm start\` shows the same app at work: its demonstration runs it in Chromium.
`;

const electron = findElectron();
if (electron === null) {
  process.stderr.write(INSTRUCTION);
  process.exitCode = 1;
} else if (!existsSync(join(HERE, 'dist', 'main.js'))) {
  process.stderr.write(
    '\nThe desktop app is not built yet: run `npm run --workspace desktop build` first.\n',
  );
  process.exitCode = 1;
} else {
  const child = spawn(electron, [HERE, ...process.argv.slice(2)], { stdio: 'inherit' });
  // Ctrl-C reaches the app itself; this process only waits for it.
  process.on('SIGINT', () => undefined);
  process.on('SIGTERM', () => child.kill('SIGTERM'));
  child.on('exit', (code) => {
    process.exitCode = code ?? 1;
  });
}

/**
 * The path of Electron's program, without asking Electron's package, which would try to fetch it.
 * @returns {string | null}
 */
function findElectron() {
  const folder = findPackage();
  if (folder === null) return null;
  const pathFile = join(folder, 'path.txt');
  const name = existsSync(pathFile) ? readFileSync(pathFile, 'utf8').trim() : 'electron';
  const path = join(process.env['ELECTRON_OVERRIDE_DIST_PATH'] ?? join(folder, 'dist'), name);
  return existsSync(path) ? path : null;
}

/** @returns {string | null} */
function findPackage() {
  try {
    return dirname(createRequire(import.meta.url).resolve('electron/package.json'));
  } catch {
    return null; // npm has not installed anything yet.
  }
}
