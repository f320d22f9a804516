/** The files that belong to one recording, as retention sees them, and their hashes. */
import { createHash } from 'node:crypto';
import { open } from 'node:fs/promises';
import { basename } from 'node:path';
import type { Tombstone } from '@proofcast/shared';

export interface RecordingFile {
  /** All but `derivative` is evidence: what a tombstone names and hashes. */
  readonly kind: 'media' | 'manifest' | 'journal' | 'derivative';
  /** Absolute. */
  readonly path: string;
  readonly sizeBytes: number;
  /** Hexadecimal; null when nobody has computed it yet. */
  readonly sha256: string | null;
}

export type BuriedFile = Tombstone['files'][number];

const READ_BYTES = 1024 * 1024;

export function sizeOf(files: readonly RecordingFile[]): number {
  return files.reduce((sum, file) => sum + file.sizeBytes, 0);
}

/** What a tombstone says about the files that are evidence. Reads those whose hash is not known, until `signal`. */
export async function describeEvidence(
  files: readonly RecordingFile[],
  signal: AbortSignal,
): Promise<BuriedFile[]> {
  const described: BuriedFile[] = [];
  for (const { kind, path, sizeBytes, sha256 } of files) {
    if (kind === 'derivative') continue;
    described.push({
      kind,
      name: basename(path),
      sizeBytes,
      sha256: sha256 ?? (await sha256Of(path, signal)),
    });
  }
  return described;
}

async function sha256Of(path: string, signal: AbortSignal): Promise<string> {
  const sum = createHash('sha256');
  const file = await open(path);
  try {
    const buffer = Buffer.allocUnsafe(READ_BYTES);
    for (;;) {
      signal.throwIfAborted();
      const { bytesRead } = await file.read(buffer, 0, READ_BYTES, null);
      if (bytesRead === 0) return sum.digest('hex');
      sum.update(buffer.subarray(0, bytesRead));
    }
  } finally {
    await file.close();
  }
}
