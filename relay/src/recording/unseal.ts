/**
 * The journal of a sealed recording again, because its publisher came back after all: the chunks exactly as they were
 * received, from the media files and the manifest. Leaves to the journal's import that nothing half-made is taken for it.
 */
import { CodedError, encodeStartRecord, type Id, type RebuildResult } from '@proofcast/shared';
import type { JournalChunk } from '../journal/journal.ts';
import type { RecordingIdentity } from '../journal/journal-start.ts';
import type { JournalStore } from '../journal/store.ts';
import { nodeSha256 } from '../node-sha256.ts';
import { SealedFiles } from './sealed-files.ts';

/**
 * Imports the journal of a recording that has none, and says how many chunks it has. The files stay. Throws
 * `RECORDING_DAMAGED` when a chunk is not what it was, `MANIFEST_INVALID` also when the manifest is of another recording,
 * `STORAGE_FAILED`, and the reason of `signal`; there is no journal then.
 */
export async function unseal(options: {
  identity: RecordingIdentity;
  manifestPath: string;
  store: JournalStore;
  signal: AbortSignal;
}): Promise<{ chunkCount: number }> {
  const { identity, manifestPath, store, signal } = options;
  const files = await SealedFiles.open(manifestPath);
  try {
    const { recording, chunkCount } = files.manifest.head;
    checkIdentity(recording, identity);
    if (await store.has(identity.recordingId)) {
      // What was acknowledged since the recording was sealed would be lost.
      throw new Error(`Cannot unseal ${identity.recordingId}: it has a journal.`);
    }
    const chain = nodeSha256.hash(encodeStartRecord(identity));
    await store.import({ identity, chain, chunks: intactChunks(files, signal) }).catch((cause: unknown) => {
      signal.throwIfAborted();
      if (cause instanceof CodedError) throw cause;
      throw new CodedError(
        'STORAGE_FAILED',
        'Cannot write a journal again; the log of the relay tells more.',
        {
          cause,
        },
      );
    });
    return { chunkCount };
  } finally {
    await files.close();
  }
}

function checkIdentity(actual: RecordingIdentity, expected: RecordingIdentity): void {
  const { recordingId } = expected;
  const isSame =
    actual.recordingId === recordingId &&
    actual.companyId === expected.companyId &&
    actual.streamId === expected.streamId &&
    actual.deviceId === expected.deviceId &&
    actual.startedAtUs === expected.startedAtUs;
  if (isSame) return;
  throw new CodedError('MANIFEST_INVALID', `The manifest is not one of the recording ${recordingId}.`);
}

/** Throws before the first chunk that is not what it was; and at the end, before which nobody can know the chain. */
async function* intactChunks(files: SealedFiles, signal: AbortSignal): AsyncGenerator<JournalChunk> {
  const { recordingId } = files.manifest.head.recording;
  const chunks = files.chunks(signal);
  let next = await chunks.next();
  for (; next.done !== true; next = await chunks.next()) {
    const { isIntact, sha256: _sha256, ...chunk } = next.value;
    if (!isIntact) throw damaged(recordingId, `chunk ${chunk.sequence} is not what was received`);
    yield chunk;
  }
  checkChain(next.value, recordingId);
}

/** What the relay has put around the chunks may differ: the journal does not have it. */
function checkChain(result: RebuildResult, recordingId: Id): void {
  if (result.kind === 'chain') throw damaged(recordingId, 'its chunks do not end in its last chain value');
}

function damaged(recordingId: Id, because: string): CodedError {
  return new CodedError('RECORDING_DAMAGED', `Cannot open ${recordingId} again: ${because}.`, {
    details: { recordingId },
  });
}
