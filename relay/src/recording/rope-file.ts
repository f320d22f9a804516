/** Writes a rope into a file that has the same bytes. */
import { rm } from 'node:fs/promises';
import { basename, dirname } from 'node:path';
import { CodedError } from '@proofcast/shared';
import { journalFolder, type JournalFile } from '../journal/journal-files.ts';
import { BackgroundHash } from './background-hash.ts';
import { publishFile } from './durable-file.ts';
import type { Rope } from './rope.ts';
import { READ_BYTES } from './rope-reader.ts';

/** One is being read, one hashed, one written; and one is spare, for whoever comes late. */
const RING_BUFFERS = 4;
/** So much may wait in the page cache before the disk is made to begin, so that the last sync finds little to do. */
const SYNC_BYTES = 32 * 1024 * 1024;

export interface RopeFile {
  readonly sizeBytes: number;
  readonly sha256: Uint8Array;
}

/**
 * Writes `rope` to `temporaryPath`, which is in the same folder as `path`, makes it durable and puts it in the place of
 * `path`. What fails leaves no file. Throws `STORAGE_FAILED`, or the reason of `signal`.
 */
export async function writeRopeFile(options: {
  rope: Rope;
  temporaryPath: string;
  path: string;
  signal: AbortSignal;
}): Promise<RopeFile> {
  const { rope, temporaryPath, path, signal } = options;
  try {
    await rm(temporaryPath, { force: true });
    const file = await journalFolder(dirname(temporaryPath)).create(basename(temporaryPath));
    let written: RopeFile;
    try {
      written = await writeAll(file, rope, signal);
    } finally {
      await file.close();
    }
    await publishFile(temporaryPath, path);
    return written;
  } catch (error) {
    await rm(temporaryPath, { force: true });
    signal.throwIfAborted();
    if (error instanceof CodedError) throw error;
    throw new CodedError(
      'STORAGE_FAILED',
      'Cannot write the file of a recording; the log of the relay tells more.',
      { cause: error },
    );
  }
}

async function writeAll(file: JournalFile, rope: Rope, signal: AbortSignal): Promise<RopeFile> {
  // Shared with the thread that hashes.
  const ring = Array.from({ length: RING_BUFFERS }, () => Buffer.from(new SharedArrayBuffer(READ_BYTES)));
  const hash = new BackgroundHash();
  const writer = new BehindWriter(file);
  try {
    for await (const parts of rope.readAll(ring)) {
      signal.throwIfAborted();
      await hash.add(parts);
      await writer.add(parts);
    }
    await writer.finish();
    return { sizeBytes: writer.sizeBytes, sha256: await hash.digest() };
  } finally {
    await writer.settle();
    await hash.close();
  }
}

/** Writes, and lets the disk work, while the next bytes are being read and hashed. */
class BehindWriter {
  readonly #file: JournalFile;
  #sizeBytes = 0;
  #syncedBytes = 0;
  #writing: Promise<void> = Promise.resolve();
  #syncing: Promise<void> = Promise.resolve();

  constructor(file: JournalFile) {
    this.#file = file;
  }

  get sizeBytes(): number {
    return this.#sizeBytes;
  }

  /** Begins to write; resolves when all that was added before is written. Throws what an earlier write threw. */
  async add(parts: readonly Uint8Array[]): Promise<void> {
    await this.#writing;
    this.#writing = this.#file.write(parts, this.#sizeBytes);
    // Whoever waits for it hears of it; until then it is not unhandled.
    this.#writing.catch(() => undefined);
    for (const part of parts) this.#sizeBytes += part.length;
    if (this.#sizeBytes - this.#syncedBytes < SYNC_BYTES) return;
    await this.#syncing;
    this.#syncedBytes = this.#sizeBytes;
    this.#syncing = this.#file.datasync();
    this.#syncing.catch(() => undefined);
  }

  async finish(): Promise<void> {
    await this.#writing;
    await this.#syncing;
  }

  /** Resolves when nothing uses the file any more. Never throws. */
  async settle(): Promise<void> {
    await Promise.allSettled([this.#writing, this.#syncing]);
  }
}
