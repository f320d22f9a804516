/** The files of a sealed recording, made of a recording in a real journal, which stays as it is. */
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { encodeHex, encodeStartRecord, type ManifestHead } from '@proofcast/shared';
import { journalFolder } from '../src/journal/journal-files.ts';
import { JournalReader } from '../src/journal/journal-reader.ts';
import { nodeSha256 } from '../src/node-sha256.ts';
import { writeManifestFile } from '../src/recording/manifest-file.ts';
import type { PartPlan } from '../src/recording/parts.ts';
import { writeRopeFile } from '../src/recording/rope-file.ts';
import type { JournaledRecording } from './journaled-recording.ts';

export interface SealedPaths {
  readonly folder: string;
  readonly manifest: string;
  /** The media file of each part. */
  readonly media: readonly string[];
}

/**
 * Writes into a folder inside that of the journal. `fields` and `plans` take the place of what would be right.
 */
export async function sealFiles(
  recording: JournaledRecording,
  fields: Partial<ManifestHead> = {},
  plans: readonly PartPlan[] = recording.plans(),
): Promise<SealedPaths> {
  await recording.flush();
  const folder = join(recording.path, 'sealed');
  const manifest = join(folder, 'r.manifest.json');
  await mkdir(folder, { recursive: true });
  const { signal } = new AbortController();
  const ropes = plans.map((plan) => recording.ropeOf(plan));
  const parts: ManifestHead['parts'] = [];
  for (const rope of ropes) {
    const file = `r-${rope.plan.part}.webm`;
    const path = join(folder, file);
    const { sizeBytes, sha256 } = await writeRopeFile({ rope, temporaryPath: `${path}.part`, path, signal });
    const { startsAtUs, durationMs } = rope.plan;
    parts.push({ file, sizeBytes, sha256: encodeHex(sha256), startsAtUs, durationMs });
  }
  const { identity } = recording.journal;
  const { nextSequence, chain } = recording.index;
  const reader = await openReader(recording);
  try {
    const head: ManifestHead = {
      recording: identity,
      endReason: 'stopped',
      isComplete: true,
      chunkCount: nextSequence,
      lastChain: encodeHex(nextSequence === 0 ? nodeSha256.hash(encodeStartRecord(identity)) : chain),
      sealedAtMs: 1_790_000_000_000,
      parts,
      gaps: [],
      ...fields,
    };
    await writeManifestFile({
      path: manifest,
      temporaryPath: `${manifest}.part`,
      head,
      ropes,
      reader,
      signal,
    });
  } finally {
    await reader.close();
  }
  return { folder, manifest, media: parts.map(({ file }) => join(folder, file)) };
}

async function openReader({ path, journal }: JournaledRecording): Promise<JournalReader> {
  const reader = await JournalReader.open(journalFolder(path), journal.identity.recordingId, [0]);
  if (reader === null) throw new Error('The journal is missing.');
  return reader;
}
