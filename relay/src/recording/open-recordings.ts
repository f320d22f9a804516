/** All recordings that live in their journals, live or ended, so that whoever has an id finds what can be read of it. */
import { CodedError, type Id } from '@proofcast/shared';
import {
  EndedRecordings,
  type EndedRecording,
  type EndedRecordingsOptions,
  type HeldRecording,
} from './ended-recordings.ts';
import type { OpenRecording } from './open-recording.ts';

export class OpenRecordings {
  readonly #live = new Map<Id, OpenRecording>();
  readonly #ended: EndedRecordings;
  readonly #claimed = new Set<Id>();

  constructor(options: EndedRecordingsOptions) {
    this.#ended = new EndedRecordings(options);
  }

  /**
   * The recording with its files open, until it is released; null when it does not live in a journal, or that is still
   * to be read. Throws `STORAGE_FAILED` when its journal cannot be opened again, and `SHUTTING_DOWN`.
   */
  async hold(recordingId: Id): Promise<HeldRecording | null> {
    const recording = this.#live.get(recordingId);
    if (recording !== undefined) return { recording, release: recording.hold() };
    return this.#ended.hold(recordingId);
  }

  /** What is known of one that has ended, open or not. */
  ended(recordingId: Id): EndedRecording | null {
    return this.#ended.get(recordingId);
  }

  /**
   * Keeps others from changing what the recording is (gone on with, deleted) until the returned function is called; that
   * is idempotent. Throws `RECORDING_NOT_READY` when somebody else is at it.
   */
  claim(recordingId: Id): () => void {
    if (this.#claimed.has(recordingId)) {
      throw new CodedError(
        'RECORDING_NOT_READY',
        `The recording ${recordingId} is being changed; try again.`,
      );
    }
    this.#claimed.add(recordingId);
    return () => this.#claimed.delete(recordingId);
  }

  /** One that is being made; it takes the place of what was there under the same id. Who adds it closes it. */
  addLive(recording: OpenRecording): void {
    const { recordingId } = recording.identity;
    this.#live.set(recordingId, recording);
    // Whoever goes on with one that had ended has it open.
    void this.#ended.remove(recordingId);
  }

  /** One whose journal has its end. It may be closed, and opened again, from now on. */
  addEnded(recording: OpenRecording): EndedRecording {
    const ended = this.#ended.add(recording);
    this.#live.delete(recording.identity.recordingId);
    return ended;
  }

  /** Nobody finds this one any more. Nothing happens when another one has taken its place. */
  removeLive(recording: OpenRecording): void {
    const { recordingId } = recording.identity;
    if (this.#live.get(recordingId) === recording) this.#live.delete(recordingId);
  }

  /** Nobody finds it any more. It is left to the caller when it is open; resolves when nobody opens it. */
  removeEnded(recordingId: Id): Promise<OpenRecording | null> {
    return this.#ended.remove(recordingId);
  }

  /** Closes those that have ended; the others are closed by who added them. Idempotent. */
  close(): Promise<void> {
    return this.#ended.close();
  }
}
