/**
 * Programs that run beside a benchmark in processes of their own, so that what they cost is not counted, and how they
 * are called: a request is a method and one parameter, an answer a result or the text of an error.
 */
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';

type Handlers = Readonly<Record<string, (params: never) => unknown>>;

interface Request {
  readonly id: number;
  readonly method: string;
  readonly params: unknown;
}

type Answer =
  | { readonly id: number; readonly result: unknown }
  | { readonly id: number; readonly error: string };

export interface HelperProcess<H extends Handlers> {
  readonly pid: number;
  call<M extends keyof H & string>(
    method: M,
    params: Parameters<H[M]>[0],
  ): Promise<Awaited<ReturnType<H[M]>>>;
  /** Idempotent. */
  close(): Promise<void>;
}

/** Starts `file` of this folder, which calls `serveHelper` with handlers of type `H`. */
export function startHelper<H extends Handlers>(file: string): HelperProcess<H> {
  const child = fork(join(import.meta.dirname, file), {
    execArgv: ['--disable-warning=ExperimentalWarning'],
  });
  const waiting = new Map<number, { resolve: (result: unknown) => void; reject: (error: Error) => void }>();
  let nextId = 0;
  child.on('message', (answer: Answer) => {
    const call = waiting.get(answer.id);
    waiting.delete(answer.id);
    if ('error' in answer) call?.reject(new Error(`${file}: ${answer.error}`));
    else call?.resolve(answer.result);
  });
  child.on('exit', (code, signal) => {
    for (const { reject } of waiting.values()) reject(new Error(`${file} ended with ${code ?? signal}.`));
    waiting.clear();
  });
  return {
    pid: child.pid!,
    call(method, params) {
      const request: Request = { id: nextId++, method, params };
      return new Promise((resolve, reject) => {
        waiting.set(request.id, { resolve: resolve as (result: unknown) => void, reject });
        child.send(request, (error) => error && reject(error));
      });
    },
    async close() {
      if (child.exitCode !== null || child.signalCode !== null) return;
      const exited = once(child, 'exit');
      child.kill('SIGKILL');
      await exited;
    },
  };
}

/** Answers the calls of the process that started this one, and ends with it. */
export function serveHelper(handlers: Handlers): void {
  process.on('disconnect', () => process.exit(0));
  process.on('message', ({ id, method, params }: Request) => {
    void answer(id, () => handlers[method]!(params as never));
  });
}

async function answer(id: number, work: () => unknown): Promise<void> {
  let sent: Answer;
  try {
    sent = { id, result: await work() };
  } catch (error) {
    sent = { id, error: error instanceof Error ? (error.stack ?? error.message) : String(error) };
  }
  process.send?.(sent);
}
