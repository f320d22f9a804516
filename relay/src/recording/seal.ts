/**
 * Writes the files of a recording that has ended, one webm for each part and the manifest beside them, and believes them
 * only after all of it was read back. Each step may be the last one before a crash: what it leaves is overwritten by
 * the next attempt, and the journal is not touched.
 */
import { basename, join } from 'node:path';
import { CodedError, encodeHex, type ManifestPart } from '@proofcast/shared';
import type { Ffprobe } from '../derivatives/ffprobe.ts';
import type { DiskSpace } from '../journal/disk-space.ts';
import type { JournalStore } from '../journal/store.ts';
import { isForGood, type MergedFacts, type MergedPart } from './catalogue.ts';
import { makeDurableFolder, removeByPrefix } from './durable-file.ts';
import { writeManifestFile } from './manifest-file.ts';
import type { Ending, OpenRecording } from './open-recording.ts';
import { recordingPaths, type RecordingPaths } from './paths.ts';
import type { Rope } from './rope.ts';
import { writeRopeFile } from './rope-file.ts';
import type { RecordingSummary } from './summary.ts';
import { verifyFile } from './verify-file.ts';

export interface SealOptions {
  readonly store: JournalStore;
  readonly disk: DiskSpace;
  readonly ffprobe: Ffprobe;
  readonly recordingsDir: string;
}

/**
 * Throws `RECORDING_EMPTY` without a picture; `STORAGE_FULL`, `STORAGE_FAILED` and `DERIVATIVE_FAILED` when the files
 * cannot be made or are not what the journal holds; and the reason of `signal`.
 */
export async function sealRecording(
  recording: OpenRecording,
  options: SealOptions & {
    readonly ending: Ending;
    readonly summary: RecordingSummary;
    readonly nowMs: number;
    readonly signal: AbortSignal;
  },
): Promise<MergedFacts> {
  const { summary, recordingsDir, disk } = options;
  const { chunkCount, parts } = summary;
  if (parts.length === 0) {
    throw new CodedError('RECORDING_EMPTY', 'No picture arrived before the recording ended.');
  }
  const ropes = parts.map(({ part }) => recording.rope(part, chunkCount));
  await disk.checkRoomFor(ropes.reduce((sum, rope) => sum + rope.sizeBytes, 0));
  const paths = recordingPaths(recording.identity);
  const folder = join(recordingsDir, paths.folder);
  await makeDurableFolder(recordingsDir, folder);
  // What an earlier attempt left when the relay died in the middle of it.
  await removeByPrefix(folder, paths.temporaryPrefix);
  try {
    return await makeFiles(recording, { ...options, ropes, paths });
  } finally {
    await removeByPrefix(folder, paths.temporaryPrefix);
  }
}

async function makeFiles(
  recording: OpenRecording,
  options: Parameters<typeof sealRecording>[1] & {
    readonly ropes: readonly Rope[];
    readonly paths: RecordingPaths;
  },
): Promise<MergedFacts> {
  const { recordingsDir, paths, ropes, signal, ending, summary, store, ffprobe } = options;
  const { identity, index } = recording;
  const folder = join(recordingsDir, paths.folder);
  const temporaryPath = join(folder, paths.temporaryPrefix);
  const merged: MergedPart[] = [];
  for (const rope of ropes) {
    const mediaPath = paths.media(rope.plan.part);
    const path = join(recordingsDir, mediaPath);
    const { sizeBytes, sha256 } = await writeRopeFile({ rope, temporaryPath, path, signal });
    merged.push({
      mediaPath,
      mediaBytes: sizeBytes,
      sha256: encodeHex(sha256),
      etag: rope.etag,
      startedAtMs: Math.round(rope.plan.startsAtUs / 1000),
      durationMs: Math.round(rope.durationMs),
    });
  }
  const manifestPath = join(recordingsDir, paths.manifest);
  const reader = await store.read(identity.recordingId);
  if (reader === null) throw new CodedError('STORAGE_FAILED', 'The journal of the recording is missing.');
  try {
    await writeManifestFile({
      path: manifestPath,
      temporaryPath,
      head: {
        recording: identity,
        endReason: ending.reason,
        isComplete: isForGood(ending.reason),
        chunkCount: summary.chunkCount,
        lastChain: encodeHex(index.chain),
        sealedAtMs: options.nowMs,
        parts: ropes.map((rope, part) => manifestPart(rope, merged[part])),
        gaps: [...summary.gaps],
      },
      ropes,
      reader,
      signal,
    });
  } finally {
    await reader.close();
  }
  await checkFiles({ manifestPath, signal });
  for (const rope of ropes) {
    const name = basename(paths.media(rope.plan.part));
    await checkPackets(recording, { rope, folder, name, ffprobe, signal });
  }
  const journalBytes = (await store.files(identity.recordingId)).reduce(
    (sum, file) => sum + file.sizeBytes,
    0,
  );
  return { endReason: ending.reason, parts: merged, manifestPath: paths.manifest, journalBytes };
}

function manifestPart({ plan, durationMs }: Rope, part: MergedPart | undefined): ManifestPart {
  if (part === undefined) throw new Error(`Part ${plan.part} was not written.`);
  return {
    file: basename(part.mediaPath),
    sizeBytes: part.mediaBytes,
    sha256: part.sha256,
    startsAtUs: plan.startsAtUs,
    durationMs,
  };
}

/** Every chunk can be made again from the files, bit for bit. */
async function checkFiles(files: { manifestPath: string; signal: AbortSignal }): Promise<void> {
  const result = await verifyFile(files);
  if (result.kind === 'intact') return;
  throw new CodedError(
    'STORAGE_FAILED',
    `The files that were written do not hold what the journal holds (${result.kind}).`,
  );
}

/** A reader that knows nothing of the journal finds every picture. */
async function checkPackets(
  { index: { clusters } }: OpenRecording,
  file: { rope: Rope; folder: string; name: string; ffprobe: Ffprobe; signal: AbortSignal },
): Promise<void> {
  const { rope, folder, name, ffprobe, signal } = file;
  let expected = 0;
  for (const { firstRow, endRow } of rope.plan.epochs) {
    for (let row = firstRow; row < endRow; row += 1) expected += clusters.videoBlocks(row);
  }
  const { video } = await ffprobe.probe({ folder, name, format: 'webm' }, signal);
  if (video?.packets === expected) return;
  throw new CodedError(
    'DERIVATIVE_FAILED',
    `The file that was made has ${video?.packets ?? 0} pictures, the journal ${expected}.`,
  );
}
