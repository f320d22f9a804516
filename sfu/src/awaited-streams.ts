type Tell = () => void;

/** Who wants to hear, once, that a stream has a picture. By the name of the stream, which has its company in it. */
export class AwaitedStreams {
  readonly #waiting = new Map<string, Set<Tell>>();

  /** Calls `tell` when the stream has a picture, unless the function that it returns is called before. */
  await(name: string, tell: Tell): () => void {
    const waiting = this.#waiting.get(name) ?? new Set();
    this.#waiting.set(name, waiting.add(tell));
    return () => {
      waiting.delete(tell);
      if (waiting.size === 0 && this.#waiting.get(name) === waiting) this.#waiting.delete(name);
    };
  }

  /** The stream has a picture now. */
  arrived(name: string): void {
    const waiting = this.#waiting.get(name);
    this.#waiting.delete(name);
    for (const tell of waiting ?? []) tell();
  }
}
