/**
 * Whether the renderer shares something at the moment, and which source it may capture. The renderer asks for a source
 * by name before it captures; a capture that was not asked for, or asks twice, gets nothing.
 */
export type SharingState =
  | { readonly kind: 'idle' }
  /** `getDisplayMedia` may be called once, and gets this source. */
  | { readonly kind: 'armed'; readonly sourceId: string }
  | { readonly kind: 'sharing'; readonly sourceId: string };

export class Sharing {
  #state: SharingState = { kind: 'idle' };
  readonly #waiting = new Set<() => void>();

  get isActive(): boolean {
    return this.#state.kind !== 'idle';
  }

  begin(sourceId: string): void {
    this.#state = { kind: 'armed', sourceId };
  }

  /** The source to capture now, or null when none was asked for. */
  takeSource(): string | null {
    if (this.#state.kind !== 'armed') return null;
    const { sourceId } = this.#state;
    this.#state = { kind: 'sharing', sourceId };
    return sourceId;
  }

  end(): void {
    this.#state = { kind: 'idle' };
    for (const resolve of this.#waiting) resolve();
    this.#waiting.clear();
  }

  /** Resolves when nothing is shared any more, or after `timeoutMs`. */
  async whenEnded(timeoutMs: number): Promise<void> {
    if (!this.isActive) return;
    let timer: NodeJS.Timeout | undefined;
    await new Promise<void>((resolve) => {
      this.#waiting.add(resolve);
      timer = setTimeout(resolve, timeoutMs);
    });
    clearTimeout(timer);
  }
}
