/**
 * Sharing a screen from start to stop: one capture, two paths that know nothing of each other. Neither path's failure
 * ends the share or hurts the other path.
 */
import { CodedError, toCodedError } from '@proofcast/shared';
import type { ScreenSource } from '../ipc.ts';
import { startCapture, type Capture } from './capture.ts';
import { ask } from './main-process.ts';
import { RecordingFeed } from './recording-feed.ts';
import { SfuPublisher, type LivePath } from './sfu-publisher.ts';

export type SessionState =
  /** `error`: why the last attempt to share has failed. */
  | { readonly kind: 'idle'; readonly error: CodedError | null }
  | { readonly kind: 'starting'; readonly source: ScreenSource }
  | {
      readonly kind: 'sharing' | 'stopping';
      readonly source: ScreenSource;
      readonly startedAtMs: number;
      readonly preview: MediaStream;
      readonly live: LivePath;
      /** Why nothing is recorded at the moment, as far as this process knows. */
      readonly recordingFailure: CodedError | null;
    };

interface Share {
  readonly capture: Capture;
  readonly feed: RecordingFeed;
  readonly publisher: SfuPublisher;
}

export class PublishSession {
  readonly #onChanged: (state: SessionState) => void;
  #state: SessionState = { kind: 'idle', error: null };
  #share: Share | undefined;
  #stopping: Promise<void> | undefined;
  #isWatched = false;

  constructor(onChanged: (state: SessionState) => void) {
    this.#onChanged = onChanged;
  }

  /** Captures `source` and starts both paths. Never rejects; the state says what came of it. */
  async start(source: ScreenSource): Promise<void> {
    if (this.#state.kind !== 'idle') return;
    this.#change({ kind: 'starting', source });
    try {
      await ask('beginSharing', { sourceId: source.sourceId });
      const capture = await startCapture(() => void this.stop());
      this.#begin(source, capture);
    } catch (error) {
      await ask('endSharing', {}).catch(() => undefined);
      this.#change({ kind: 'idle', error: toCodedError(error) });
    }
  }

  /** Stops in order: the recorder to its last slice, then the live path, then the capture. Never rejects. */
  stop(): Promise<void> {
    if (!this.#share) return Promise.resolve();
    this.#stopping ??= this.#end(this.#share).finally(() => {
      this.#stopping = undefined;
    });
    return this.#stopping;
  }

  /** Whether somebody watches through the relay. */
  setWatched(isWatched: boolean): void {
    this.#isWatched = isWatched;
    this.#share?.feed.setWatched(isWatched);
  }

  #begin(source: ScreenSource, capture: Capture): void {
    const { track, preview } = capture;
    const feed = new RecordingFeed({
      track,
      sourceName: source.name,
      onFailure: (recordingFailure) => this.#update({ recordingFailure }),
    });
    const publisher = new SfuPublisher({
      track,
      readAccess: (isRefused) => ask('readSfuAccess', { isRefused }),
      onChanged: (live) => this.#update({ live }),
    });
    this.#share = { capture, feed, publisher };
    this.#change({
      kind: 'sharing',
      source,
      startedAtMs: Date.now(),
      preview,
      live: { kind: 'connecting' },
      recordingFailure: null,
    });
    feed.setWatched(this.#isWatched);
    feed.start();
    publisher.start();
  }

  async #end({ capture, feed, publisher }: Share): Promise<void> {
    if (this.#state.kind === 'sharing') this.#change({ ...this.#state, kind: 'stopping' });
    // Nobody is to see the screen any more, however long the disk takes for the last slice.
    publisher.close();
    await feed.stop();
    capture.close();
    this.#share = undefined;
    await ask('endSharing', {}).catch(() => undefined);
    this.#change({ kind: 'idle', error: null });
  }

  #update(change: { live?: LivePath; recordingFailure?: CodedError | null }): void {
    if (this.#state.kind === 'sharing' || this.#state.kind === 'stopping') {
      this.#change({ ...this.#state, ...change });
    }
  }

  #change(state: SessionState): void {
    this.#state = state;
    this.#onChanged(state);
  }
}
