/** Everything that is asked of recordings as things that exist: which there are, what they are like, their files. */
import { rm } from 'node:fs/promises';
import { dirname } from 'node:path';
import {
  CodedError,
  type Derivative,
  type Id,
  type Recording,
  type RecordingDetails,
  type RecordingPart,
  type RouteQuery,
} from '@proofcast/shared';
import type { LiveStateOf } from './recording/catalogue.ts';
import type { OpenRecording } from './recording/open-recording.ts';
import type { OpenRecordings } from './recording/open-recordings.ts';
import { syncFolder } from './recording/durable-file.ts';
import { RecordingInventory, type RecordingFilesOptions } from './recording/recording-files.ts';
import type { SealingQueue } from './recording/sealing.ts';
import { summarize } from './recording/summary.ts';
import type { RecordingFile } from './retention/recording-file.ts';

export interface RecordingLibraryOptions extends RecordingFilesOptions {
  readonly recordings: OpenRecordings;
  readonly sealing: SealingQueue;
  readonly liveStateOf: LiveStateOf;
  /** See `ResumedRecordings.whenRead`. */
  readonly whenRead: (recordingId: Id) => Promise<void>;
  readonly derivativesOf: (recordingId: Id) => Promise<Derivative[]>;
  /** Ends all reading and writing of the files of a recording that is about to be removed. */
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
    const held = await recordings.hold(recordingId);
    if (held !== null) {
      try {
        return { ...recording, derivatives, ...detailsOf(held.recording) };
      } finally {
        held.release();
      }
    }
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

  /** To look at the files of one recording, or of many. */
  inventory(): Promise<RecordingInventory> {
    return RecordingInventory.open(this.#options);
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
        await writeTombstone(await (await this.inventory()).filesOf(recordingId));
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

  /** What the disk refuses keeps nothing else of it. The row goes last: it says where the files are. */
  async #remove(recordingId: Id): Promise<void> {
    const { catalogue, recordings, store, onRemoving } = this.#options;
    // Before anything that the disk may refuse: nobody goes on reading what is deleted.
    const open = await recordings.removeEnded(recordingId);
    await open?.close();
    const failures: unknown[] = [];
    const attempt = (work: Promise<void>): Promise<unknown> =>
      work.catch((error: unknown) => failures.push(error));
    await attempt(onRemoving(recordingId));
    await attempt(store.remove(recordingId));
    const row = await catalogue.find(recordingId);
    if (row !== null) {
      const files = await (await this.inventory()).mergedFiles(row);
      for (const { path } of files) await attempt(rm(path, { force: true }));
      // What is deleted does not come back with a power cut.
      for (const folder of new Set(files.map(({ path }) => dirname(path)))) await attempt(syncFolder(folder));
    }
    if (failures.length > 0) throw new AggregateError(failures, `Cannot remove all files of ${recordingId}.`);
    await catalogue.remove(recordingId);
  }
}

function detailsOf(
  open: OpenRecording,
): Pick<RecordingDetails, 'chunkCount' | 'parts' | 'gaps' | 'events' | 'eventCount'> {
  const { chunkCount, parts, gaps, events, eventCount } = summarize(open);
  const sizes = open.sizes(chunkCount);
  return {
    chunkCount,
    parts: parts.map(({ part, startsAtUs, durationMs }): RecordingPart => ({
      part,
      startedAtMs: Math.round(startsAtUs / 1000),
      durationMs: Math.round(durationMs),
      sizeBytes: sizes[part] ?? 0,
    })),
    gaps: [...gaps],
    events: [...events],
    eventCount,
  };
}
