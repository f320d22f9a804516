/** The relay as a process: environment in, log lines out, signals, exit code. */
import { setFlagsFromString } from 'node:v8';
import { pino } from 'pino';
import { readConfig, type RelayConfig } from './config.ts';
import type { FirstRun } from './identity/first-run.ts';
import { startRelay, type Relay } from './server.ts';

// Media passes through in buffers outside of V8's heap, and by default every 64 MB of them make it mark the whole heap:
// several times a second, which was half of the relay's CPU time. With this they count as part of the heap, whose limit
// grows with what is alive (docs/benchmarks.md, relay.ingest).
setFlagsFromString('--external-memory-accounted-in-global-limit');
// A sync or read of a slow disk holds a thread of libuv's pool for as long as it takes; with Node's four, four of them
// would hold up every other journal. Node reads this when the pool is first used, which is after this module began.
process.env['UV_THREADPOOL_SIZE'] ??= '32';
// Whatever the relay writes, databases and recordings above all, is for its own account only.
process.umask(0o077);

const config = readConfigOrExit();
// The line that says where the relay listens is for programs that wait for it, so no level hides it.
const announcer = pino({ name: 'relay', level: 'info' });
let relay: Relay | undefined;
let isEnding = false;

process.on('uncaughtException', (error) => {
  announcer.fatal({ err: error }, 'ended by an unforeseen failure');
  process.exit(1);
});
process.on('SIGTERM', () => void end());
process.on('SIGINT', () => void end());
// Whoever started the relay with a channel to it and is gone, cannot stop it any more.
process.on('disconnect', () => void end());

try {
  relay = await startRelay(config);
} catch (error) {
  announcer.fatal({ err: error }, 'could not start');
  process.exit(1);
}
if (relay.firstRun?.isPasswordGenerated) printCredentials(relay.firstRun, relay.url);
announcer.info({ url: relay.url }, 'listening');

function readConfigOrExit(): RelayConfig {
  try {
    return readConfig(process.env);
  } catch (error) {
    process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`);
    return process.exit(1);
  }
}

/** To the terminal and nowhere else: the password is stored as a hash only and never logged. */
function printCredentials({ email, password }: FirstRun, url: string): void {
  process.stdout.write(
    `\n  First start of Proofcast. Sign in at ${url}\n\n    e-mail    ${email}\n    password  ${password}\n\n  The password is shown this once.\n\n`,
  );
}

/** A second signal does not wait for the first to have its effect. */
async function end(): Promise<void> {
  if (isEnding) process.exit(1);
  isEnding = true;
  await relay?.close();
  process.exit(0);
}
