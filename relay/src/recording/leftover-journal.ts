/**
 * A journal that lies beside the files that were made of it: the relay died, or the disk refused, before it was removed.
 * It goes only when nothing but the files is needed; what the database says of them is not enough.
 */
import { join } from 'node:path';
import { CodedError, toCodedError } from '@proofcast/shared';
import type { RecordingRow } from '../database/schema.ts';
import { JournalDamagedError } from '../journal/journal-reader.ts';
import type { JournalStore } from '../journal/store.ts';
import { SealedFiles } from './sealed-files.ts';

export interface LeftoverOptions {
  readonly store: JournalStore;
  readonly recordingsDir: string;
  readonly signal: AbortSignal;
}

/**
 * Why the journal of a recording that was merged must stay; null when the files hold all of it, read back and compared.
 * Throws when the journal cannot be read at all, and the reason of `signal`.
 */
export async function whyJournalIsNeeded(
  row: RecordingRow,
  { store, recordingsDir, signal }: LeftoverOptions,
): Promise<CodedError | null> {
  const { recording_id: recordingId, chunk_count: mergedCount } = row;
  const journalCount = await countChunks(store, recordingId, signal);
  if (journalCount > (mergedCount ?? 0)) {
    return damaged(row, `its journal has ${journalCount} chunks, its files hold ${mergedCount ?? 0}`);
  }
  if (row.manifest_path === null) return damaged(row, 'its files have no manifest');
  try {
    return await whyFilesAreNotEnough(row, join(recordingsDir, row.manifest_path), signal);
  } catch (error) {
    signal.throwIfAborted();
    return toCodedError(error);
  }
}

async function whyFilesAreNotEnough(
  row: RecordingRow,
  manifestPath: string,
  signal: AbortSignal,
): Promise<CodedError | null> {
  const files = await SealedFiles.open(manifestPath);
  try {
    const { recording, chunkCount } = files.manifest.head;
    if (recording.recordingId !== row.recording_id || chunkCount !== row.chunk_count) {
      return damaged(row, `its manifest is of ${chunkCount} chunks of ${recording.recordingId}`);
    }
    const chunks = files.chunks(signal);
    let next = await chunks.next();
    while (next.done !== true) next = await chunks.next();
    const { kind } = next.value;
    return kind === 'intact' ? null : damaged(row, `its files are not what its manifest says (${kind})`);
  } finally {
    await files.close();
  }
}

/** The chunks that can be read, up to the first damage. */
async function countChunks(store: JournalStore, recordingId: string, signal: AbortSignal): Promise<number> {
  let count = 0;
  try {
    const reader = await store.read(recordingId);
    if (reader === null) return 0;
    try {
      for await (const { record } of reader.records()) {
        signal.throwIfAborted();
        if (record.kind !== 'end') count = record.sequence + 1;
      }
    } finally {
      await reader.close();
    }
  } catch (error) {
    if (!(error instanceof JournalDamagedError)) throw error;
  }
  return count;
}

function damaged({ recording_id: recordingId }: RecordingRow, because: string): CodedError {
  return new CodedError('RECORDING_DAMAGED', `The journal of ${recordingId} is kept: ${because}.`, {
    details: { recordingId },
  });
}
