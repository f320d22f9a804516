/** Finds the bytes of a recording, wherever it is by now: in its journal, or in the files that were made of it. */
import { join } from 'node:path';
import { CodedError, type Id } from '@proofcast/shared';
import type { RecordingRow } from '../database/schema.ts';
import type { RecordingCatalogue } from './catalogue.ts';
import { openFileBytes, type ServedBytes } from './file-bytes.ts';
import type { OpenRecording } from './open-recording.ts';
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

export class RecordingPlayback {
  readonly #options: PlaybackOptions;

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
    // First the open ones: whatever is no longer among them has its files noted before.
    const recording = recordings.get(recordingId);
    if (recording !== null) return fromJournal(recording, request);
    const row = await catalogue.getRow(companyId, recordingId);
    if (row.media_path === null) throw notReady(row);
    return { kind: 'bytes', bytes: await this.#fromFile(row, request) };
  }

  /** The manifest. Throws `RECORDING_NOT_FOUND`, also for recordings of other companies, and `RECORDING_NOT_READY`. */
  async openManifest(companyId: Id, recordingId: Id): Promise<ServedBytes> {
    const row = await this.#options.catalogue.getRow(companyId, recordingId);
    if (row.manifest_path === null) throw notReady(row);
    return openFileBytes({
      path: join(this.#options.recordingsDir, row.manifest_path),
      etag: `"manifest-${recordingId}-${row.sealed_at_ms}"`,
      sizeBytes: null,
    });
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
      throw new CodedError('NOT_FOUND', `The recording has no part ${part}.`);
    }
    const path = join(this.#options.recordingsDir, file.media_path);
    return openFileBytes({ path, etag: file.etag, sizeBytes: file.media_bytes });
  }
}

function fromJournal(recording: OpenRecording, { part, chunkCount }: MediaRequest): MediaAnswer {
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
  return { kind: 'bytes', bytes: { sizeBytes, etag, read, close: recording.hold() } };
}

function notReady({ state }: RecordingRow): CodedError {
  return new CodedError('RECORDING_NOT_READY', `Cannot serve this of a recording that is ${state}.`, {
    details: { state },
  });
}
