/**
 * Makes a journal of chunks that are known already, for a recording that goes on after its journal was removed. Under
 * a name that no recovery looks at, until all of it is on disk.
 */
import type { JournalChunk } from './journal.ts';
import type { JournalFile, JournalFolder } from './journal-files.ts';
import { segmentName, type EndReason, type RecordingIdentity } from './journal-start.ts';
import { encodeRecordHeader, ownRecord, type JournalRecord } from './record.ts';

const UNFINISHED_SUFFIX = '.importing';
/** What is synced at a time, and how much of the tail a recovery would hold in memory to write it again. */
const SYNC_BYTES = 8 * 1024 * 1024;

export interface JournalImport {
  readonly folder: JournalFolder;
  readonly identity: RecordingIdentity;
  /** What the chain begins with. */
  readonly chain: Uint8Array;
  /** In order, from number 0 on, checked by whoever gives them. */
  readonly chunks: AsyncIterable<JournalChunk>;
  readonly endReason: EndReason;
  readonly nowUs: number;
}

/** Whether a file is what a relay that died in the middle of an import has left. */
export function isUnfinishedImport(name: string): boolean {
  return name.endsWith(UNFINISHED_SUFFIX);
}

/** Writes the only file of the journal, ended, and gives it its name. What fails leaves no journal. */
export async function importJournal(options: JournalImport): Promise<void> {
  const { folder, identity } = options;
  const name = segmentName(identity.recordingId, 0);
  const unfinishedName = name + UNFINISHED_SUFFIX;
  if ((await folder.list()).includes(unfinishedName)) await folder.remove(unfinishedName);
  const file = await folder.create(unfinishedName);
  try {
    await writeAll(file, options);
    await file.close();
    await folder.rename(unfinishedName, name);
    await folder.sync();
  } catch (error) {
    await Promise.allSettled([file.close(), folder.remove(unfinishedName)]);
    throw error;
  }
}

async function writeAll(file: JournalFile, options: JournalImport): Promise<void> {
  const { identity, endReason, nowUs } = options;
  const writer = new RecordWriter(file);
  const common = { receivedAtUs: nowUs, durableBytes: 0 };
  const content = { format: 'proofcast-journal', ...identity, segment: 0, continuesBecause: null };
  await writer.add(
    ownRecord({ ...common, kind: 'start', content, epoch: 0, sequence: 0, chain: options.chain }),
  );
  let next = { epoch: 0, sequence: 0, chain: options.chain };
  for await (const chunk of options.chunks) {
    await writer.add({ ...chunk, durableBytes: 0 });
    next = { epoch: chunk.epoch, sequence: chunk.sequence + 1, chain: chunk.chain };
  }
  // Confirms, when it is read again, that all before it is on disk.
  await writer.flush();
  await writer.add(ownRecord({ ...common, kind: 'end', content: { reason: endReason }, ...next }));
  await writer.flush();
}

class RecordWriter {
  readonly #file: JournalFile;
  #parts: Uint8Array[] = [];
  #waitingBytes = 0;
  #position = 0;

  constructor(file: JournalFile) {
    this.#file = file;
  }

  async add(record: JournalRecord): Promise<void> {
    const header = encodeRecordHeader({ ...record, durableBytes: this.#position });
    this.#parts.push(header, record.payload);
    this.#waitingBytes += header.length + record.payload.length;
    if (this.#waitingBytes >= SYNC_BYTES) await this.flush();
  }

  async flush(): Promise<void> {
    await this.#file.write(this.#parts, this.#position);
    await this.#file.datasync();
    this.#position += this.#waitingBytes;
    this.#parts = [];
    this.#waitingBytes = 0;
  }
}
