/** Relay and SFU as real processes of their own, on free ports, with a temporary data directory. */
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { createInterface } from 'node:readline';

const ROOT = resolve(import.meta.dirname, '../..');

export interface Service {
  readonly url: string;
  readonly pid: number;
  /** SIGTERM, and resolves when the process has ended with exit code 0; throws when it ended otherwise. */
  stop(): Promise<void>;
  /** SIGKILL, and resolves when the process is gone. */
  kill(): Promise<void>;
}

/**
 * Starts `node <entry>` and resolves when it logs that it listens. What it prints is kept and shown when it fails.
 */
export async function startService(entry: string, env: Record<string, string>): Promise<Service> {
  const child = spawn(process.execPath, ['--disable-warning=ExperimentalWarning', entry], {
    cwd: ROOT,
    env: { ...process.env, LOG_LEVEL: 'info', ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const output: string[] = [];
  child.stderr.on('data', (data: Buffer) => output.push(data.toString()));
  const url = await new Promise<string>((resolveUrl, reject) => {
    child.on('exit', (code, signal) => {
      reject(new Error(`${entry} ended with ${code ?? signal} before it listened:\n${output.join('\n')}`));
    });
    child.on('error', reject);
    createInterface({ input: child.stdout }).on('line', (line) => {
      output.push(line);
      const entryLogged = parseLogLine(line);
      if (entryLogged?.msg === 'listening' && entryLogged.url) resolveUrl(entryLogged.url);
    });
  });
  return {
    url,
    pid: child.pid!,
    async stop() {
      await endWith(child, 'SIGTERM');
      if (child.exitCode !== 0) {
        throw new Error(
          `${entry} ended with ${child.exitCode ?? child.signalCode}:\n${output.slice(-40).join('\n')}`,
        );
      }
    },
    kill: () => endWith(child, 'SIGKILL'),
  };
}

async function endWith(child: ChildProcess, signal: NodeJS.Signals): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const exited = once(child, 'exit');
  child.kill(signal);
  await exited;
}

function parseLogLine(line: string): { msg?: string; url?: string } | null {
  if (!line.startsWith('{')) return null;
  try {
    return JSON.parse(line) as { msg?: string; url?: string };
  } catch {
    return null; // A line for people, not for machines.
  }
}

/** A port that was free a moment ago, for services that must know one another's address before they start. */
export async function findFreePort(): Promise<number> {
  const server = createServer();
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  server.close();
  await once(server, 'close');
  if (typeof address !== 'object' || address === null)
    throw new Error('The probe for a free port has no address.');
  return address.port;
}

export interface Services {
  relay: Service;
  sfu: Service;
  readonly dataDir: string;
  readonly admin: { readonly email: string; readonly password: string };
  /** The relay again on the same port and data, after it was stopped or killed. */
  restartRelay(): Promise<void>;
  close(): Promise<void>;
}

export async function startServices(relayEnv: Record<string, string> = {}): Promise<Services> {
  const dataDir = await mkdtemp(join(tmpdir(), 'proofcast-services-'));
  const admin = { email: 'admin@example.test', password: 'correct horse battery staple' };
  const relayPort = await findFreePort();
  const sfu = await startService('sfu/src/main.ts', {
    SFU_PORT: '0',
    SFU_MEDIA_PORT: '0',
    SFU_WORKERS: '1',
    TOKEN_JWKS_URL: `http://127.0.0.1:${relayPort}/.well-known/jwks.json`,
  });
  const startRelay = () =>
    startService('relay/src/main.ts', {
      RELAY_PORT: String(relayPort),
      DATA_DIR: dataDir,
      ADMIN_EMAIL: admin.email,
      ADMIN_PASSWORD: admin.password,
      SFU_URL: sfu.url.replace('http', 'ws'),
      ...relayEnv,
    });
  const services: Services = {
    relay: await startRelay(),
    sfu,
    dataDir,
    admin,
    async restartRelay() {
      services.relay = await startRelay();
    },
    async close() {
      await Promise.all([services.relay.stop(), services.sfu.stop()]);
      await rm(dataDir, { recursive: true, force: true });
    },
  };
  return services;
}
