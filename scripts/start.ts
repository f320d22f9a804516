/**
 * `npm start`: builds what has changed, starts relay and SFU, and, where no other device is enrolled, a demonstration
 * publisher. Ctrl-C ends everything in order: the publisher stops and its recording is sealed, then the services end.
 * Recordings of other devices stay in their journals and go on after the next start.
 *
 *   npm start -- --no-demo     without the demonstration
 */
import { spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { mkdir, open, type FileHandle } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { buildWhenChanged } from './build-steps.ts';
import { startService, type ServiceProcess } from './service-process.ts';

const ROOT = resolve(import.meta.dirname, '..');

const { values: flags } = parseArgs({ options: { 'no-demo': { type: 'boolean', default: false } } });
const wantsDemonstration = !flags['no-demo'];

/** Ended in reverse order of their start. */
const closers: (() => Promise<void>)[] = [];
let ending: Promise<void> | undefined;

process.on('SIGINT', () => void end(0));
process.on('SIGTERM', () => void end(0));
process.on('SIGHUP', () => void end(0));
// Whoever started the script with a channel to it and is gone, cannot stop it any more.
process.on('disconnect', () => void end(0));

try {
  await start();
} catch (error) {
  console.error(`\nProofcast could not start: ${error instanceof Error ? error.message : String(error)}`);
  await end(1);
}

async function start(): Promise<void> {
  for (const workspace of wantsDemonstration
    ? (['dashboard', 'desktop'] as const)
    : (['dashboard'] as const)) {
    if (!(await buildWhenChanged(workspace))) throw new Error(`the build of ${workspace} failed`);
  }
  const dataDir = resolve(process.env['DATA_DIR'] || join(ROOT, 'data'));
  const isFirstRun = !existsSync(join(dataDir, 'proofcast.sqlite'));
  const admin = {
    email: process.env['ADMIN_EMAIL'] || 'admin@proofcast.local',
    // At the first run the relay would draw one itself; the demonstration needs to know it.
    password:
      process.env['ADMIN_PASSWORD'] || (isFirstRun ? randomBytes(12).toString('base64url') : undefined),
  };
  const logDir = join(dataDir, 'logs');
  await mkdir(logDir, { recursive: true, mode: 0o700 });

  const relay = await startLogged('relay', logDir, {
    DATA_DIR: dataDir,
    ADMIN_EMAIL: admin.email,
    ...(admin.password ? { ADMIN_PASSWORD: admin.password } : {}),
  });
  await startLogged('sfu', logDir, { TOKEN_JWKS_URL: new URL('/.well-known/jwks.json', relay.url).href });

  console.log(`\n  Proofcast is up: ${relay.url}\n`);
  if (isFirstRun) {
    console.log(`  Sign in as ${admin.email}`);
    console.log(`  Password   ${admin.password}   (shown this once)\n`);
  } else {
    console.log(`  Sign in as ${admin.email} with the password of the first start.\n`);
  }
  console.log(`  Logs in ${logDir}. Ctrl-C stops everything in order.\n`);
  if (wantsDemonstration) startDemonstration(relay.url, join(dataDir, 'demonstration'), admin);
}

/**
 * In a process group of its own: Ctrl-C must not end its screen and its browser before the recording is stopped.
 * Resolves at once; what it has to say, it says on this terminal.
 */
function startDemonstration(
  relayUrl: string,
  dataDir: string,
  admin: { email: string; password: string | undefined },
): void {
  const child = spawn(
    process.execPath,
    ['--disable-warning=ExperimentalWarning', 'scripts/demonstration/main.ts', relayUrl, dataDir],
    {
      cwd: ROOT,
      env: { ...process.env, ADMIN_EMAIL: admin.email, ADMIN_PASSWORD: admin.password ?? '' },
      stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
      detached: true,
    },
  );
  const exited = once(child, 'exit');
  closers.push(async () => {
    child.kill('SIGTERM');
    await exited;
  });
}

async function startLogged(
  name: 'relay' | 'sfu',
  logDir: string,
  env: Record<string, string>,
): Promise<ServiceProcess> {
  const logFile = await open(join(logDir, `${name}.log`), 'a', 0o600);
  const service = await startService({
    entry: `${name}/src/main.ts`,
    env,
    onLine: (line) => writeLine(logFile, line),
  });
  void service.ended.then((how) => {
    if (!ending)
      console.error(`\n  The ${name} ended unexpectedly (${how}); see ${join(logDir, `${name}.log`)}.`);
    return end(1);
  });
  closers.push(async () => {
    await service.stop();
    await logFile.close();
  });
  return service;
}

function writeLine(file: FileHandle, line: string): void {
  file.appendFile(`${line}\n`).catch(() => {
    // A full disk must not end the services; they report it themselves.
  });
}

/** Ends everything once; later calls wait for the first. */
function end(exitCode: number): Promise<void> {
  ending ??= (async () => {
    if (closers.length > 0) console.log('\n  Stopping …');
    for (const close of closers.toReversed()) {
      await close().catch((error: unknown) => {
        console.error(`  ${error instanceof Error ? error.message : String(error)}`);
        process.exitCode = 1;
      });
    }
    process.exit(process.exitCode ?? exitCode);
  })();
  return ending;
}
