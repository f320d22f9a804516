/**
 * Sharing from start to stop: one capture at a time, two paths that know nothing of each other. Neither path's failure
 * ends the share or hurts the other path, and a source that goes away or is changed does not end it either.
 */
import { CodedError, toCodedError, type Id } from '@proofcast/shared';
import type { SharedSource, ShareState, SoundSource } from '../ipc.ts';
import { startCapture, type Capture, type CapturedTracks } from './capture.ts';
import { LAST_SLICES_TIMEOUT_MS, SOURCE_GONE_STOP_MS } from './config.ts';
import { ask } from './main-process.ts';
import { RecordingFeed, type FeedEndReason } from './recording-feed.ts';
import { SfuPublisher, type LivePath } from './sfu-publisher.ts';
import { StillCamera } from './still-camera.ts';

export type SessionState =
  /** `error`: why the last attempt to share has failed. */
  | { readonly kind: 'idle'; readonly error: CodedError | null }
  /** `isContinued`: another page has begun the share. */
  | { readonly kind: 'starting'; readonly source: SharedSource; readonly isContinued: boolean }
  | RunningSession;

export interface RunningSession {
  readonly kind: 'sharing' | 'stopping';
  readonly source: SharedSource;
  readonly startedAtMs: number;
  /** Null while nothing is captured. */
  readonly preview: MediaStream | null;
  /** Why nothing is captured at the moment; the person decides what comes next. */
  readonly captureFailure: CodedError | null;
  /** Why the source could not be changed; the one before is still captured. */
  readonly changeFailure: CodedError | null;
  readonly live: LivePath;
  /** Why nothing is recorded at the moment, as far as this process knows. */
  readonly recordingFailure: CodedError | null;
  readonly sound: SharedSound | null;
  /** When the page died that had begun the share; null when that is this one. */
  readonly interruptedAtMs: number | null;
}

/** The sound that is shared with the picture. */
export interface SharedSound {
  readonly name: string;
  /** Why there is only silence at the moment. */
  readonly failure: CodedError | null;
  /** 0 to 1, as loud as it is now. */
  readonly readLevel: () => number;
}

/** What hangs on one captured source. */
interface Take {
  readonly capture: Capture;
  readonly feed: RecordingFeed;
  readonly camera: StillCamera;
}

export class PublishSession {
  readonly #onChanged: (state: SessionState) => void;
  #state: SessionState = { kind: 'idle', error: null };
  #take: Take | undefined;
  #publisher: SfuPublisher | undefined;
  #starting: Promise<void> = Promise.resolve();
  /** Stopped while it was starting. */
  #isAborted = false;
  /** The last slices of a source that is captured no more are on their way. */
  #winding: Promise<void> = Promise.resolve();
  /** Counts the choices of a source, and the ends of shares: what was chosen before is of no interest any more. */
  #choices = 0;
  #stopping: Promise<void> | undefined;
  #deadline: number | undefined;
  #soundFailure: CodedError | null = null;
  #isWatched = false;
  #stillsIntervalMs: number | null = null;

  constructor(onChanged: (state: SessionState) => void) {
    this.#onChanged = onChanged;
  }

  /**
   * Captures `source` and starts both paths; `resumes` is the recording to go on with. Never rejects; the state says
   * what came of it.
   */
  start(source: SharedSource, resumes?: Id): Promise<void> {
    const arm = () => ask('beginSharing', resumes === undefined ? { source } : { source, resumes });
    return this.#attempt(source, { arm, interruptedAtMs: null }, (error, isArmed) =>
      // A recording that was resumed is not ended because its source is not to be had at the moment.
      isArmed && resumes !== undefined
        ? this.#wait(source, { captureFailure: error, interruptedAtMs: null })
        : this.#giveUp(error),
    );
  }

  /** Goes on with what the page before this one has shared. Never rejects. */
  async continue(share: Extract<ShareState, { kind: 'interrupted' | 'lost' }>): Promise<void> {
    const { source, startedAtMs } = share;
    if (share.kind === 'lost') {
      const captureFailure = sourceGone(source);
      return this.#wait(source, { captureFailure, interruptedAtMs: null, startedAtMs });
    }
    const interruptedAtMs = share.sinceMs;
    const arm = () => ask('continueSharing', {});
    await this.#attempt(source, { arm, interruptedAtMs, startedAtMs }, (captureFailure) =>
      this.#wait(source, { captureFailure, interruptedAtMs, startedAtMs }),
    );
  }

  /**
   * Captures another source, or the same one again, in the same share. Of several choices that overtake one another the
   * last one counts, and what was captured for the others is released unseen. Never rejects.
   */
  async changeSource(source: SharedSource): Promise<void> {
    const state = this.#state;
    if (state.kind !== 'sharing') return;
    this.#choices += 1;
    const choice = this.#choices;
    const isOvertaken = () => choice !== this.#choices;
    this.#update({ changeFailure: null });
    try {
      await ask('beginSharing', { source });
      if (isOvertaken()) return;
      const capture = await this.#capture(source);
      if (isOvertaken()) return capture.close();
      if (this.#take) this.#endTake(this.#take, 'source-changed');
      // The last slices of one source must not get among those of the next one.
      await this.#winding;
      if (isOvertaken()) return capture.close();
      if (capture.tracks.picture.readyState === 'live') return this.#beginTake(source, capture, state);
      capture.close();
      throw sourceGone(source);
    } catch (error) {
      if (!isOvertaken()) await this.#onChangeFailed(toCodedError(error));
    }
  }

  /** Stops in order: the live path, the recorder to its last slice, then the capture. Never rejects. */
  stop(): Promise<void> {
    if (this.#state.kind === 'idle') return Promise.resolve();
    if (this.#state.kind === 'starting') {
      this.#isAborted = true;
      return this.#starting;
    }
    this.#stopping ??= this.#end().finally(() => {
      this.#stopping = undefined;
    });
    return this.#stopping;
  }

  /** Whether somebody watches through the relay. */
  setWatched(isWatched: boolean): void {
    this.#isWatched = isWatched;
    this.#take?.feed.setWatched(isWatched);
  }

  /** How often the relay wants a still picture; null: none. */
  setStills(intervalMs: number | null): void {
    this.#stillsIntervalMs = intervalMs;
    this.#take?.camera.setInterval(intervalMs);
  }

  /** There is room on this disk again, or the device is awake. */
  recordNow(): void {
    this.#take?.feed.retryNow();
  }

  /** The device goes to sleep. */
  suspend(): void {
    this.#take?.feed.suspend();
  }

  #attempt(
    source: SharedSource,
    { arm, ...begun }: { arm: () => Promise<unknown>; interruptedAtMs: number | null; startedAtMs?: number },
    onFailed: (error: CodedError, isArmed: boolean) => void | Promise<void>,
  ): Promise<void> {
    if (this.#state.kind !== 'idle') return this.#starting;
    this.#change({ kind: 'starting', source, isContinued: begun.interruptedAtMs !== null });
    this.#isAborted = false;
    this.#starting = (async () => {
      let isArmed = false;
      try {
        await arm();
        isArmed = true;
        const capture = await this.#capture(source);
        if (!this.#isAborted) return this.#beginTake(source, capture, begun);
        capture.close();
        await this.#giveUp(null);
      } catch (error) {
        await (this.#isAborted ? this.#giveUp(null) : onFailed(toCodedError(error), isArmed));
      }
    })();
    return this.#starting;
  }

  async #giveUp(error: CodedError | null): Promise<void> {
    const ended = ask('endSharing', {}).catch(() => undefined);
    const isEnded = await resolvesWithin(LAST_SLICES_TIMEOUT_MS, ended);
    this.#change({ kind: 'idle', error: isEnded ? error : diskSilent() });
  }

  async #onChangeFailed(failure: CodedError): Promise<void> {
    if (this.#state.kind !== 'sharing') return;
    const { source, interruptedAtMs, startedAtMs } = this.#state;
    if (!this.#take) return this.#wait(source, { captureFailure: failure, interruptedAtMs, startedAtMs });
    await ask('beginSharing', { source }).catch(() => undefined);
    this.#update({ changeFailure: failure });
  }

  #capture({ sound }: SharedSource): Promise<Capture> {
    this.#soundFailure = null;
    return startCapture({
      soundSource: sound,
      onEnded: (capture) => this.#onCaptureEnded(capture),
      onSoundFailure: (failure) => this.#onSoundFailure(sound, failure),
    });
  }

  #onSoundFailure(sound: SoundSource | undefined, failure: CodedError | null): void {
    this.#soundFailure = failure;
    const shared =
      this.#state.kind === 'sharing' || this.#state.kind === 'stopping' ? this.#state.sound : null;
    if (shared && shared.name === sound?.name) this.#update({ sound: { ...shared, failure } });
  }

  #beginTake(
    source: SharedSource,
    capture: Capture,
    {
      startedAtMs = Date.now(),
      interruptedAtMs,
    }: Partial<RunningSession> & Pick<RunningSession, 'interruptedAtMs'>,
  ): void {
    const { tracks, preview } = capture;
    const feed = new RecordingFeed({
      tracks,
      source,
      onFailure: (recordingFailure) => this.#update({ recordingFailure }),
    });
    const camera = new StillCamera(tracks.picture, (bytes, captureTimeUs) =>
      ask('sendStill', { bytes, captureTimeUs }),
    );
    this.#take = { capture, feed, camera };
    window.clearTimeout(this.#deadline);
    this.#change({
      kind: 'sharing',
      source,
      startedAtMs,
      preview,
      captureFailure: null,
      changeFailure: null,
      live: this.#publisher?.path ?? { kind: 'connecting' },
      recordingFailure: null,
      sound: this.#describeSound(source, capture),
      interruptedAtMs,
    });
    feed.setWatched(this.#isWatched);
    camera.setInterval(this.#stillsIntervalMs);
    feed.start();
    if (this.#publisher) this.#publisher.replaceTracks(tracks);
    else this.#publish(tracks);
  }

  #describeSound({ sound }: SharedSource, capture: Capture): SharedSound | null {
    if (!sound) return null;
    const readLevel = () => capture.sound?.readLevel() ?? 0;
    return { name: sound.name, failure: this.#soundFailure, readLevel };
  }

  #publish(tracks: CapturedTracks): void {
    this.#publisher = new SfuPublisher({
      tracks,
      readAccess: (isRefused) => ask('readSfuAccess', { isRefused }),
      onChanged: (live) => this.#update({ live }),
    });
    this.#publisher.start();
  }

  /** The source is gone, or the system has ended the capture. */
  #onCaptureEnded(capture: Capture): void {
    if (this.#take?.capture !== capture || this.#state.kind !== 'sharing') return;
    const { source, interruptedAtMs, startedAtMs } = this.#state;
    this.#endTake(this.#take, 'source-ended');
    this.#wait(source, { captureFailure: sourceGone(source), interruptedAtMs, startedAtMs });
  }

  /** A share without a source: the recording stays open until the person decides, or too much time has passed. */
  #wait(
    source: SharedSource,
    waiting: Pick<RunningSession, 'captureFailure' | 'interruptedAtMs'> & { startedAtMs?: number },
  ): void {
    this.#publisher?.close();
    this.#publisher = undefined;
    this.#change({
      kind: 'sharing',
      source,
      startedAtMs: Date.now(),
      preview: null,
      changeFailure: null,
      live: { kind: 'idle' },
      recordingFailure: null,
      sound: null,
      ...waiting,
    });
    window.clearTimeout(this.#deadline);
    this.#deadline = window.setTimeout(() => void this.stop(), SOURCE_GONE_STOP_MS);
  }

  async #end(): Promise<void> {
    if (this.#state.kind === 'sharing') this.#change({ ...this.#state, kind: 'stopping' });
    this.#choices += 1;
    window.clearTimeout(this.#deadline);
    // Nobody is to see the screen any more, however long the disk takes for the last slice.
    this.#publisher?.close();
    this.#publisher = undefined;
    // Nor may a main process that is busy keep the screen captured; what is asked of it arrives in this order.
    void ask('announceStop', {}).catch(() => undefined);
    if (this.#take) this.#endTake(this.#take, 'stopped');
    await this.#winding;
    await this.#giveUp(null);
  }

  /** The recorder to its last slice, then the capture; `#winding` resolves when that is done, or has taken too long. */
  #endTake({ feed, camera, capture }: Take, reason: FeedEndReason): void {
    this.#take = undefined;
    camera.close();
    const stopped = feed.stop(reason);
    this.#winding = this.#winding
      .then(() => resolvesWithin(LAST_SLICES_TIMEOUT_MS, stopped))
      .then(() => capture.close());
  }

  #update(change: Partial<Omit<RunningSession, 'kind'>>): void {
    if (this.#state.kind === 'sharing' || this.#state.kind === 'stopping') {
      this.#change({ ...this.#state, ...change });
    }
  }

  #change(state: SessionState): void {
    this.#state = state;
    this.#onChanged(state);
  }
}

function sourceGone({ name }: SharedSource): CodedError {
  return new CodedError('MEDIA_UNSUPPORTED', `“${name}” can no longer be captured. It may have been closed.`);
}

function diskSilent(): CodedError {
  return new CodedError(
    'SPOOL_FAILED',
    'The disk of this machine does not answer. Sharing has stopped; its last seconds may be missing.',
  );
}

/** Whether `promise`, which does not reject, has resolved within `timeoutMs`. */
async function resolvesWithin(timeoutMs: number, promise: Promise<unknown>): Promise<boolean> {
  const late = Promise.withResolvers<boolean>();
  const timer = window.setTimeout(() => late.resolve(false), timeoutMs);
  try {
    return await Promise.race([promise.then(() => true), late.promise]);
  } finally {
    window.clearTimeout(timer);
  }
}
