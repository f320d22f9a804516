/** All recordings whose journals are open, live or ended, so that whoever has an id finds what can be read of it. */
import { CodedError, type Id } from '@proofcast/shared';
import type { OpenRecording } from './open-recording.ts';

export class OpenRecordings {
  readonly #recordings = new Map<Id, OpenRecording>();
  readonly #claimed = new Set<Id>();

  get(recordingId: Id): OpenRecording | null {
    return this.#recordings.get(recordingId) ?? null;
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

  /** Takes the place of what was there under the same id. */
  add(recording: OpenRecording): void {
    this.#recordings.set(recording.identity.recordingId, recording);
  }

  /** Nothing happens when another one has taken its place. */
  remove(recording: OpenRecording): void {
    const { recordingId } = recording.identity;
    if (this.#recordings.get(recordingId) === recording) this.#recordings.delete(recordingId);
  }
}
