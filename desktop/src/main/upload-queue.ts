/**
 * Which recording is uploaded when: one after the other, the oldest first, because a stream has one connection to the
 * relay at a time (protocol rule I12) and what is oldest has waited longest.
 */
import { CodedError, type Id } from '@proofcast/shared';
import type { Logger } from 'pino';
import { ChunkUploader, type IngestAccess, type UploadState } from './chunk-uploader.ts';
import type { UploadLimits } from './config.ts';
import type { SpooledRecording } from './spooled-recording.ts';

export type QueuedUploadState = UploadState | { readonly kind: 'waiting' };

interface Entry {
  readonly recording: SpooledRecording;
  uploader: ChunkUploader | undefined;
  /** Set when the uploader is through. */
  outcome: Extract<UploadState, { kind: 'finished' | 'failed' }> | undefined;
}

export class UploadQueue {
  readonly #options: {
    limits: UploadLimits;
    log: Logger;
    /** Null when this device may not upload the recording, because it belongs to another enrolment. */
    accessFor: (recording: SpooledRecording) => IngestAccess | null;
    /** Everything is at the relay; resolves when this disk has forgotten it. */
    remove: (recording: SpooledRecording) => Promise<void>;
    onChanged: () => void;
  };
  readonly #entries = new Map<Id, Entry>();
  #isClosed = false;

  constructor(options: {
    limits: UploadLimits;
    log: Logger;
    accessFor: (recording: SpooledRecording) => IngestAccess | null;
    remove: (recording: SpooledRecording) => Promise<void>;
    onChanged: () => void;
  }) {
    this.#options = options;
  }

  add(recording: SpooledRecording): void {
    for (const [id, { outcome }] of this.#entries) if (outcome?.kind === 'finished') this.#entries.delete(id);
    this.#entries.set(recording.start.recordingId, { recording, uploader: undefined, outcome: undefined });
    this.#advance();
  }

  stateOf(recordingId: Id): QueuedUploadState {
    const entry = this.#entries.get(recordingId);
    return entry?.outcome ?? entry?.uploader?.state ?? { kind: 'waiting' };
  }

  viewerCountOf(recordingId: Id): number {
    return this.#entries.get(recordingId)?.uploader?.viewerCount ?? 0;
  }

  /** Gives up everything that is under way and failed, and begins anew: the device has another enrolment now. */
  restart(): void {
    for (const entry of this.#entries.values()) {
      entry.uploader?.close();
      entry.uploader = undefined;
      if (entry.outcome?.kind === 'failed') entry.outcome = undefined;
    }
    this.#advance();
  }

  close(): void {
    this.#isClosed = true;
    for (const { uploader } of this.#entries.values()) uploader?.close();
  }

  /** Begins the oldest upload that is not through, unless it has begun. */
  #advance(): void {
    if (this.#isClosed) return;
    const entry = [...this.#entries.values()].find(({ outcome }) => !outcome);
    if (!entry || entry.uploader) return;
    const { accessFor, limits, log } = this.#options;
    const access = accessFor(entry.recording);
    if (!access) {
      const reason = new CodedError(
        'FORBIDDEN',
        'The recording belongs to another enrolment of this device.',
      );
      return this.#end(entry, { kind: 'failed', reason });
    }
    entry.uploader = new ChunkUploader({
      recording: entry.recording,
      access,
      limits,
      log,
      onChanged: () => this.#onUploaderChanged(entry),
    });
    entry.uploader.start();
  }

  #onUploaderChanged(entry: Entry): void {
    const state = entry.uploader?.state;
    if (state?.kind === 'finished' || state?.kind === 'failed') this.#end(entry, state);
    else this.#options.onChanged();
  }

  #end(entry: Entry, outcome: Extract<UploadState, { kind: 'finished' | 'failed' }>): void {
    const { log, remove, onChanged } = this.#options;
    const { recordingId } = entry.recording.start;
    entry.outcome = outcome;
    entry.uploader = undefined;
    if (outcome.kind === 'finished') {
      log.info({ recordingId, chunkCount: outcome.chunkCount }, 'recording uploaded');
      remove(entry.recording).catch((error: unknown) => {
        // It is found after the next start; the relay says then that it has everything.
        log.error({ err: error, recordingId }, 'an uploaded recording cannot be deleted from the spool');
      });
    }
    onChanged();
    this.#advance();
  }
}
