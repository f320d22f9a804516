/** Runs tasks of one name one after the other, in the order in which they came; different names run side by side. */
export class SerialTasks {
  readonly #last = new Map<string, Promise<unknown>>();

  run<T>(name: string, task: () => Promise<T>): Promise<T> {
    const before = this.#last.get(name) ?? Promise.resolve();
    const result = before.then(task);
    // The next task does not care how this one ended.
    const settled: Promise<unknown> = Promise.allSettled([result]).finally(() => {
      if (this.#last.get(name) === settled) this.#last.delete(name);
    });
    this.#last.set(name, settled);
    return result;
  }
}
