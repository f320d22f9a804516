/**
 * Whether something is shared at the moment, and which source the page may capture. The page asks for a source by name
 * before it captures; a capture that was not asked for, or asks twice, gets nothing. A share outlives the page.
 */
import { CodedError } from '@proofcast/shared';
import type { SharedSource, ShareState } from '../ipc.ts';

export type SharingState =
  | { readonly kind: 'idle' }
  /** `getDisplayMedia` may be called once, and gets this source. */
  | { readonly kind: 'armed'; readonly source: SharedSource }
  | { readonly kind: 'sharing'; readonly source: SharedSource }
  /** The page that captured is gone; the next one goes on. */
  | { readonly kind: 'interrupted'; readonly source: SharedSource; readonly sinceMs: number }
  /** The source is gone; the person decides. */
  | { readonly kind: 'lost'; readonly source: SharedSource }
  /** The person has stopped; the last slices are on their way. */
  | { readonly kind: 'stopping' };

export class Sharing {
  readonly #onChanged: () => void;
  #state: SharingState = { kind: 'idle' };
  #startedAtMs = 0;
  readonly #waiting = new Set<() => void>();

  constructor(onChanged: () => void) {
    this.#onChanged = onChanged;
  }

  get isActive(): boolean {
    return this.#state.kind !== 'idle';
  }

  /** The person has stopped and the share has not ended yet. */
  get isStopping(): boolean {
    return this.#state.kind === 'stopping';
  }

  /** Throws `MESSAGE_UNEXPECTED` when nothing is shared. */
  get source(): SharedSource {
    if (this.#state.kind === 'idle' || this.#state.kind === 'stopping') {
      throw new CodedError('MESSAGE_UNEXPECTED', 'Nothing is being shared.');
    }
    return this.#state.source;
  }

  /** The person has chosen to share sound, and shares. */
  get isSoundShared(): boolean {
    const state = this.#state;
    return (state.kind === 'armed' || state.kind === 'sharing') && state.source.sound !== undefined;
  }

  get description(): ShareState {
    switch (this.#state.kind) {
      case 'idle':
        return this.#state;
      case 'interrupted':
      case 'lost':
        return { ...this.#state, startedAtMs: this.#startedAtMs };
      case 'armed':
      case 'sharing':
      case 'stopping':
        return { kind: 'active' };
    }
  }

  /** Begins a share, or gives the running one another source. Throws `MESSAGE_UNEXPECTED` while one is being stopped. */
  begin(source: SharedSource): void {
    if (this.isStopping) throw new CodedError('MESSAGE_UNEXPECTED', 'The share is being stopped.');
    if (!this.isActive) this.#startedAtMs = Date.now();
    this.#change({ kind: 'armed', source });
  }

  /**
   * The page that came after one that died may capture the same source. Throws `MESSAGE_UNEXPECTED` unless it was
   * interrupted.
   */
  continue(): SharedSource {
    if (this.#state.kind !== 'interrupted') {
      throw new CodedError('MESSAGE_UNEXPECTED', 'No share was interrupted.');
    }
    const { source } = this.#state;
    this.#change({ kind: 'armed', source });
    return source;
  }

  /** The source to capture now, or null when none was asked for. */
  takeSource(): string | null {
    if (this.#state.kind !== 'armed') return null;
    const { source } = this.#state;
    this.#change({ kind: 'sharing', source });
    return source.sourceId;
  }

  /** The page is gone that captured, or was about to. Nothing happens when nothing is shared. */
  interrupt(): void {
    const state = this.#state;
    if (state.kind !== 'armed' && state.kind !== 'sharing') return;
    this.#change({ kind: 'interrupted', source: state.source, sinceMs: Date.now() });
  }

  /** The source can no longer be captured. Nothing happens when another one is captured by now, or is about to be. */
  lose(sourceId: string): void {
    const state = this.#state;
    if (state.kind !== 'sharing' || state.source.sourceId !== sourceId) return;
    this.#change({ kind: 'lost', source: state.source });
  }

  announceStop(): void {
    if (this.isActive) this.#change({ kind: 'stopping' });
  }

  end(): void {
    this.#change({ kind: 'idle' });
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

  #change(state: SharingState): void {
    this.#state = state;
    this.#onChanged();
  }
}
