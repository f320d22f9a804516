/**
 * The few file operations that a journal needs, as an interface: tests put a layer between that fails as disks do.
 * Every operation either did all it says or throws.
 */
import { constants, type FileHandle, open, readdir, rename, unlink } from 'node:fs/promises';
import { join } from 'node:path';

/** Node hands at most this many buffers to one `pwritev` (IOV_MAX of Linux). */
const MAX_BUFFERS_PER_WRITE = 1024;

export interface JournalFile {
  readonly name: string;
  /** Writes `parts` behind one another from `position` on, in as few system calls as it takes. */
  write(parts: readonly Uint8Array[], position: number): Promise<void>;
  /** `length` bytes from `position` on, fewer at the end of the file; in `into`, when it is given and large enough. */
  read(position: number, length: number, into?: Uint8Array): Promise<Uint8Array>;
  sizeBytes(): Promise<number>;
  truncate(sizeBytes: number): Promise<void>;
  /** Resolves when all that was written is on disk (`fdatasync`). */
  datasync(): Promise<void>;
  close(): Promise<void>;
}

/** The folder of all journals. Names are built from ids, never from what came in. */
export interface JournalFolder {
  list(): Promise<string[]>;
  /** Throws when the file exists. */
  create(name: string): Promise<JournalFile>;
  /** For reading and writing. */
  open(name: string): Promise<JournalFile>;
  remove(name: string): Promise<void>;
  /** Puts a file in the place of `to`, which may exist. */
  rename(from: string, to: string): Promise<void>;
  /** Makes created, renamed and removed names durable. */
  sync(): Promise<void>;
}

/** The journals' folder at `path`, which must exist. */
export function journalFolder(path: string): JournalFolder {
  const openAs = async (name: string, flags: number) =>
    new RealJournalFile(name, await open(join(path, name), flags, 0o600));
  return {
    list: () => readdir(path),
    create: (name) => openAs(name, constants.O_RDWR | constants.O_CREAT | constants.O_EXCL),
    open: (name) => openAs(name, constants.O_RDWR),
    remove: (name) => unlink(join(path, name)),
    rename: (from, to) => rename(join(path, from), join(path, to)),
    async sync() {
      const folder = await open(path, constants.O_RDONLY);
      try {
        await folder.sync();
      } finally {
        await folder.close();
      }
    },
  };
}

/** The same for somebody who may look and not touch, also while a relay writes there. */
export function readOnlyJournalFolder(path: string): JournalFolder {
  const refuse = (): Promise<never> =>
    Promise.reject(new Error(`Cannot change ${path}: it is open for reading.`));
  return {
    list: () => readdir(path),
    open: async (name) => new RealJournalFile(name, await open(join(path, name), constants.O_RDONLY)),
    create: refuse,
    remove: refuse,
    rename: refuse,
    sync: refuse,
  };
}

class RealJournalFile implements JournalFile {
  readonly name: string;
  readonly #handle: FileHandle;

  constructor(name: string, handle: FileHandle) {
    this.name = name;
    this.#handle = handle;
  }

  async write(parts: readonly Uint8Array[], position: number): Promise<void> {
    let rest = parts.filter((part) => part.length > 0);
    let at = position;
    while (rest.length > 0) {
      const { bytesWritten } = await this.#handle.writev(rest.slice(0, MAX_BUFFERS_PER_WRITE), at);
      if (bytesWritten === 0) throw new Error(`Cannot write to ${this.name}: the disk takes no bytes.`);
      at += bytesWritten;
      rest = afterBytes(rest, bytesWritten);
    }
  }

  async read(position: number, length: number, into?: Uint8Array): Promise<Uint8Array> {
    const bytes = into !== undefined && into.length >= length ? into : Buffer.allocUnsafe(length);
    let filled = 0;
    while (filled < length) {
      const { bytesRead } = await this.#handle.read(bytes, filled, length - filled, position + filled);
      if (bytesRead === 0) break;
      filled += bytesRead;
    }
    return bytes.subarray(0, filled);
  }

  async sizeBytes(): Promise<number> {
    return (await this.#handle.stat()).size;
  }

  truncate(sizeBytes: number): Promise<void> {
    return this.#handle.truncate(sizeBytes);
  }

  datasync(): Promise<void> {
    return this.#handle.datasync();
  }

  close(): Promise<void> {
    return this.#handle.close();
  }
}

/** What is left of `parts` after a write that took only `count` bytes of them. */
function afterBytes(parts: readonly Uint8Array[], count: number): Uint8Array[] {
  let left = count;
  const rest: Uint8Array[] = [];
  for (const part of parts) {
    if (left >= part.length) left -= part.length;
    else {
      rest.push(part.subarray(left));
      left = 0;
    }
  }
  return rest;
}
