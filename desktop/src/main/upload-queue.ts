/**
 * Which recording is uploaded when. The one that is being shared, or was shared last, has its own connection all the
 * time. Of the others one is uploaded beside it, the oldest first, and sends only while the first has nothing to send
 * (rule U5), so that nobody watches late because of what was recorded earlier.
 */
import { CodedError, type ErrorCode, type Id } from '@proofcast/shared';
import type { Logger } from 'pino';
import type { Backlog } from './backlog-report.ts';
import { ChunkUploader, type IngestAccess, type UploadState } from './chunk-uploader.ts';
import type { UploadLimits } from './config.ts';
import type { Pace } from './ingest-connection.ts';
import type { SpooledRecording } from './spooled-recording.ts';

export type QueuedUploadState = UploadState | { readonly kind: 'waiting' };
type Outcome = Extract<UploadState, { kind: 'finished' | 'failed' }>;

export interface QueuedUpload {
  readonly recording: SpooledRecording;
  readonly state: QueuedUploadState;
}

/** The relay refuses what is new to it with these, and takes the rest of what it knows. */
const NO_ROOM: readonly ErrorCode[] = ['STORAGE_FULL', 'STORAGE_FAILED', 'LIMIT_REACHED'];

interface Entry {
  readonly recording: SpooledRecording;
  uploader: ChunkUploader | undefined;
  /** Set when the uploader is through. */
  outcome: Outcome | undefined;
}

interface Options {
  readonly limits: UploadLimits;
  readonly log: Logger;
  /** Null when this device may not upload the recording, because it belongs to another enrolment. */
  readonly accessFor: (recording: SpooledRecording) => IngestAccess | null;
  /** It is not needed here any more; resolves when this disk has forgotten it. */
  readonly remove: (recording: SpooledRecording) => Promise<void>;
  readonly onChanged: () => void;
}

export class UploadQueue {
  readonly #options: Options;
  readonly #entries = new Map<Id, Entry>();
  #first: Entry | undefined;
  #isClosed = false;

  constructor(options: Options) {
    this.#options = options;
  }

  /** All that was added and not discarded, the oldest first; of those that are through only the newest. */
  get uploads(): QueuedUpload[] {
    return this.#inOrder.map((entry) => ({ recording: entry.recording, state: stateOf(entry) }));
  }

  add(recording: SpooledRecording): void {
    this.#entries.set(recording.start.recordingId, { recording, uploader: undefined, outcome: undefined });
    this.#forgetOldest();
    this.#advance();
  }

  /** This recording comes before all others from now on: it is being shared. */
  putFirst(recordingId: Id): void {
    this.#first = this.#entries.get(recordingId);
    this.#advance();
  }

  stateOf(recordingId: Id): QueuedUploadState {
    const entry = this.#entries.get(recordingId);
    return entry ? stateOf(entry) : { kind: 'waiting' };
  }

  viewerCountOf(recordingId: Id): number {
    return this.#entries.get(recordingId)?.uploader?.viewerCount ?? 0;
  }

  stillsIntervalOf(recordingId: Id): number | null {
    return this.#entries.get(recordingId)?.uploader?.stillsIntervalMs ?? null;
  }

  sendStill(recordingId: Id, { jpeg, captureTimeUs }: { jpeg: Uint8Array; captureTimeUs: number }): void {
    this.#entries.get(recordingId)?.uploader?.sendStill(jpeg, captureTimeUs);
  }

  /**
   * Deletes a recording that the relay does not take. Throws `MESSAGE_UNEXPECTED` for any other, because what the relay
   * may still take is evidence.
   */
  async discard(recordingId: Id): Promise<void> {
    const entry = this.#entries.get(recordingId);
    if (entry?.outcome?.kind !== 'failed') {
      throw new CodedError(
        'MESSAGE_UNEXPECTED',
        `Cannot discard ${recordingId}: the server has not refused it.`,
      );
    }
    const { log, remove, onChanged } = this.#options;
    const { code } = entry.outcome.reason;
    log.warn({ recordingId, code, bytes: entry.recording.backlogBytes }, 'a refused recording is discarded');
    await remove(entry.recording);
    this.#entries.delete(recordingId);
    onChanged();
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

  get #inOrder(): Entry[] {
    return [...this.#entries.values()].toSorted(
      (a, b) => a.recording.start.startedAtUs - b.recording.start.startedAtUs,
    );
  }

  /** The oldest of the others that has something to do and can do it. */
  get #second(): Entry | undefined {
    return this.#inOrder.find((entry) => entry !== this.#first && !entry.outcome && !isAside(entry));
  }

  /** Lets the two whose turn it is upload, and no other. */
  #advance(): void {
    if (this.#isClosed) return;
    const second = this.#second;
    for (const entry of this.#entries.values()) {
      if (entry === this.#first || entry === second || isAside(entry)) continue;
      entry.uploader?.close();
      entry.uploader = undefined;
    }
    for (const entry of [this.#first, second]) {
      if (entry && !entry.outcome && !entry.uploader) this.#begin(entry);
    }
    second?.uploader?.pump();
  }

  #begin(entry: Entry): void {
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
      pace: () => this.#paceOf(entry),
      backlog: () => this.#backlogOf(entry),
      log,
      onChanged: () => this.#onUploaderChanged(entry),
    });
    entry.uploader.start();
  }

  /** Beside the first one, one chunk at a time, so that its next chunk waits behind no more than that. */
  #paceOf(entry: Entry): Pace {
    const first = this.#first;
    if (entry === first || !first?.uploader) return 'window';
    if (first.uploader.isBusy) return 'none';
    return first.recording.isCapturing ? 'single' : 'window';
  }

  /** Those who wait for their turn are told by the one that is before them, so that the sum is what waits here. */
  #backlogOf(entry: Entry): Backlog {
    const isFirst = entry === this.#first;
    const told = isFirst ? [entry] : this.#inOrder.filter((other) => other !== this.#first && !other.outcome);
    return {
      bytes: told.reduce((sum, { recording }) => sum + recording.backlogBytes, 0),
      chunks: told.reduce((sum, { recording: r }) => sum + r.appendedCount - r.durableCount, 0),
    };
  }

  #onUploaderChanged(entry: Entry): void {
    const state = entry.uploader?.state;
    if (state?.kind === 'finished' || state?.kind === 'failed') return this.#end(entry, state);
    this.#options.onChanged();
    this.#advance();
  }

  #end(entry: Entry, outcome: Outcome): void {
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
    this.#forgetOldest();
    onChanged();
    this.#advance();
  }

  #forgetOldest(): void {
    const done = this.#inOrder.filter(({ outcome }) => outcome?.kind === 'finished');
    const surplus = done.length - this.#options.limits.maxDoneShown;
    for (const entry of done.slice(0, Math.max(0, surplus))) {
      if (entry !== this.#first) this.#entries.delete(entry.recording.start.recordingId);
    }
  }
}

/** Nothing is to be sent of it for now, or the relay has no room for it: the others need not wait. */
function isAside({ uploader }: Entry): boolean {
  const state = uploader?.state;
  return state?.kind === 'parked' || (state?.kind === 'reconnecting' && NO_ROOM.includes(state.reason.code));
}

function stateOf(entry: Entry): QueuedUploadState {
  return entry.outcome ?? entry.uploader?.state ?? { kind: 'waiting' };
}
