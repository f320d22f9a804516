/** The relay as its users start it: a process of its own, whose output is kept. */
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { createInterface } from 'node:readline';

const MAIN = join(import.meta.dirname, '../src/main.ts');

export interface RelayProcess {
  readonly child: ChildProcess;
  /** Where it listens. Rejects when it ends before that. */
  readonly url: Promise<string>;
  readonly exit: Promise<[number | null, NodeJS.Signals | null]>;
  /** Everything that it has written so far, on either stream. */
  output(): string;
}

/** All that a test has started, to be ended with it. */
export class RelayProcesses {
  readonly #children: ChildProcess[] = [];

  /** `channel`: with an IPC channel to this process. */
  start(dataDir: string, env: Record<string, string> = {}, { channel = false } = {}): RelayProcess {
    const child = spawn(process.execPath, [MAIN], {
      env: { PATH: process.env['PATH'], RELAY_PORT: '0', DATA_DIR: dataDir, ...env },
      stdio: ['ignore', 'pipe', 'pipe', ...(channel ? (['ipc'] as const) : [])],
    });
    this.#children.push(child);
    let output = '';
    child.stderr?.on('data', (part: Buffer) => (output += part.toString()));
    const listening = Promise.withResolvers<string>();
    // Whoever does not ask where it listens may expect it to end.
    listening.promise.catch(() => undefined);
    child.on('close', () => listening.reject(new Error(`The relay ended before it listened:\n${output}`)));
    createInterface({ input: child.stdout! }).on('line', (line) => {
      output += `${line}\n`;
      if (!line.startsWith('{')) return;
      const logged = JSON.parse(line) as { msg: string; url: string };
      if (logged.msg === 'listening') listening.resolve(logged.url);
    });
    return {
      child,
      url: listening.promise,
      exit: once(child, 'exit') as Promise<[number | null, NodeJS.Signals | null]>,
      output: () => output,
    };
  }

  /** Ends what still runs. */
  killAll(): void {
    for (const child of this.#children.splice(0)) child.kill('SIGKILL');
  }
}
