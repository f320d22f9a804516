/** `proofcast verify`: whether a media file is, byte for byte, what its manifest says was recorded. */
import { stat } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import type { DifferingChunk, Manifest, RebuildResult } from '@proofcast/shared';
import { SealedFiles, type MediaPathOf } from '../recording/sealed-files.ts';
import type { Verdict } from './exit-codes.ts';

export interface VerifyOptions {
  readonly mediaPath: string;
  /** Null: it lies beside the media file, under the name that the relay gives it. */
  readonly manifestPath: string | null;
  readonly asJson: boolean;
  readonly write: (text: string) => void;
}

/** Throws when a file cannot be read or the manifest is none. */
export async function verifyRecording(options: VerifyOptions): Promise<Verdict> {
  const { mediaPath, asJson, write } = options;
  await stat(mediaPath);
  const manifestPath = options.manifestPath ?? manifestBeside(mediaPath);
  const files = await SealedFiles.open(manifestPath, mediaPathsFrom(mediaPath));
  try {
    const result = await rebuildAll(files);
    const { manifest } = files;
    write(asJson ? `${JSON.stringify(result)}\n` : `${describe(result, manifest).join('\n')}\n`);
    switch (result.kind) {
      case 'intact':
        return 'whole';
      case 'container':
        return 'harmless';
      case 'chunks':
      case 'chain':
        return 'damaged';
    }
  } finally {
    await files.close();
  }
}

async function rebuildAll(files: SealedFiles): Promise<RebuildResult> {
  const chunks = files.chunks(new AbortController().signal);
  let next = await chunks.next();
  while (next.done !== true) next = await chunks.next();
  return next.value;
}

function manifestBeside(mediaPath: string): string {
  return join(dirname(mediaPath), `${basename(mediaPath).replace(/(\.\d+)?\.webm$/, '')}.manifest.json`);
}

/** A recording of one file may have been given another name; of several, each must have its own. */
function mediaPathsFrom(mediaPath: string): MediaPathOf {
  return (file, { head }) => {
    if (head.parts.length === 1) return mediaPath;
    if (head.parts.some((part) => part.file === basename(mediaPath))) return join(dirname(mediaPath), file);
    const names = head.parts.map((part) => part.file).join(', ');
    throw new Error(`Cannot verify ${mediaPath}: the manifest names ${names}.`);
  };
}

function describe(result: RebuildResult, { head }: Manifest): string[] {
  const of = `${head.recording.recordingId}, ${result.chunkCount} chunks`;
  switch (result.kind) {
    case 'intact':
      return [`Whole: ${of}, each with its hash, chained from start to end.`, ...describeEnd(head)];
    case 'container': {
      const names = result.parts.map((part) => head.parts[part]?.file ?? '').join(', ');
      return [
        `Recorded bytes whole: ${of}. The file around them was changed: ${names}.`,
        ...describeEnd(head),
      ];
    }
    case 'chain':
      return [`NOT what was recorded: ${of}. The manifest was changed: its chain does not end as it says.`];
    case 'chunks': {
      const { differing, differingCount } = result;
      const more = differingCount - differing.length;
      return [
        `NOT what was recorded: ${differingCount} of ${result.chunkCount} chunks of ${head.recording.recordingId} differ.`,
        ...differing.map((chunk) => describeChunk(chunk, head)),
        ...(more > 0 ? [`… and ${more} more.`] : []),
      ];
    }
  }
}

function describeEnd({ isComplete, gaps }: Manifest['head']): string[] {
  const missing = gaps.map(({ fromMs, toMs, reason }) => {
    return `Gap of ${seconds(toMs - fromMs)} s from ${new Date(fromMs).toISOString()}: ${reason}.`;
  });
  return [...(isComplete ? [] : ['Its publisher was lost before it said that it had ended.']), ...missing];
}

function describeChunk(
  { sequence, epoch, fromMs, toMs, place }: DifferingChunk,
  head: Manifest['head'],
): string {
  const when = `${new Date(fromMs).toISOString()} to ${new Date(toMs).toISOString()}`;
  const part = place === null ? undefined : head.parts[place.part];
  if (place === null || part === undefined)
    return `  chunk ${sequence} of epoch ${epoch}, ${when}, in the manifest`;
  const fromS = seconds(fromMs - part.startsAtUs / 1000);
  const toS = seconds(toMs - part.startsAtUs / 1000);
  return `  chunk ${sequence} of epoch ${epoch}, ${when}: seconds ${fromS} to ${toS} of ${part.file}, bytes ${place.start} to ${place.end}`;
}

function seconds(durationMs: number): string {
  return (durationMs / 1000).toFixed(1);
}
