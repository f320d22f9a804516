/** Which files a recording consists of, whatever was made of it. */
import { readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import type { Id } from '@proofcast/shared';
import type { RecordingRow } from '../database/schema.ts';
import type { JournalFiles, JournalStore } from '../journal/store.ts';
import type { RecordingFile } from '../retention/recording-file.ts';
import type { RecordingCatalogue } from './catalogue.ts';
import { recordingPaths } from './paths.ts';

/** Folders of a day whose names one inventory keeps; recordings are asked for in the order in which they ended. */
const MAX_KEPT_FOLDERS = 64;

export interface RecordingFilesOptions {
  readonly catalogue: RecordingCatalogue;
  readonly store: JournalStore;
  readonly journalsDir: string;
  readonly recordingsDir: string;
}

/** The files as they were when their folder was first looked at, so that many recordings are asked for at little cost. */
export class RecordingInventory {
  readonly #options: RecordingFilesOptions;
  readonly #journals: JournalFiles;
  readonly #folders = new Map<string, Promise<string[]>>();

  private constructor(options: RecordingFilesOptions, journals: JournalFiles) {
    this.#options = options;
    this.#journals = journals;
  }

  static async open(options: RecordingFilesOptions): Promise<RecordingInventory> {
    return new RecordingInventory(options, await options.store.list());
  }

  /** All files of a recording; empty when there are none. */
  async filesOf(recordingId: Id): Promise<RecordingFile[]> {
    const { catalogue, recordingsDir } = this.#options;
    const journals = await this.#journalFiles(recordingId);
    const row = await catalogue.find(recordingId);
    if (row === null) return journals;
    const parts = await catalogue.parts(recordingId);
    const files: RecordingFile[] = [];
    for (const { name, path } of await this.mergedFiles(row)) {
      const sizeBytes = await sizeOf(path);
      // A derivative that is being made comes and goes.
      if (sizeBytes === null) continue;
      const part = parts.find(({ media_path }) => join(recordingsDir, media_path) === path);
      files.push({ kind: kindOf(name), path, sizeBytes, sha256: part?.sha256 ?? null });
    }
    return [...files, ...journals];
  }

  /** What was made of the recording, unfinished files included. */
  async mergedFiles(row: RecordingRow): Promise<{ name: string; path: string }[]> {
    const { folder, namePrefix } = recordingPaths({
      companyId: row.company_id,
      deviceId: row.device_id,
      recordingId: row.recording_id,
      startedAtUs: row.started_at_us,
    });
    const path = join(this.#options.recordingsDir, folder);
    const names = (await this.#namesIn(path)).filter((name) => name.startsWith(namePrefix));
    return names.map((name) => ({ name, path: join(path, name) }));
  }

  async #journalFiles(recordingId: Id): Promise<RecordingFile[]> {
    const files: RecordingFile[] = [];
    for (const name of this.#journals.get(recordingId) ?? []) {
      const path = join(this.#options.journalsDir, name);
      const sizeBytes = await sizeOf(path);
      // It goes when the recording is sealed.
      if (sizeBytes !== null) files.push({ kind: 'journal', path, sizeBytes, sha256: null });
    }
    return files;
  }

  #namesIn(folder: string): Promise<string[]> {
    const names = this.#folders.get(folder) ?? listNames(folder);
    // The map forgets what was used longest ago.
    this.#folders.delete(folder);
    this.#folders.set(folder, names);
    const [oldest] = this.#folders.keys();
    if (this.#folders.size > MAX_KEPT_FOLDERS && oldest !== undefined) this.#folders.delete(oldest);
    return names;
  }
}

async function listNames(folder: string): Promise<string[]> {
  try {
    return await readdir(folder);
  } catch (error) {
    if (isMissing(error)) return [];
    throw error;
  }
}

/** Null when there is no such file any more. */
async function sizeOf(path: string): Promise<number | null> {
  try {
    return (await stat(path)).size;
  } catch (error) {
    if (isMissing(error)) return null;
    throw error;
  }
}

/** Also where a file lies in the place of one of the folders. */
function isMissing(error: unknown): boolean {
  return error instanceof Error && 'code' in error && (error.code === 'ENOENT' || error.code === 'ENOTDIR');
}

/** By what stands behind the recording's id; see `recordingPaths`. */
function kindOf(name: string): RecordingFile['kind'] {
  const [, ...rest] = name.split('.');
  const suffix = rest.join('.');
  if (suffix === 'manifest.json') return 'manifest';
  return /^(?:[0-9]+\.)?webm$/.test(suffix) ? 'media' : 'derivative';
}
