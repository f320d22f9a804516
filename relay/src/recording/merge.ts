/** Makes one seekable webm of a journal, and believes it only after counting what is in it. */
import { writeFile } from 'node:fs/promises';
import { basename } from 'node:path';
import { CodedError } from '@proofcast/shared';
import type { JournalReader } from '../journal/journal-reader.ts';
import type { Ffmpeg } from './ffmpeg.ts';
import { EpochBytes, type EpochPlan } from './seal-plan.ts';

/** The last frame's own duration is not in the journal, and a screen that stands still shows it for a while. */
const DURATION_TOLERANCE_MS = 2_000;

export interface MergedFile {
  readonly path: string;
  readonly durationMs: number;
}

/**
 * Writes the epochs into a file whose path begins with `temporaryPath`, on one time line: an epoch begins as much later
 * than the first one as its wall clock says, so that a gap stays as long as it was. Throws `DERIVATIVE_FAILED` when the
 * epochs do not fit together or the result is not what the journal holds.
 */
export async function mergeEpochs(options: {
  ffmpeg: Ffmpeg;
  reader: JournalReader;
  epochs: readonly EpochPlan[];
  temporaryPath: string;
  signal: AbortSignal;
}): Promise<MergedFile> {
  const { ffmpeg, reader, epochs, temporaryPath, signal } = options;
  checkSameTracks(epochs);
  const bytes = new EpochBytes(reader);
  const parts: string[] = [];
  for (const epoch of epochs) {
    const path = `${temporaryPath}-${epoch.number}.webm`;
    await ffmpeg.remux(bytes.take(epoch), path, signal);
    parts.push(path);
  }
  const starts = startsOf(epochs);
  const path = parts.length === 1 ? (parts[0] as string) : `${temporaryPath}.webm`;
  if (parts.length > 1) {
    const listPath = `${temporaryPath}.ffconcat`;
    await writeFile(listPath, concatList(parts, starts), { mode: 0o600 });
    await ffmpeg.join(listPath, path, signal);
  }
  const last = epochs.at(-1);
  const expected = {
    videoPackets: epochs.reduce((sum, epoch) => sum + epoch.videoBlocks, 0),
    durationMs: (starts.at(-1) ?? 0) + (last?.lastBlockMs ?? 0),
  };
  return { path, durationMs: await checkMerged(ffmpeg, { path, expected, signal }) };
}

/** Milliseconds from the beginning of the file to the timestamp zero of each epoch. Clocks may jump; epochs never overlap. */
export function startsOf(epochs: readonly EpochPlan[]): number[] {
  const firstUs = epochs[0]?.start.startedAtUs ?? 0;
  const starts: number[] = [];
  let earliest = 0;
  for (const { start, lastBlockMs } of epochs) {
    const begin = Math.max(earliest, (start.startedAtUs - firstUs) / 1000);
    starts.push(begin);
    earliest = begin + lastBlockMs + 1;
  }
  return starts;
}

function concatList(parts: readonly string[], starts: readonly number[]): string {
  const lines = ['ffconcat version 1.0'];
  parts.forEach((part, index) => {
    const next = starts[index + 1];
    lines.push(`file ${basename(part)}`, 'inpoint 0');
    if (next !== undefined) lines.push(`duration ${((next - (starts[index] ?? 0)) / 1000).toFixed(6)}`);
  });
  return `${lines.join('\n')}\n`;
}

async function checkMerged(
  ffmpeg: Ffmpeg,
  merged: { path: string; expected: { videoPackets: number; durationMs: number }; signal: AbortSignal },
): Promise<number> {
  const { path, expected, signal } = merged;
  const probe = await ffmpeg.probe(path, signal);
  const isLong = Math.abs(probe.durationMs - expected.durationMs) <= DURATION_TOLERANCE_MS;
  if (probe.videoPackets === expected.videoPackets && isLong) return probe.durationMs;
  throw new CodedError(
    'DERIVATIVE_FAILED',
    `The file that was made has ${probe.videoPackets} pictures in ${probe.durationMs} ms, ` +
      `the journal ${expected.videoPackets} in ${Math.round(expected.durationMs)} ms.`,
  );
}

function checkSameTracks(epochs: readonly EpochPlan[]): void {
  const [first, ...others] = epochs.map(describeTracks);
  const different = others.find((tracks) => tracks !== first);
  if (different === undefined) return;
  throw new CodedError(
    'DERIVATIVE_FAILED',
    `The capture was started again with other tracks (${first}, then ${different}), which cannot share one file.`,
  );
}

/** Two epochs fit into one file when this is the same for both. */
function describeTracks({ tracks }: EpochPlan): string {
  return tracks
    .map(({ number, kind, codecId, codecPrivate }) => {
      const setup = codecPrivate === null ? '' : `:${Buffer.from(codecPrivate).toString('hex')}`;
      return `${number} ${kind} ${codecId}${setup}`;
    })
    .join(', ');
}
