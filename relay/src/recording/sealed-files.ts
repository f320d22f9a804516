/** Opens what a sealed recording consists of, the manifest and the media files beside it, for `rebuild`. */
import { open, stat, type FileHandle } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import {
  CodedError,
  openManifest,
  rebuild,
  type ByteSource,
  type Manifest,
  type RebuildResult,
  type RebuiltChunk,
} from '@proofcast/shared';
import { nodeSha256 } from '../node-sha256.ts';

/** Where a media file lies that the manifest names. */
export type MediaPathOf = (file: string, manifest: Manifest) => string;

export class SealedFiles {
  readonly manifest: Manifest;
  readonly #manifestFile: FileHandle;
  readonly #media: MediaFiles;
  readonly #parts: readonly ByteSource[];

  private constructor(parts: {
    manifest: Manifest;
    manifestFile: FileHandle;
    media: MediaFiles;
    parts: readonly ByteSource[];
  }) {
    this.manifest = parts.manifest;
    this.#manifestFile = parts.manifestFile;
    this.#media = parts.media;
    this.#parts = parts.parts;
  }

  /**
   * The media files lie beside the manifest unless `pathOf` says otherwise; one that is missing counts as one without
   * bytes. Throws `MANIFEST_INVALID`, and `STORAGE_FAILED` when the manifest is missing or a file cannot be read. The
   * caller closes.
   */
  static async open(
    manifestPath: string,
    pathOf: MediaPathOf = (file) => join(dirname(manifestPath), file),
  ): Promise<SealedFiles> {
    let manifestFile: FileHandle | null = null;
    try {
      const file = await open(manifestPath, 'r');
      manifestFile = file;
      const { size: sizeBytes } = await file.stat();
      const read: ByteSource['read'] = (offset, length) => readFrom(file, { offset, length });
      const manifest = await openManifest({ sizeBytes, read }, nodeSha256);
      const media = new MediaFiles();
      const parts: ByteSource[] = [];
      for (const part of manifest.head.parts) {
        parts.push(await media.source(pathOf(part.file, manifest)));
      }
      return new SealedFiles({ manifest, manifestFile, media, parts });
    } catch (cause) {
      await manifestFile?.close();
      throw asCoded(cause);
    }
  }

  /** See `rebuild`. Throws `STORAGE_FAILED` when a file cannot be read. */
  async *chunks(signal: AbortSignal): AsyncGenerator<RebuiltChunk, RebuildResult> {
    const chunks = rebuild({ manifest: this.manifest, parts: this.#parts, sha256: nodeSha256 });
    try {
      let next = await chunks.next();
      for (; next.done !== true; next = await chunks.next()) {
        signal.throwIfAborted();
        yield next.value;
      }
      return next.value;
    } catch (cause) {
      signal.throwIfAborted();
      throw asCoded(cause);
    }
  }

  /** Idempotent. */
  async close(): Promise<void> {
    await Promise.allSettled([this.#manifestFile.close(), this.#media.close()]);
  }
}

/** The media files of a recording, of which there may be many: they are read one after the other, so one is open. */
class MediaFiles {
  #current: { path: string; file: FileHandle } | null = null;

  async source(path: string): Promise<ByteSource> {
    const sizeBytes = await sizeOf(path);
    return {
      sizeBytes,
      read: async (offset, length) => readFrom(await this.#open(path), { offset, length }),
    };
  }

  /** Idempotent. */
  async close(): Promise<void> {
    const current = this.#current;
    this.#current = null;
    await current?.file.close();
  }

  async #open(path: string): Promise<FileHandle> {
    if (this.#current?.path === path) return this.#current.file;
    await this.close();
    const file = await open(path, 'r');
    this.#current = { path, file };
    return file;
  }
}

/** Zero for a file that is missing. */
async function sizeOf(path: string): Promise<number> {
  try {
    return (await stat(path)).size;
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return 0;
    throw error;
  }
}

async function readFrom(
  file: FileHandle,
  { offset, length }: { offset: number; length: number },
): Promise<Uint8Array> {
  const bytes = Buffer.allocUnsafe(length);
  let filled = 0;
  while (filled < length) {
    const { bytesRead } = await file.read(bytes, filled, length - filled, offset + filled);
    if (bytesRead === 0) break;
    filled += bytesRead;
  }
  return bytes.subarray(0, filled);
}

function asCoded(cause: unknown): CodedError {
  if (cause instanceof CodedError) return cause;
  return new CodedError(
    'STORAGE_FAILED',
    'Cannot read a sealed recording; the log of the relay tells more.',
    {
      cause,
    },
  );
}
