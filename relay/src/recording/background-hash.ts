/** A SHA-256 that is computed in another thread, so that hours of recording hold up nobody in this one. */
import { once } from 'node:events';
import { Worker } from 'node:worker_threads';

const WORKER = new URL('hash-worker.ts', import.meta.url);

export class BackgroundHash {
  readonly #worker = new Worker(WORKER);
  /** The answer to what was posted last. */
  #answer: Promise<unknown> = Promise.resolve();
  #failure: { readonly error: unknown } | null = null;

  constructor() {
    // Also while no answer is awaited: an error that nobody hears of would end the process.
    this.#worker.on('error', (error) => (this.#failure = { error }));
  }

  /**
   * Begins to hash `parts`; resolves when all that was added before is hashed. What lies in shared memory is not
   * copied, and must stay as it is until then.
   */
  async add(parts: readonly Uint8Array[]): Promise<void> {
    await this.#answer;
    if (parts.length > 0) void this.#ask(parts);
  }

  async digest(): Promise<Uint8Array> {
    await this.#answer;
    const answer = await this.#ask([]);
    if (!(answer instanceof Uint8Array)) throw new Error('The thread that hashes gave no hash.');
    return answer;
  }

  /** Ends the thread. Idempotent. */
  async close(): Promise<void> {
    await this.#worker.terminate();
  }

  #ask(parts: readonly Uint8Array[]): Promise<unknown> {
    if (this.#failure !== null) throw this.#failure.error;
    // Rejects with what the thread throws.
    const answer = once(this.#worker, 'message').then(([message]) => message as unknown);
    // Whoever waits for it hears of it; until then it is not unhandled.
    answer.catch(() => undefined);
    this.#answer = answer;
    this.#worker.postMessage(parts, []);
    return answer;
  }
}
