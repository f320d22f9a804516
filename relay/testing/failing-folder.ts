/** A disk that fails when a test says so, between the journal and the real files. */
import type { JournalFile, JournalFolder } from '../src/journal/journal-files.ts';

export type FailingOperation = 'create' | 'write' | 'datasync' | 'read' | 'sync' | 'remove' | 'rename';

export interface Failure {
  readonly operation: FailingOperation;
  readonly code: 'EIO' | 'ENOSPC';
  /** How often it happens; for ever when it is not given. */
  times?: number;
  /** How often it does not happen before. */
  skip?: number;
  /** Only for files with this name. */
  readonly name?: string;
  /** Bytes of a write that reach the file before it fails. */
  readonly tornAfterBytes?: number;
}

export class FailingFolder implements JournalFolder {
  readonly #folder: JournalFolder;
  readonly failures: Failure[] = [];
  /** Syncs wait until this resolves. */
  hold: Promise<void> = Promise.resolve();
  /** Reads of a file wait until what this returns for its name resolves. */
  holdRead: (name: string) => Promise<void> = () => Promise.resolve();
  datasyncs = 0;
  writtenBytes = 0;

  constructor(folder: JournalFolder) {
    this.#folder = folder;
  }

  list = (): Promise<string[]> => this.#folder.list();

  async create(name: string): Promise<JournalFile> {
    this.check('create', name);
    return new FailingFile(await this.#folder.create(name), this);
  }

  open = async (name: string): Promise<JournalFile> => new FailingFile(await this.#folder.open(name), this);

  async remove(name: string): Promise<void> {
    this.check('remove', name);
    await this.#folder.remove(name);
  }

  async rename(from: string, to: string): Promise<void> {
    this.check('rename', from);
    await this.#folder.rename(from, to);
  }

  async sync(): Promise<void> {
    this.check('sync', '');
    await this.#folder.sync();
  }

  find(operation: FailingOperation, name: string): Failure | undefined {
    const failure = this.failures.find(
      (candidate) =>
        candidate.operation === operation &&
        (candidate.name === undefined || candidate.name === name) &&
        candidate.times !== 0,
    );
    if (failure?.skip !== undefined && failure.skip > 0) {
      failure.skip -= 1;
      return undefined;
    }
    if (failure?.times !== undefined) failure.times -= 1;
    return failure;
  }

  check(operation: FailingOperation, name: string): void {
    const failure = this.find(operation, name);
    if (failure !== undefined) throw errorOf(failure);
  }
}

class FailingFile implements JournalFile {
  readonly #file: JournalFile;
  readonly #folder: FailingFolder;

  constructor(file: JournalFile, folder: FailingFolder) {
    this.#file = file;
    this.#folder = folder;
  }

  get name(): string {
    return this.#file.name;
  }

  async write(parts: readonly Uint8Array[], position: number): Promise<void> {
    const failure = this.#folder.find('write', this.name);
    if (failure === undefined) {
      this.#folder.writtenBytes += parts.reduce((sum, part) => sum + part.length, 0);
      return this.#file.write(parts, position);
    }
    const torn = Buffer.concat(parts).subarray(0, failure.tornAfterBytes ?? 0);
    if (torn.length > 0) await this.#file.write([torn], position);
    throw errorOf(failure);
  }

  async datasync(): Promise<void> {
    await this.#folder.hold;
    this.#folder.check('datasync', this.name);
    this.#folder.datasyncs += 1;
    await this.#file.datasync();
  }

  async read(position: number, length: number, into?: Uint8Array): Promise<Uint8Array> {
    await this.#folder.holdRead(this.name);
    this.#folder.check('read', this.name);
    return this.#file.read(position, length, into);
  }

  sizeBytes = (): Promise<number> => this.#file.sizeBytes();
  truncate = (sizeBytes: number): Promise<void> => this.#file.truncate(sizeBytes);
  close = (): Promise<void> => this.#file.close();
}

function errorOf({ operation, code }: Failure): Error {
  return Object.assign(new Error(`${code}: the test lets ${operation} fail`), { code });
}
