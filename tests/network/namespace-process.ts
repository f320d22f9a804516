/** A program of this folder that runs inside a namespace, for as long as whoever started it lives and wants it. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import type { NetNamespace } from './net-namespace.ts';

export interface NamespaceProcess {
  readonly pid: number;
  /** Idempotent. */
  close(): Promise<void>;
}

/** Resolves when the program has called `announceReady`. Throws when it ends before that. */
export async function startInNamespace(
  namespace: NetNamespace,
  { file, options }: { file: string; options: unknown },
): Promise<NamespaceProcess> {
  const [program = '', ...before] = namespace.prefix;
  const child = spawn(
    program,
    [
      ...before,
      process.execPath,
      '--disable-warning=ExperimentalWarning',
      join(import.meta.dirname, file),
      JSON.stringify(options),
    ],
    { stdio: ['ignore', 'inherit', 'inherit', 'ipc'] },
  );
  const exited = once(child, 'exit');
  const close = async (): Promise<void> => {
    // It ends by itself when it is let go of, and so it does when this process is killed.
    if (child.connected) child.disconnect();
    await exited;
  };
  await Promise.race([
    once(child, 'message'),
    exited.then(([code, signal]) => Promise.reject(new Error(`${file} ended with ${code ?? signal}.`))),
  ]);
  return { pid: child.pid!, close };
}

/** For the program itself: the options that it was started with. It ends when nobody wants it any more. */
export function readOptions(): unknown {
  process.on('disconnect', () => process.exit(0));
  return JSON.parse(process.argv[2] ?? 'null');
}

/** For the program itself: it does what it is for. */
export function announceReady(): void {
  process.send?.('ready');
}
