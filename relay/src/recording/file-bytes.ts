/** Bytes that are served in ranges, from a file or from anything else that can be read at any place. */
import { open, type FileHandle } from 'node:fs/promises';
import { CodedError } from '@proofcast/shared';

export interface ServedBytes {
  readonly sizeBytes: number;
  /** A strong entity tag, quotes included (RFC 9110, 8.8.3). */
  readonly etag: string;
  /** The bytes `[start, end)`, in pieces of any size. Throws `STORAGE_FAILED`, also when they are closed meanwhile. */
  read(start: number, end: number): AsyncGenerator<Uint8Array>;
  /** Whoever opened it calls this when nothing is read any more. Idempotent. */
  close(): void;
}

const READ_BYTES = 256 * 1024;

/** Throws `STORAGE_FAILED` when the file is missing, or not as long as it was. */
export async function openFileBytes(file: {
  path: string;
  etag: string;
  /** Null when nobody knows. */
  sizeBytes: number | null;
}): Promise<ServedBytes> {
  let handle: FileHandle;
  let size: number;
  try {
    handle = await open(file.path, 'r');
  } catch (cause) {
    throw missing(cause);
  }
  try {
    ({ size } = await handle.stat());
    if (file.sizeBytes !== null && size !== file.sizeBytes) {
      throw new Error(`The file has ${size} bytes: expected ${file.sizeBytes}.`);
    }
  } catch (cause) {
    await handle.close();
    throw missing(cause);
  }
  let isClosed = false;
  return {
    sizeBytes: size,
    etag: file.etag,
    async *read(start, end) {
      for (let at = start; at < end;) {
        const bytes = Buffer.allocUnsafe(Math.min(READ_BYTES, end - at));
        if (isClosed) throw missing(new Error('The file was closed while it was read.'));
        const { bytesRead } = await handle.read(bytes, 0, bytes.length, at).catch((cause: unknown) => {
          throw missing(cause);
        });
        if (bytesRead === 0) throw missing(new Error(`The file ends at byte ${at}.`));
        yield bytes.subarray(0, bytesRead);
        at += bytesRead;
      }
    },
    close() {
      if (isClosed) return;
      isClosed = true;
      // Nothing can be done about a handle that does not close, and nothing was written through it.
      handle.close().catch(() => undefined);
    },
  };
}

function missing(cause: unknown): CodedError {
  return new CodedError('STORAGE_FAILED', 'A file of the recording cannot be read; the log tells more.', {
    cause,
  });
}
