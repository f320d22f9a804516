/** `proofcast journal check`: what recovery would find in the journals of a data directory. */
import { stat } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import type { Id } from '@proofcast/shared';
import { checkJournals, type JournalReport } from '../journal/journal-check.ts';
import { parseSegmentName } from '../journal/journal-start.ts';
import { worstOf, type Verdict } from './exit-codes.ts';
import { formatBytes } from './format-bytes.ts';

/** `path` is a data directory, the folder of its journals, or a file in that folder. Throws when it is none of them. */
export async function checkJournalsAt(
  path: string,
  { asJson, write }: { asJson: boolean; write: (text: string) => void },
): Promise<Verdict> {
  const { folder, recordingId } = await findJournals(path);
  const verdicts: Verdict[] = [];
  for await (const report of checkJournals(folder, recordingId)) {
    verdicts.push(gravityOf(report));
    write(asJson ? `${JSON.stringify(report)}\n` : `${describe(report)}\n`);
  }
  if (!asJson) write(`${verdicts.length} journals\n`);
  return worstOf(verdicts);
}

async function findJournals(path: string): Promise<{ folder: string; recordingId?: Id }> {
  const found = await stat(path);
  if (!found.isDirectory()) {
    const name = parseSegmentName(basename(path));
    if (name === null) throw new Error(`Cannot check ${path}: it does not have the name of a journal.`);
    return { folder: dirname(path), recordingId: name.recordingId };
  }
  const inside = join(path, 'journals');
  const isDataDir = await stat(inside).then(
    (below) => below.isDirectory(),
    () => false,
  );
  if (!isDataDir && basename(path) !== 'journals') {
    throw new Error(`Cannot check ${path}: it is no data directory, for it has no folder journals.`);
  }
  return { folder: isDataDir ? inside : path };
}

function gravityOf({ verdict }: JournalReport): Verdict {
  switch (verdict.kind) {
    case 'whole':
      return 'whole';
    case 'torn':
      return 'harmless';
    case 'damaged':
      return 'damaged';
    case 'unreadable':
      return 'unknown';
  }
}

function describe({ recordingId, files, content, verdict }: JournalReport): string {
  const { records, chunks, epochs, payloadBytes, endReason } = content;
  const inFiles = files.length === 1 ? '' : ` in ${files.length} files`;
  const end = endReason === null ? 'not ended' : `ended: ${endReason}`;
  const counts = `${records} records${inFiles}, ${chunks} chunks, ${epochs} epochs, ${formatBytes(payloadBytes)}, ${end}`;
  switch (verdict.kind) {
    case 'whole':
      return `${recordingId}  whole    ${counts}`;
    case 'torn':
      return `${recordingId}  torn     ${counts}; ${verdict.cutBytes} bytes from byte ${verdict.atByte} of ${verdict.file} on are no whole record`;
    case 'damaged':
      return `${recordingId}  DAMAGED  ${counts} before it${placeOf(verdict.place)}; ${verdict.reason}`;
    case 'unreadable':
      return `${recordingId}  UNREADABLE  ${verdict.reason}`;
  }
}

function placeOf(place: { file: string; atByte: number; sequence: number } | null): string {
  return place === null ? '' : `: ${place.file}, byte ${place.atByte}, chunk ${place.sequence}`;
}
