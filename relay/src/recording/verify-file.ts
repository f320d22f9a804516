/** Whether a sealed recording is, byte for byte, what was received: what sealing asks before the journal goes. */
import type { RebuildResult } from '@proofcast/shared';
import { SealedFiles } from './sealed-files.ts';

/**
 * Reads manifest and media files back from the disk. Only `intact` is good. Throws `MANIFEST_INVALID`, `STORAGE_FAILED`
 * when a file cannot be read, and the reason of `signal`.
 */
export async function verifyFile(options: {
  manifestPath: string;
  signal: AbortSignal;
}): Promise<RebuildResult> {
  const files = await SealedFiles.open(options.manifestPath);
  try {
    const chunks = files.chunks(options.signal);
    let next = await chunks.next();
    while (next.done !== true) next = await chunks.next();
    return next.value;
  } finally {
    await files.close();
  }
}
