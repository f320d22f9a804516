/** Relay or SFU as a process of its own, as `npm start` and the tests run them. */
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { resolve } from 'node:path';

const ROOT = resolve(import.meta.dirname, '..');
/** Lines that are kept to be shown when the process fails. */
const KEPT_LINES = 60;

export interface ServiceProcess {
  readonly url: string;
  readonly pid: number;
  /** Resolves with the exit code or the signal when the process has ended, for whatever reason. */
  readonly ended: Promise<number | NodeJS.Signals>;
  /** SIGTERM; resolves when the process has ended with exit code 0, throws when it ended otherwise. */
  stop(): Promise<void>;
  /** SIGKILL; resolves when the process is gone. */
  kill(): Promise<void>;
}

export interface ServiceOptions {
  /** `relay/src/main.ts` or `sfu/src/main.ts`. */
  readonly entry: string;
  readonly env: Readonly<Record<string, string>>;
  /** Hears every line that the process prints. */
  readonly onLine?: (line: string) => void;
  /** A program and its arguments by which the process is run; it has to become that process. */
  readonly prefix?: readonly string[];
}

/**
 * Starts the service and resolves when it logs that it listens. It gets a process group of its own, so that Ctrl-C
 * reaches only the script, which then ends things in order; and a channel, by whose end it notices that the script is
 * gone.
 */
export async function startService({
  entry,
  env,
  onLine,
  prefix = [],
}: ServiceOptions): Promise<ServiceProcess> {
  const command = [...prefix, process.execPath, '--disable-warning=ExperimentalWarning', entry];
  const child = spawn(command[0]!, command.slice(1), {
    cwd: ROOT,
    env: { ...process.env, ...env },
    stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
    detached: true,
  });
  const ended = new Promise<number | NodeJS.Signals>((resolveEnd) => {
    child.on('exit', (code, signal) => resolveEnd(code ?? signal ?? 0));
  });
  const kept: string[] = [];
  const keep = (line: string) => {
    kept.push(line);
    if (kept.length > KEPT_LINES) kept.shift();
    onLine?.(line);
  };
  createInterface({ input: child.stderr! }).on('line', keep);
  const url = await new Promise<string>((resolveUrl, reject) => {
    createInterface({ input: child.stdout! }).on('line', (line) => {
      keep(line);
      const logged = parseLogLine(line);
      if (logged?.msg === 'listening' && logged.url) resolveUrl(logged.url);
    });
    child.on('error', reject);
    child.on('close', (code, signal) => {
      reject(new Error(`${entry} ended with ${code ?? signal} before it listened:\n${kept.join('\n')}`));
    });
  });
  return {
    url,
    pid: child.pid!,
    ended,
    async stop() {
      await endWith(child, 'SIGTERM');
      if (child.exitCode !== 0) {
        throw new Error(`${entry} ended with ${child.exitCode ?? child.signalCode}:\n${kept.join('\n')}`);
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
