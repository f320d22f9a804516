/** Everything that is asked of recordings as things that exist: which there are, what they are like, their files. */
import { readdir, rm, stat } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import {
  CodedError,
  type Derivative,
  type Id,
  type Recording,
  type RecordingDetails,
  type RecordingPart,
  type RouteQuery,
} from '@proofcast/shared';
import type { RecordingRow } from './database/schema.ts';
import type { JournalStore } from './journal/store.ts';
import type { LiveStateOf, RecordingCatalogue } from './recording/catalogue.ts';
import type { OpenRecording } from './recording/open-recording.ts';
import type { OpenRecordings } from './recording/open-recordings.ts';
import { syncFolder } from './recording/durable-file.ts';
import { recordingPaths, type RecordingPaths } from './recording/paths.ts';
import type { SealingQueue } from './recording/sealing.ts';
import { summarize } from './recording/summary.ts';
import type { RecordingFile } from './retention/recording-file.ts';

export interface RecordingLibraryOptions {
  readonly catalogue: RecordingCatalogue;
  readonly recordings: OpenRecordings;
  readonly store: JournalStore;
  readonly sealing: SealingQueue;
  readonly journalsDir: string;
  readonly recordingsDir: string;
  readonly liveStateOf: LiveStateOf;
  /** See `ResumedRecordings.whenRead`. */
  readonly whenRead: (recordingId: Id) => Promise<void>;
  readonly derivativesOf: (recordingId: Id) => Promise<Derivative[]>;
  /** Ends the work on derived files of a recording that is about to be removed; resolves when nothing writes any more. */
  readonly onRemoving: (recordingId: Id) => Promise<void>;
}

export class RecordingLibrary {
  readonly #options: RecordingLibraryOptions;

  constructor(options: RecordingLibraryOptions) {
    this.#options = options;
  }

  /** Newest first. */
  list(companyId: Id, query: RouteQuery<'recordings'>): Promise<Recording[]> {
    return this.#options.catalogue.list(companyId, query, this.#options.liveStateOf);
  }

  /** Throws `RECORDING_NOT_FOUND`, also for recordings of other companies. */
  async get(companyId: Id, recordingId: Id): Promise<RecordingDetails> {
    const { catalogue, recordings, liveStateOf, derivativesOf } = this.#options;
    const recording = await catalogue.get(companyId, recordingId, liveStateOf);
    const derivatives = await derivativesOf(recordingId);
    const open = recordings.get(recordingId);
    if (open !== null) return { ...recording, derivatives, ...detailsOf(open) };
    const [row, details, parts] = await Promise.all([
      catalogue.getRow(companyId, recordingId),
      catalogue.details(recordingId),
      catalogue.parts(recordingId),
    ]);
    return {
      ...recording,
      derivatives,
      chunkCount: row.chunk_count ?? 0,
      parts: parts.map(({ part, started_at_ms, duration_ms, media_bytes }) => ({
        part,
        startedAtMs: started_at_ms,
        durationMs: duration_ms,
        sizeBytes: media_bytes,
      })),
      gaps: [...(details?.gaps ?? [])],
      events: [...(details?.events ?? [])],
      eventCount: details?.eventCount ?? 0,
    };
  }

  /** All files of a recording; empty when there are none. */
  async files(recordingId: Id): Promise<RecordingFile[]> {
    const { catalogue, recordingsDir } = this.#options;
    const row = await catalogue.find(recordingId);
    const journals = await this.#journalFiles(recordingId);
    if (row === null) return journals;
    const parts = await catalogue.parts(recordingId);
    const files: RecordingFile[] = [];
    for (const { name, path } of await this.#mergedFiles(pathsOf(row))) {
      const sizeBytes = await sizeOf(path);
      // A derivative that is being made comes and goes.
      if (sizeBytes === null) continue;
      const part = parts.find(({ media_path }) => join(recordingsDir, media_path) === path);
      files.push({ kind: kindOf(name), path, sizeBytes, sha256: part?.sha256 ?? null });
    }
    return [...files, ...journals];
  }

  /**
   * Removes a recording that is not being made, with all its files, after `writeTombstone` has resolved; when that
   * throws, nothing was removed. Meanwhile nobody can go on with it. Throws `RECORDING_NOT_FOUND`, also for recordings
   * of other companies, and `RECORDING_NOT_READY`.
   */
  async delete(
    { companyId, recordingId }: { companyId: Id; recordingId: Id },
    writeTombstone: (files: readonly RecordingFile[]) => Promise<void>,
  ): Promise<void> {
    const { catalogue, recordings, sealing, whenRead } = this.#options;
    await catalogue.getRow(companyId, recordingId);
    await whenRead(recordingId);
    const release = recordings.claim(recordingId);
    try {
      const { state } = await catalogue.getRow(companyId, recordingId);
      if (state === 'recording') {
        throw new CodedError('RECORDING_NOT_READY', 'Cannot delete a recording that is being made.', {
          details: { state },
        });
      }
      const putBack = await sealing.withdraw(recordingId);
      try {
        await writeTombstone(await this.files(recordingId));
      } catch (error) {
        putBack?.();
        throw error;
      }
      await this.#remove(recordingId);
    } finally {
      release();
    }
  }

  /** Removes what is left of a recording that has its tombstone. */
  async finishDeletion(recordingId: Id): Promise<void> {
    const { recordings, sealing } = this.#options;
    const release = recordings.claim(recordingId);
    try {
      await sealing.withdraw(recordingId);
      await this.#remove(recordingId);
    } finally {
      release();
    }
  }

  /** The row goes last: it says where the files are. */
  async #remove(recordingId: Id): Promise<void> {
    const { catalogue, recordings, store, onRemoving } = this.#options;
    await onRemoving(recordingId);
    const open = recordings.get(recordingId);
    if (open !== null) {
      recordings.remove(open);
      await open.close();
    }
    await store.remove(recordingId);
    const row = await catalogue.find(recordingId);
    if (row === null) return;
    const files = await this.#mergedFiles(pathsOf(row));
    for (const { path } of files) await rm(path, { force: true });
    // What is deleted does not come back with a power cut.
    for (const folder of new Set(files.map(({ path }) => dirname(path)))) await syncFolder(folder);
    await catalogue.remove(recordingId);
  }

  async #journalFiles(recordingId: Id): Promise<RecordingFile[]> {
    const files = await this.#options.store.files(recordingId);
    return files.map(({ name, sizeBytes }) => ({
      kind: 'journal',
      path: join(this.#options.journalsDir, name),
      sizeBytes,
      sha256: null,
    }));
  }

  /** What was made of the recording, unfinished files included. */
  async #mergedFiles({ folder, namePrefix }: RecordingPaths): Promise<{ name: string; path: string }[]> {
    const path = join(this.#options.recordingsDir, folder);
    const names = await readdir(path).catch((error: unknown) => {
      if (isMissing(error)) return [];
      throw error;
    });
    return names
      .filter((name) => name.startsWith(namePrefix))
      .map((name) => ({ name, path: join(path, name) }));
  }
}

function detailsOf(
  open: OpenRecording,
): Pick<RecordingDetails, 'chunkCount' | 'parts' | 'gaps' | 'events' | 'eventCount'> {
  const { chunkCount, parts, gaps, events, eventCount } = summarize(open);
  return {
    chunkCount,
    parts: parts.map(({ part, startsAtUs, durationMs }): RecordingPart => ({
      part,
      startedAtMs: Math.round(startsAtUs / 1000),
      durationMs: Math.round(durationMs),
      sizeBytes: open.rope(part, chunkCount).sizeBytes,
    })),
    gaps: [...gaps],
    events: [...events],
    eventCount,
  };
}

/** Null when there is no such file any more. */
async function sizeOf(path: string): Promise<number | null> {
  try {
    return (await stat(path)).size;
  } catch (error) {
    if (isMissing(error)) return null;
    throw error;
  }
}

function isMissing(error: unknown): boolean {
  return error instanceof Error && 'code' in error && error.code === 'ENOENT';
}

/** By what stands behind the recording's id; see `recordingPaths`. */
function kindOf(name: string): RecordingFile['kind'] {
  const [, ...rest] = name.split('.');
  const suffix = rest.join('.');
  if (suffix === 'manifest.json') return 'manifest';
  return /^(?:[0-9]+\.)?webm$/.test(suffix) ? 'media' : 'derivative';
}

function pathsOf(row: RecordingRow): RecordingPaths {
  return recordingPaths({
    companyId: row.company_id,
    deviceId: row.device_id,
    recordingId: row.recording_id,
    startedAtUs: row.started_at_us,
  });
}
