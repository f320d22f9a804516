/** Finds the bytes of a recording, wherever it is by now: in its journal, or in the files that were made of it. */
import { basename, join } from 'node:path';
import { CodedError, type Id } from '@proofcast/shared';
import type { RecordingRow } from '../database/schema.ts';
import type { RecordingCatalogue } from './catalogue.ts';
import type { HeldRecording } from './ended-recordings.ts';
import { openFileBytes, type ServedBytes } from './file-bytes.ts';
import type { OpenRecordings } from './open-recordings.ts';
import { ropeEtag } from './rope.ts';

export interface PlaybackOptions {
  readonly catalogue: RecordingCatalogue;
  readonly recordings: OpenRecordings;
  readonly recordingsDir: string;
  /** See `ResumedRecordings.whenRead`. */
  readonly whenRead: (recordingId: Id) => Promise<void>;
}

export interface MediaRequest {
  readonly companyId: Id;
  readonly recordingId: Id;
  readonly part: number;
  /** Of how many chunks the part is to be made; null: of all there are. */
  readonly chunkCount: number | null;
}

/** `pinned`: there is no file yet; ask again for what is made of so many chunks, which stays the same. */
export type MediaAnswer =
  | { readonly kind: 'pinned'; readonly chunkCount: number }
  | { readonly kind: 'bytes'; readonly bytes: ServedBytes };

/** A file for who downloads it. */
export interface ServedFile {
  readonly bytes: ServedBytes;
  /** Made of the recording's id and its start. */
  readonly fileName: string;
}

export class RecordingPlayback {
  readonly #options: PlaybackOptions;
  /** What is being read of files, for `cutOff`. */
  readonly #served = new Map<Id, Set<ServedBytes>>();

  constructor(options: PlaybackOptions) {
    this.#options = options;
  }

  /**
   * Throws `RECORDING_NOT_FOUND`, also for recordings of other companies; `RECORDING_NOT_READY`, `RECORDING_EMPTY` or
   * `NOT_FOUND` when there is no such part; `SNAPSHOT_GONE`; and `STORAGE_FAILED`. The caller closes the bytes.
   */
  async open(request: MediaRequest): Promise<MediaAnswer> {
    const { catalogue, recordings, whenRead } = this.#options;
    const { companyId, recordingId } = request;
    await catalogue.getRow(companyId, recordingId);
    await whenRead(recordingId);
    // First the journals: whatever lives in none has its files noted before.
    const held = await recordings.hold(recordingId);
    if (held !== null) return fromJournal(held, request);
    const row = await catalogue.getRow(companyId, recordingId);
    if (row.media_path === null) throw notReady(row);
    return { kind: 'bytes', bytes: await this.#fromFile(row, request) };
  }

  /** The manifest. Throws `RECORDING_NOT_FOUND`, also for recordings of other companies, and `RECORDING_NOT_READY`. */
  async openManifest(companyId: Id, recordingId: Id): Promise<ServedFile> {
    const row = await this.#options.catalogue.getRow(companyId, recordingId);
    if (row.manifest_path === null) throw notReady(row);
    const bytes = await this.#openStillMerged(row, {
      path: join(this.#options.recordingsDir, row.manifest_path),
      etag: `"manifest-${recordingId}-${row.sealed_at_ms}"`,
      sizeBytes: null,
    });
    return { bytes, fileName: basename(row.manifest_path) };
  }

  /** Ends the reading of the files of a recording that is being deleted: it fails. */
  cutOff(recordingId: Id): void {
    for (const bytes of this.#served.get(recordingId) ?? []) bytes.close();
  }

  async #fromFile(row: RecordingRow, { part, chunkCount }: MediaRequest): Promise<ServedBytes> {
    const { recording_id: recordingId, chunk_count: sealedCount } = row;
    if (chunkCount !== null && sealedCount !== null && chunkCount !== sealedCount) {
      throw new CodedError('SNAPSHOT_GONE', `The recording now has ${sealedCount} chunks; load it again.`, {
        details: { chunkCount: sealedCount },
      });
    }
    const parts = await this.#options.catalogue.parts(recordingId);
    // Recordings from before there were parts have one file.
    const first = {
      media_path: row.media_path ?? '',
      media_bytes: row.media_bytes,
      etag: ropeEtag(recordingId, { part: 0, chunkCount: sealedCount ?? 0 }),
    };
    const file = parts.length === 0 && part === 0 ? first : parts[part];
    if (file === undefined) {
      await this.#checkStillMerged(row);
      throw new CodedError('NOT_FOUND', `The recording has no part ${part}.`);
    }
    const path = join(this.#options.recordingsDir, file.media_path);
    return this.#openStillMerged(row, { path, etag: file.etag, sizeBytes: file.media_bytes });
  }

  /** A file that is what `row` says. What goes on meanwhile has other files in the same place, sooner or later. */
  async #openStillMerged(
    row: RecordingRow,
    file: { path: string; etag: string; sizeBytes: number | null },
  ): Promise<ServedBytes> {
    let bytes: ServedBytes;
    try {
      // Before it is looked whether that was right: what is deleted in between is cut off, or not found.
      bytes = this.#track(row.recording_id, await openFileBytes(file));
    } catch (error) {
      await this.#checkStillMerged(row);
      throw error;
    }
    try {
      await this.#checkStillMerged(row);
    } catch (error) {
      bytes.close();
      throw error;
    }
    return bytes;
  }

  /** Throws `RECORDING_NOT_READY` when the recording has gone on since, and `RECORDING_NOT_FOUND` when it is deleted. */
  async #checkStillMerged(row: RecordingRow): Promise<void> {
    const { company_id: companyId, recording_id: recordingId } = row;
    const now = await this.#options.catalogue.getRow(companyId, recordingId);
    const isSame = now.media_path === row.media_path && now.sealed_at_ms === row.sealed_at_ms;
    if (isSame && now.chunk_count === row.chunk_count) return;
    throw new CodedError('RECORDING_NOT_READY', 'The recording has just gone on; ask again.', {
      details: { state: now.state },
    });
  }

  #track(recordingId: Id, bytes: ServedBytes): ServedBytes {
    const served = this.#served.get(recordingId) ?? new Set();
    this.#served.set(recordingId, served);
    const tracked: ServedBytes = {
      ...bytes,
      close: () => {
        bytes.close();
        served.delete(tracked);
        if (served.size === 0 && this.#served.get(recordingId) === served) this.#served.delete(recordingId);
      },
    };
    served.add(tracked);
    return tracked;
  }
}

function fromJournal(held: HeldRecording, request: MediaRequest): MediaAnswer {
  try {
    const answer = answerOf(held, request);
    if (answer.kind === 'pinned') held.release();
    return answer;
  } catch (error) {
    held.release();
    throw error;
  }
}

function answerOf({ recording, release }: HeldRecording, { part, chunkCount }: MediaRequest): MediaAnswer {
  const { snapshotCount } = recording;
  if (chunkCount === null) {
    // Throws when there is no such part.
    recording.rope(part, snapshotCount);
    return { kind: 'pinned', chunkCount: snapshotCount };
  }
  if (chunkCount > snapshotCount) {
    throw new CodedError('RECORDING_NOT_READY', `The recording has ${snapshotCount} chunks so far.`, {
      details: { chunkCount: snapshotCount },
    });
  }
  const rope = recording.rope(part, chunkCount);
  const { sizeBytes, etag } = rope;
  const read: ServedBytes['read'] = (start, end) => rope.read(start, end);
  return { kind: 'bytes', bytes: { sizeBytes, etag, read, close: release } };
}

function notReady({ state }: RecordingRow): CodedError {
  return new CodedError('RECORDING_NOT_READY', `Cannot serve this of a recording that is ${state}.`, {
    details: { state },
  });
}
