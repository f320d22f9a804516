/**
 * Writes the manifest of a recording from its journal, in one pass: the file is there as a whole and durable, or not at
 * all. Every chunk is read with its checksum and must follow in the chain from the one before.
 */
import { open, rm, type FileHandle } from 'node:fs/promises';
import {
  bytesEqual,
  chainInput,
  CodedError,
  encodeChunkHead,
  encodeHex,
  encodeStartRecord,
  ManifestEncoder,
  type ManifestHead,
} from '@proofcast/shared';
import type { JournalReader } from '../journal/journal-reader.ts';
import { nodeSha256 } from '../node-sha256.ts';
import { publishFile } from './durable-file.ts';
import { layoutOf, ManifestItems, type HashedChunk } from './manifest-items.ts';
import type { Rope } from './rope.ts';
import { SealedFiles } from './sealed-files.ts';

const WRITE_BYTES = 256 * 1024;

export interface ManifestFile {
  readonly sizeBytes: number;
  /** Hex. */
  readonly sha256: string;
}

export interface ManifestFileOptions {
  readonly path: string;
  /** In the same folder; what stands there is overwritten. */
  readonly temporaryPath: string;
  /** The media files it names exist. */
  readonly head: ManifestHead;
  /** Of these the media files were written, in the same order. */
  readonly ropes: readonly Pick<Rope, 'plan' | 'clusters'>[];
  readonly reader: JournalReader;
  readonly signal: AbortSignal;
}

/**
 * Takes the first `head.chunkCount` chunks of the journal. What fails leaves no file. Throws `STORAGE_FAILED`, also when
 * the journal does not have them or they are not what the head says, and the reason of `signal`.
 */
export function writeManifestFile(options: ManifestFileOptions): Promise<ManifestFile> {
  return publishManifest(options, (file) => writeAll(file, options));
}

/**
 * Writes the manifest at `path` again, with these fields of its head in the place of what stands there. What fails
 * leaves it as it was. Throws `MANIFEST_INVALID`, `STORAGE_FAILED` and the reason of `signal`.
 */
export async function rewriteManifestHead(options: {
  path: string;
  temporaryPath: string;
  fields: Partial<ManifestHead>;
  signal: AbortSignal;
}): Promise<ManifestFile> {
  const { path, fields, signal } = options;
  return publishManifest(options, async (file) => {
    const original = await SealedFiles.open(path);
    try {
      const { manifest } = original;
      const output = new BufferedOutput(file);
      const encoder = new ManifestEncoder(nodeSha256.begin());
      await output.write(encoder.begin({ ...manifest.head, ...fields }));
      for await (const item of manifest.items()) {
        signal.throwIfAborted();
        await output.write(encoder.item(item));
      }
      await output.write(encoder.end());
      return await output.finish();
    } finally {
      await original.close();
    }
  });
}

async function publishManifest(
  { path, temporaryPath, signal }: Pick<ManifestFileOptions, 'path' | 'temporaryPath' | 'signal'>,
  write: (file: FileHandle) => Promise<ManifestFile>,
): Promise<ManifestFile> {
  try {
    const file = await open(temporaryPath, 'w', 0o600);
    let written: ManifestFile;
    try {
      written = await write(file);
    } finally {
      await file.close();
    }
    await publishFile(temporaryPath, path);
    return written;
  } catch (cause) {
    await rm(temporaryPath, { force: true });
    signal.throwIfAborted();
    if (cause instanceof CodedError) throw cause;
    throw new CodedError('STORAGE_FAILED', 'Cannot write a manifest; the log of the relay tells more.', {
      cause,
    });
  }
}

async function writeAll(
  file: FileHandle,
  { head, ropes, reader, signal }: ManifestFileOptions,
): Promise<ManifestFile> {
  const output = new BufferedOutput(file);
  const encoder = new ManifestEncoder(nodeSha256.begin());
  const items = new ManifestItems(layoutOf(ropes));
  await output.write(encoder.begin(head));
  for await (const chunk of chunksOf(reader, head)) {
    signal.throwIfAborted();
    for (const item of items.take(chunk)) await output.write(encoder.item(item));
  }
  items.finish();
  await output.write(encoder.end());
  return output.finish();
}

/** The chunks that the head counts, each of them what its chain value says. */
async function* chunksOf(reader: JournalReader, head: ManifestHead): AsyncGenerator<HashedChunk> {
  let chain = nodeSha256.hash(encodeStartRecord(head.recording));
  let count = 0;
  if (head.chunkCount > 0) {
    for await (const { record } of reader.records()) {
      const { kind, payload } = record;
      if (kind !== 'media' && kind !== 'event') continue;
      const sha256 = nodeSha256.hash(payload);
      const chunkHead = encodeChunkHead({ ...record, kind, payloadBytes: payload.length });
      chain = nodeSha256.hash(chainInput(chain, chunkHead, sha256));
      if (!bytesEqual(chain, record.chain)) {
        throw storageFailed(head, `the chain value of chunk ${record.sequence} does not follow`);
      }
      yield { ...record, kind, sha256 };
      count += 1;
      if (count === head.chunkCount) break;
    }
  }
  if (count < head.chunkCount) throw storageFailed(head, `it has ${count} of ${head.chunkCount} chunks`);
  if (encodeHex(chain) !== head.lastChain) throw storageFailed(head, 'its last chain value is another one');
}

function storageFailed(head: ManifestHead, because: string): CodedError {
  const { recordingId } = head.recording;
  return new CodedError(
    'STORAGE_FAILED',
    `The journal of ${recordingId} is not what is to be sealed: ${because}.`,
  );
}

/** Gathers what is written until it is worth a call to the disk. */
class BufferedOutput {
  readonly #file: FileHandle;
  readonly #digest = nodeSha256.begin();
  #parts: Uint8Array[] = [];
  #waitingBytes = 0;
  #writtenBytes = 0;

  constructor(file: FileHandle) {
    this.#file = file;
  }

  async write(bytes: Uint8Array): Promise<void> {
    this.#parts.push(bytes);
    this.#waitingBytes += bytes.length;
    if (this.#waitingBytes >= WRITE_BYTES) await this.#flush();
  }

  async finish(): Promise<ManifestFile> {
    await this.#flush();
    return { sizeBytes: this.#writtenBytes, sha256: encodeHex(this.#digest.digest()) };
  }

  async #flush(): Promise<void> {
    const bytes = Buffer.concat(this.#parts);
    this.#parts = [];
    this.#waitingBytes = 0;
    this.#digest.update(bytes);
    await this.#file.writeFile(bytes);
    this.#writtenBytes += bytes.length;
  }
}
