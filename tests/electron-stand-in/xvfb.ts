/** Test code: a real X server with a screen in memory. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import type { Readable } from 'node:stream';

export interface Xvfb {
  /** For the environment variable DISPLAY, such as `:3`. */
  readonly display: string;
  /** Process id of the X server. */
  readonly pid: number;
  /** Ends the X server and waits until it is gone. Idempotent. */
  close(): Promise<void>;
}

/** Starts Xvfb with one screen. It picks a free display number by itself, so that many can run at once. */
export async function startXvfb({ width, height }: { width: number; height: number }): Promise<Xvfb> {
  const server = spawn(
    // An X server that has outlived the process that started it would stay for ever.
    'setpriv',
    [
      '--pdeathsig',
      'TERM',
      'Xvfb',
      '-displayfd',
      '3',
      '-screen',
      '0',
      `${width}x${height}x24`,
      '-nolisten',
      'tcp',
      '-noreset',
    ],
    { stdio: ['ignore', 'ignore', 'pipe', 'pipe'] },
  );
  const exited = once(server, 'exit');
  let complaints = '';
  (server.stderr as Readable).on('data', (data: Buffer) => {
    complaints = (complaints + data.toString()).slice(-2_000);
  });
  const displayNumber = await Promise.race([
    readLine(server.stdio[3] as Readable),
    exited.then(() => Promise.reject(new Error(`Xvfb ended before it was ready: ${complaints}`))),
    once(server, 'error').then(([error]) => Promise.reject(error)),
  ]);
  return {
    display: `:${displayNumber}`,
    pid: server.pid ?? 0,
    async close() {
      if (server.exitCode !== null || server.signalCode !== null) return;
      server.kill('SIGTERM');
      await exited;
    },
  };
}

async function readLine(stream: Readable): Promise<string> {
  let text = '';
  for await (const data of stream) {
    text += String(data);
    if (text.includes('\n')) return text.trim();
  }
  throw new Error('Xvfb closed its output before it named its display.');
}
