/** The SFU as a process: settings from the environment, an orderly end on SIGTERM and SIGINT. */
import { setLogEventListeners } from 'mediasoup';
import { pino } from 'pino';
import { DEFAULT_LIMITS, readConfig } from './config.ts';
import { startSfu, type Sfu } from './server.ts';

// The line that says where the SFU listens is for programs that wait for it, so no level hides it.
const announcer = pino();
let log = announcer;
let sfu: Sfu | undefined;

// Registered before there are workers: mediasoup closes them on the same signals, and clients are to hear why first.
// Whoever started the SFU with a channel to it and is gone (`disconnect`), cannot stop it any more.
for (const signal of ['SIGTERM', 'SIGINT', 'disconnect'] as const) {
  process.once(signal, () => {
    log.info({ signal }, 'shutting down');
    void stop();
  });
}

try {
  const config = readConfig(process.env);
  log = pino({ level: config.logLevel });
  setLogEventListeners({
    onwarn: (namespace, text) => log.warn({ namespace }, text),
    onerror: (namespace, text, err) => log.error({ namespace, err }, text),
  });
  sfu = await startSfu(config, log);
  announcer.info({ url: sfu.url }, 'listening');
} catch (error) {
  log.fatal({ reason: (error as Error).message }, 'cannot start');
  process.exitCode = 1;
}

async function stop(): Promise<void> {
  setTimeout(() => {
    log.fatal('cannot shut down in time');
    process.exit(1);
  }, DEFAULT_LIMITS.shutdownTimeoutMs).unref();
  try {
    await sfu?.close();
    process.exit(0);
  } catch (err) {
    log.fatal({ err }, 'cannot shut down in order');
    process.exit(1);
  }
}
