/**
 * The recordings of this device: the one that is being shared, which the renderer feeds, the one that can be resumed
 * after the app died, and those that still have to leave. One share is one recording, whatever happens to the recorder
 * and to the page (rule U2).
 */
import { CodedError, createId, type EpochEndReason, type EpochStart, type Id } from '@proofcast/shared';
import type { Logger } from 'pino';
import type { RecordingPath, Resumable, UploadItem } from '../ipc.ts';
import { isRecordingReplaceable } from '../refusals.ts';
import { CaptureWatch } from './capture-watch.ts';
import type { ChunkSpool } from './chunk-spool.ts';
import { InterruptedRecording } from './interrupted-recording.ts';
import type { RecordedSource } from './recording-file.ts';
import type { SpooledRecording } from './spooled-recording.ts';
import { describeUpload } from './upload-item.ts';
import type { UploadQueue } from './upload-queue.ts';

interface Options {
  readonly spool: ChunkSpool;
  readonly queue: UploadQueue;
  readonly stallAfterMs: number;
  readonly resumeWindowMs: number;
  /** Whether the recording was made under the enrolment that the device has now. */
  readonly isOurs: (recording: SpooledRecording) => boolean;
  readonly log: Logger;
  readonly onChanged: () => void;
}

/** What the page has captured, and in which epoch. */
export interface Slice {
  readonly epoch: number;
  readonly bytes: Uint8Array;
  readonly captureTimeUs: number;
}

export class Recordings {
  readonly #options: Options;
  /** The running recording, or the last one of this run. */
  #current: SpooledRecording | undefined;
  #interrupted: InterruptedRecording | undefined;
  #watch: CaptureWatch | undefined;
  /** The device sleeps since then, or just woke up, and the epoch that was open is still to be ended. */
  #suspendedAtUs: number | undefined;
  #isLocked = false;

  /** Begins to upload what earlier runs have left in the spool. */
  constructor(options: Options) {
    this.#options = options;
    const { spool, queue } = options;
    for (const recording of spool.recordings) queue.add(recording);
    this.#offerResumption(spool.recordings.filter(({ isInterrupted }) => isInterrupted));
  }

  /**
   * The recording that the running share feeds. It is begun when there is none, or when the relay takes no more of the
   * one there was, or will soon take no more. Throws `SPOOL_FULL` or `SPOOL_FAILED`, and why the relay takes nothing of
   * this device.
   */
  async openCurrent(
    publisher: { streamId: Id; deviceId: Id; serverUrl: string },
    source: RecordedSource,
  ): Promise<Id> {
    const { spool, queue } = this.#options;
    const current = this.#current;
    if (current?.isCapturing) {
      if (current.refusal && !isRecordingReplaceable(current.refusal.code)) throw current.refusal;
      await spool.space.checkRoom();
      if (!current.refusal && !current.isNearlyFull) return current.start.recordingId;
    }
    // Whoever shares something else has declined to go on with what was interrupted.
    this.declineResumption();
    await this.endCurrent();
    const recordingId = createId('recording');
    const startedAtUs = Date.now() * 1000;
    this.#current = await spool.create({ recordingId, ...publisher, startedAtUs }, source);
    queue.add(this.#current);
    queue.putFirst(recordingId);
    return recordingId;
  }

  /** The next share goes on with the interrupted recording. Throws `RECORDING_NOT_FOUND` when it cannot. */
  async resume(recordingId: Id): Promise<void> {
    const recording = this.#interrupted?.recording;
    if (recording?.start.recordingId !== recordingId || !recording.isInterrupted) {
      throw new CodedError('RECORDING_NOT_FOUND', 'That share cannot be resumed any more.');
    }
    this.#interrupted?.close();
    this.#interrupted = undefined;
    await this.endCurrent();
    recording.resume();
    this.#current = recording;
    this.#options.queue.putFirst(recordingId);
    this.#options.log.info({ recordingId }, 'an interrupted recording goes on');
  }

  /** Finishes the interrupted recording, if there is one. */
  declineResumption(): void {
    const interrupted = this.#interrupted;
    this.#interrupted = undefined;
    interrupted?.close();
    if (interrupted) this.#finish(interrupted.recording);
  }

  /** Resolves with the number of the epoch, which what belongs to it must name. */
  async beginEpoch(recordingId: Id, start: EpochStart): Promise<number> {
    const recording = this.#running(recordingId);
    this.#closeWatch();
    this.#suspendedAtUs = undefined;
    const epoch = await recording.beginEpoch(start);
    if (this.#isLocked) this.#note('screen-locked');
    // The page that began it may have died meanwhile.
    if (!recording.isEpochOpen) return epoch;
    const { stallAfterMs, onChanged } = this.#options;
    this.#watch = new CaptureWatch(recording, stallAfterMs, onChanged);
    return epoch;
  }

  /**
   * Resolves with whether the recording is nearly full: the next epoch should begin soon, in another one. Throws as
   * `SpooledRecording.appendMedia` does, and `MESSAGE_UNEXPECTED` for a slice of another epoch than the current one.
   */
  async appendMedia(recordingId: Id, { epoch, bytes, captureTimeUs }: Slice): Promise<boolean> {
    const recording = this.#running(recordingId);
    if (epoch !== recording.epoch) {
      throw new CodedError(
        'MESSAGE_UNEXPECTED',
        `Cannot add to epoch ${epoch} of ${recordingId}: epoch ${recording.epoch} has begun.`,
      );
    }
    this.#watch?.onMedia();
    // What is handed over after the sleep was captured before it.
    await recording.appendMedia(bytes, Math.min(captureTimeUs, this.#suspendedAtUs ?? captureTimeUs));
    return recording.isNearlyFull;
  }

  /** Why an epoch has ended, by the word of the page; one that another has followed has. Throws `SPOOL_FULL` or `SPOOL_FAILED`. */
  async endEpoch(
    recordingId: Id,
    { epoch, reason }: { epoch: number; reason: EpochEndReason },
  ): Promise<void> {
    const recording = this.#running(recordingId);
    if (epoch !== recording.epoch) return;
    this.#closeWatch();
    await recording.endEpoch(reason, reason === 'suspended' ? this.#suspendedAtUs : undefined);
  }

  /** The device goes to sleep; the page is told to end the epoch, which may be possible only when it wakes up. */
  onSuspend(): void {
    if (!this.#current?.isEpochOpen) return;
    this.#closeWatch();
    this.#suspendedAtUs ??= Date.now() * 1000;
  }

  /**
   * The device is awake. Whether the page is to end its epoch now, because nobody could say that the device would sleep:
   * some systems leave no time for that. They also say twice that it is awake.
   */
  onResume(): boolean {
    const recording = this.#current;
    if (this.#suspendedAtUs !== undefined || !recording?.isEpochOpen) return false;
    const lastUs = recording.lastCaptureTimeUs;
    if (Date.now() * 1000 - lastUs < this.#options.stallAfterMs * 1000) return false;
    this.#closeWatch();
    this.#suspendedAtUs = lastUs;
    return true;
  }

  /** Whether the person looks at the lock screen. It is recorded with what is being captured. */
  setLocked(isLocked: boolean): void {
    if (isLocked === this.#isLocked) return;
    this.#isLocked = isLocked;
    this.#note(isLocked ? 'screen-locked' : 'screen-unlocked');
  }

  /** The page that fed the running recording is gone; another one will go on with it. Never rejects. */
  async onPageGone(): Promise<void> {
    this.#closeWatch();
    const recordingId = this.#current?.start.recordingId;
    await this.#current?.endEpoch('page-crashed').catch((error: unknown) => {
      this.#options.log.error({ err: error, recordingId }, 'the end of an epoch cannot be written');
    });
  }

  /** Ends the running recording, if any: nothing is shared any more. Uploading goes on. Idempotent. */
  async endCurrent(): Promise<void> {
    this.#closeWatch();
    await this.#current?.finish();
  }

  /** Deletes a recording that the relay does not take. Throws as `UploadQueue.discard` does. */
  async discard(recordingId: Id): Promise<void> {
    const isCurrent = this.#current?.start.recordingId === recordingId;
    if (isCurrent && this.#current?.isCapturing) {
      throw new CodedError('MESSAGE_UNEXPECTED', 'Stop sharing before you discard its recording.');
    }
    await this.#options.queue.discard(recordingId);
    if (isCurrent) this.#current = undefined;
    this.#options.onChanged();
  }

  /** Bytes of recordings of this enrolment that only this disk has. */
  get backlogBytes(): number {
    return this.#options.queue.uploads
      .filter(({ recording }) => this.#options.isOurs(recording))
      .reduce((sum, { recording }) => sum + recording.backlogBytes, 0);
  }

  sendStill(jpeg: Uint8Array, captureTimeUs: number): void {
    const recordingId = this.#current?.start.recordingId;
    if (recordingId) this.#options.queue.sendStill(recordingId, { jpeg, captureTimeUs });
  }

  /** Lets go of what waits; nothing is finished by that. */
  close(): void {
    this.#closeWatch();
    this.#interrupted?.close();
  }

  /** Whether the last recording is complete at the relay, or never will be. */
  get isCurrentSettled(): boolean {
    const { kind } = this.path;
    return kind === 'idle' || kind === 'finished' || kind === 'failed';
  }

  get path(): RecordingPath {
    const recording = this.#current;
    if (!recording) return { kind: 'idle' };
    const { recordingId } = recording.start;
    const { backlogBytes, durableBytes } = recording;
    const progress = { recordingId, backlogBytes, durableBytes };
    const state = this.#options.queue.stateOf(recordingId);
    switch (state.kind) {
      case 'reconnecting':
      case 'failed':
        return { ...state, ...progress, reason: state.reason.toBody() };
      case 'waiting':
      case 'parked':
        return { kind: 'connecting', ...progress };
      case 'connecting':
      case 'uploading':
      case 'finishing':
      case 'finished':
        return { ...state, ...progress };
    }
  }

  get viewerCount(): number {
    return this.#current ? this.#options.queue.viewerCountOf(this.#current.start.recordingId) : 0;
  }

  get stillsIntervalMs(): number | null {
    return this.#current ? this.#options.queue.stillsIntervalOf(this.#current.start.recordingId) : null;
  }

  get stalledSinceMs(): number | null {
    return this.#watch?.stalledSinceMs ?? null;
  }

  get resumable(): Resumable | null {
    const interrupted = this.#interrupted;
    if (!interrupted?.recording.isInterrupted || !this.#options.isOurs(interrupted.recording)) return null;
    const { start, source, lastCaptureTimeUs } = interrupted.recording;
    const { recordingId } = start;
    const interruptedAtMs = Math.floor(lastCaptureTimeUs / 1000);
    return { recordingId, source, interruptedAtMs, untilMs: interrupted.untilMs };
  }

  /** All but the one that `path` tells of; that one too when all that can be done is to discard it. */
  get uploads(): UploadItem[] {
    return this.#options.queue.uploads
      .filter(({ recording, state }) => {
        return recording !== this.#current || (state.kind === 'failed' && !recording.isCapturing);
      })
      .map((upload) => describeUpload(upload));
  }

  /** The newest one can be resumed; a person cannot go on with two. */
  #offerResumption(interrupted: readonly SpooledRecording[]): void {
    const newest = interrupted.at(-1);
    for (const recording of interrupted) if (recording !== newest) this.#finish(recording);
    if (!newest) return;
    const { resumeWindowMs, log } = this.#options;
    const { recordingId } = newest.start;
    log.warn({ recordingId }, 'the app did not end in order while it shared; the share can be resumed');
    this.#interrupted = new InterruptedRecording(newest, resumeWindowMs, () => this.declineResumption());
  }

  #finish(recording: SpooledRecording): void {
    const { log, onChanged } = this.#options;
    const { recordingId } = recording.start;
    recording
      .finish()
      .catch((error: unknown) => log.error({ err: error, recordingId }, 'a recording cannot be finished'))
      .finally(onChanged);
  }

  /** A spool that takes no events takes no media either, and whoever appends that is told. */
  #note(type: 'screen-locked' | 'screen-unlocked'): void {
    if (!this.#current?.isEpochOpen) return;
    this.#current.appendEvent({ type, data: {} }).catch(() => undefined);
  }

  #closeWatch(): void {
    this.#watch?.close();
    this.#watch = undefined;
  }

  #running(recordingId: Id): SpooledRecording {
    if (this.#current?.start.recordingId === recordingId) return this.#current;
    throw new CodedError(
      'RECORDING_NOT_FOUND',
      `Cannot add to ${recordingId}: it is not the running recording.`,
    );
  }
}
