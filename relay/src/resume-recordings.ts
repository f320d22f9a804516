/**
 * What the relay does at its start with what an earlier run left: brings journals and database into agreement, waits
 * for the publishers of unfinished recordings, and seals the finished ones. The journals are right where the two differ.
 */
import type { Logger } from 'pino';
import { CodedError, toCodedError, type Id } from '@proofcast/shared';
import type { JournalStore } from './journal/store.ts';
import type { LiveStreams } from './live-streams.ts';
import type { MediaClock } from './media-clock.ts';
import type { RecoveredJournal, RecordingOpener } from './recording-opener.ts';
import type { RecordingCatalogue } from './recording/catalogue.ts';
import type { SealingQueue } from './recording/sealing.ts';
import type { StreamDirectory } from './stream-directory.ts';

export interface ResumeOptions {
  readonly store: JournalStore;
  readonly catalogue: RecordingCatalogue;
  readonly directory: StreamDirectory;
  readonly opener: RecordingOpener;
  readonly streams: LiveStreams;
  readonly sealing: SealingQueue;
  readonly clock: MediaClock;
  readonly log: Logger;
}

/** One recording that cannot be resumed does not keep the others from it. */
export async function resumeRecordings(options: ResumeOptions): Promise<void> {
  const { store, catalogue, log } = options;
  const recordingIds = await store.recordingIds();
  for (const recordingId of recordingIds) {
    try {
      await resume(recordingId, options);
    } catch (error) {
      log.error({ recordingId, err: error }, 'cannot resume a recording; its journal is kept');
      await catalogue.markFailed(recordingId, toCodedError(error));
    }
  }
  const missing = new CodedError('STORAGE_FAILED', 'The journal of the recording is missing.');
  for (const recordingId of await catalogue.idsInState('recording', 'reconnecting', 'sealing')) {
    if (recordingIds.includes(recordingId)) continue;
    log.error({ recordingId }, 'the journal of a recording is missing');
    await catalogue.markFailed(recordingId, missing);
  }
}

async function resume(recordingId: Id, options: ResumeOptions): Promise<void> {
  const { store, catalogue, sealing } = options;
  const row = await catalogue.find(recordingId);
  switch (row?.state) {
    case 'sealed':
      // The relay died between noting that and removing the journal.
      return store.remove(recordingId);
    case 'failed':
      // Trying again makes no picture where there is none.
      if (row.failure_code === 'RECORDING_EMPTY') return;
      return sealing.take(recordingId, row.chunk_count);
    case 'sealing':
      return sealing.take(recordingId, row.chunk_count);
    case 'recording':
    case 'reconnecting':
    case undefined:
      return resumeUnfinished(recordingId, { ...options, isInDatabase: row !== null });
  }
}

async function resumeUnfinished(
  recordingId: Id,
  options: ResumeOptions & { isInDatabase: boolean },
): Promise<void> {
  const { catalogue, directory, opener, streams, sealing, log, isInDatabase } = options;
  const recovered = await opener.recover(recordingId);
  if (recovered === null) {
    // It was being begun; no publisher was told of it.
    if (isInDatabase) await catalogue.remove(recordingId);
    return;
  }
  const { identity, chunkCount } = recovered;
  const stream = await directory.find(identity.streamId);
  if (!isInDatabase) await insertOrClose(recovered, options);
  log.info({ recordingId, chunkCount, isEnded: recovered.isEnded }, 'recovered a recording');
  if (!recovered.isEnded && stream !== null) return streams.adopt(recovered);
  await recovered.close();
  sealing.take(recordingId, chunkCount);
}

/** The database lost the row, or never got it; the journal knows enough to make it again. */
async function insertOrClose(
  recovered: RecoveredJournal,
  { catalogue, clock }: ResumeOptions,
): Promise<void> {
  try {
    await catalogue.insert(recovered.identity, clock.nowMs());
  } catch (error) {
    await recovered.close();
    throw error;
  }
}
