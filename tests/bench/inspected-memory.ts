/** What a Node process really holds: its memory right after a garbage collection, asked for through V8's inspector. */
import { once } from 'node:events';
import { WebSocket } from 'ws';
import { anonymousBytes } from './process-usage.ts';

export interface MemoryReading {
  /** JavaScript objects and the buffers that they hold. */
  readonly liveBytes: number;
  /** What the process takes from the machine. */
  readonly anonymousBytes: number;
}

interface Answer {
  readonly id: number;
  readonly result?: { readonly result?: { readonly value: NodeJS.MemoryUsage } };
  readonly error?: { readonly message: string };
}

export class InspectedMemory {
  readonly #socket: WebSocket;
  readonly #pid: number;
  #nextId = 1;

  private constructor(socket: WebSocket, pid: number) {
    this.#socket = socket;
    this.#pid = pid;
  }

  static async open(inspectorUrl: string, pid: number): Promise<InspectedMemory> {
    const socket = new WebSocket(inspectorUrl);
    await once(socket, 'open');
    return new InspectedMemory(socket, pid);
  }

  async read(): Promise<MemoryReading> {
    // What one collection lets go of may itself have held something outside of the heap.
    for (let collection = 0; collection < 2; collection++) await this.#ask('HeapProfiler.collectGarbage', {});
    const { result } = await this.#ask('Runtime.evaluate', {
      expression: 'process.memoryUsage()',
      returnByValue: true,
    });
    const usage = result!.result!.value;
    return { liveBytes: usage.heapUsed + usage.external, anonymousBytes: anonymousBytes(this.#pid) };
  }

  close(): void {
    this.#socket.terminate();
  }

  async #ask(method: string, params: Record<string, unknown>): Promise<Answer> {
    const id = this.#nextId++;
    this.#socket.send(JSON.stringify({ id, method, params }));
    for (;;) {
      const [data] = (await once(this.#socket, 'message')) as [Buffer];
      const answer = JSON.parse(data.toString('utf8')) as Answer;
      if (answer.id !== id) continue;
      if (answer.error) throw new Error(`The inspector cannot do ${method}: ${answer.error.message}`);
      return answer;
    }
  }
}
