/**
 * The original chunks again, from the media files of a sealed recording and its manifest, and the proof that they are the
 * original ones: every hash, and the chain from the start of the recording to its end. One pass, from front to back, over
 * manifest and files; in memory are one chunk and one buffer. Numbered rules: docs/journal.md, section M.
 */
import { encodeHex } from './byte-text.ts';
import { bytesEqual, chainInput, encodeStartRecord } from './chain.ts';
import { encodeChunkHead, MAX_CHUNK_PAYLOAD_BYTES, type Chunk } from './chunk-frame.ts';
import type { Sha256 } from './hashing.ts';
import type { ByteSource, Manifest } from './manifest-reader.ts';
import { manifestInvalid, type ManifestItem } from './manifest.ts';
import { PartReader } from './part-reader.ts';

/** One chunk as the relay received it. */
export interface RebuiltChunk extends Chunk {
  readonly receivedAtUs: number;
  /** Whether the payload has the hash that was stated for it when it came. */
  readonly isIntact: boolean;
}

/** A chunk that is not what it was, and where to look for it. */
export interface DifferingChunk {
  readonly sequence: number;
  readonly epoch: number;
  /** When it was captured, publisher's clock, milliseconds since 1970. */
  readonly fromMs: number;
  readonly toMs: number;
  /** Where its bytes stand; null when all of them are in the manifest. */
  readonly place: { readonly part: number; readonly start: number; readonly end: number } | null;
}

export type RebuildResult =
  | { readonly kind: 'intact'; readonly chunkCount: number }
  /** All chunks are intact; the files of these parts differ in bytes that the relay has put around them. */
  | { readonly kind: 'container'; readonly chunkCount: number; readonly parts: readonly number[] }
  /** Ascending; of `differingCount` chunks at most the first `MAX_REPORTED_CHUNKS`. */
  | {
      readonly kind: 'chunks';
      readonly chunkCount: number;
      readonly differing: readonly DifferingChunk[];
      readonly differingCount: number;
    }
  /** The payloads have the hashes that the manifest states, but these are not those of the recording. */
  | { readonly kind: 'chain'; readonly chunkCount: number };

export const MAX_REPORTED_CHUNKS = 1000;

export interface RebuildOptions {
  readonly manifest: Manifest;
  /** The media files, in the order of `manifest.head.parts`. One that is missing is a source without bytes. */
  readonly parts: readonly ByteSource[];
  readonly sha256: Sha256;
}

/**
 * Yields every chunk in order, those that differ too, and returns what the whole is worth: a caller that writes chunks
 * somewhere has nothing to rely on before that. Throws `MANIFEST_INVALID` when the manifest contradicts itself, and
 * whatever a source throws.
 */
export async function* rebuild(options: RebuildOptions): AsyncGenerator<RebuiltChunk, RebuildResult> {
  const { manifest, parts, sha256 } = options;
  const { head } = manifest;
  if (parts.length !== head.parts.length) {
    throw new Error(`Cannot rebuild from ${parts.length} files: the manifest names ${head.parts.length}.`);
  }
  const files = new PartSequence(parts, sha256);
  const bytes = new EpochBytes(files);
  const differing = new DifferingChunks();
  let chain = sha256.hash(encodeStartRecord(head.recording));
  let sequence = 0;
  let epoch = -1;
  for await (const item of manifest.items()) {
    if (item.type === 'epoch') {
      epoch += 1;
      if (item.number !== epoch)
        throw manifestInvalid(`epoch ${item.number} stands in the place of ${epoch}`);
      await bytes.beginEpoch(item);
      differing.beginEpoch();
      continue;
    }
    if (epoch === -1) throw manifestInvalid('it does not begin with an epoch');
    if (item.type === 'file' || item.type === 'own') {
      bytes.add(item);
      continue;
    }
    const { captureTimeUs, receivedAtUs, sha256: stated, signature, type: kind } = item;
    const taken =
      item.type === 'event' ? { payload: item.payload, place: null } : await bytes.take(item.payloadBytes);
    const { payload } = taken;
    const chunkHead = encodeChunkHead({ kind, epoch, sequence, captureTimeUs, payloadBytes: payload.length });
    chain = sha256.hash(chainInput(chain, chunkHead, stated));
    const isIntact = bytesEqual(sha256.hash(payload), stated);
    differing.note({ sequence, epoch, captureTimeUs, isIntact, place: taken.place });
    yield {
      kind,
      epoch,
      sequence,
      captureTimeUs,
      receivedAtUs,
      payload,
      sha256: stated,
      chain,
      signature,
      isIntact,
    };
    sequence += 1;
  }
  bytes.endEpoch();
  await files.finish();
  if (sequence !== head.chunkCount) {
    throw manifestInvalid(`it states ${head.chunkCount} chunks and has ${sequence}`);
  }
  if (differing.count > 0) {
    return {
      kind: 'chunks',
      chunkCount: sequence,
      differing: differing.first,
      differingCount: differing.count,
    };
  }
  if (encodeHex(chain) !== head.lastChain) return { kind: 'chain', chunkCount: sequence };
  const changed = files.changedSince(head.parts);
  if (changed.length > 0) return { kind: 'container', chunkCount: sequence, parts: changed };
  return { kind: 'intact', chunkCount: sequence };
}

/** The parts one after the other, each read once, from front to back. */
class PartSequence {
  readonly #readers: readonly PartReader[];
  readonly #sources: readonly ByteSource[];
  readonly #digests: string[] = [];

  constructor(sources: readonly ByteSource[], sha256: Sha256) {
    this.#sources = sources;
    this.#readers = sources.map((source) => new PartReader(source, sha256.begin()));
  }

  /** Reads all parts before `part` to their end. */
  async open(part: number): Promise<PartReader> {
    const reader = this.#readers[part];
    if (reader === undefined) throw manifestInvalid(`it names part ${part} of ${this.#readers.length}`);
    if (part < this.#digests.length) throw manifestInvalid(`it goes back to part ${part}`);
    await this.#finishUpTo(part);
    return reader;
  }

  finish(): Promise<void> {
    return this.#finishUpTo(this.#readers.length);
  }

  /** The numbers of the parts that are not what `stated` says. */
  changedSince(stated: Manifest['head']['parts']): number[] {
    return [...stated.keys()].filter(
      (part) =>
        this.#digests[part] !== stated[part]?.sha256 ||
        this.#sources[part]?.sizeBytes !== stated[part]?.sizeBytes,
    );
  }

  async #finishUpTo(end: number): Promise<void> {
    for (let part = this.#digests.length; part < end; part++) {
      const digest = await this.#readers[part]?.finish();
      if (digest !== undefined) this.#digests.push(encodeHex(digest));
    }
  }
}

type Piece = Extract<ManifestItem, { type: 'file' | 'own' }>;

/** What is known of the bytes of an epoch and not yet taken by a chunk: at most a few pieces. */
class EpochBytes {
  readonly #files: PartSequence;
  #part: { number: number; reader: PartReader } | null = null;
  #pieces: Piece[] = [];
  /** Bytes of the first piece that are taken already. */
  #taken = 0;
  #available = 0;
  #hasFileBytes = false;

  constructor(files: PartSequence) {
    this.#files = files;
  }

  async beginEpoch({ part, fileStartMs }: Extract<ManifestItem, { type: 'epoch' }>): Promise<void> {
    this.endEpoch();
    if ((part === null) !== (fileStartMs === null)) throw manifestInvalid('an epoch is in a file and is not');
    this.#part = part === null ? null : { number: part, reader: await this.#files.open(part) };
    this.#hasFileBytes = false;
  }

  endEpoch(): void {
    if (this.#available > 0) throw manifestInvalid(`${this.#available} bytes of an epoch belong to no chunk`);
    if ((this.#part === null) === this.#hasFileBytes)
      throw manifestInvalid('an epoch is in a file and is not');
  }

  add(piece: Piece): void {
    const length = lengthOf(piece);
    if (length === 0) return;
    // What is at hand already is enough for any chunk.
    if (this.#available >= MAX_CHUNK_PAYLOAD_BYTES) throw manifestInvalid('bytes stand before no chunk');
    this.#hasFileBytes ||= piece.type === 'file';
    this.#pieces.push(piece);
    this.#available += length;
  }

  /** The next `length` bytes. What a file does not have is zero. */
  async take(length: number): Promise<{ payload: Uint8Array; place: DifferingChunk['place'] }> {
    if (length > this.#available) {
      throw manifestInvalid(`a chunk of ${length} bytes has only ${this.#available} before it`);
    }
    const payload = new Uint8Array(length);
    let place = null as DifferingChunk['place'];
    for (let filled = 0; filled < length;) {
      const piece = this.#pieces[0] as Piece;
      const count = Math.min(length - filled, lengthOf(piece) - this.#taken);
      const target = payload.subarray(filled, filled + count);
      if (piece.type === 'own') target.set(piece.bytes.subarray(this.#taken, this.#taken + count));
      else {
        if (this.#part === null) throw manifestInvalid('an epoch that is in no part has bytes in a file');
        const start = piece.offset + this.#taken;
        await this.#part.reader.read(start, target);
        place = { part: this.#part.number, start: place?.start ?? start, end: start + count };
      }
      filled += count;
      this.#advance(piece, count);
    }
    return { payload, place };
  }

  #advance(piece: Piece, count: number): void {
    this.#available -= count;
    this.#taken += count;
    if (this.#taken < lengthOf(piece)) return;
    this.#pieces.shift();
    this.#taken = 0;
  }
}

class DifferingChunks {
  readonly first: DifferingChunk[] = [];
  count = 0;
  #fromUs: number | null = null;
  #lastUs: number | null = null;

  beginEpoch(): void {
    this.#fromUs = null;
    this.#lastUs = null;
  }

  /** A chunk holds what was captured since the one before; those of one slice of the recorder carry the same time. */
  note(chunk: Omit<DifferingChunk, 'fromMs' | 'toMs'> & { captureTimeUs: number; isIntact: boolean }): void {
    const { sequence, epoch, place, captureTimeUs, isIntact } = chunk;
    if (captureTimeUs !== this.#lastUs) this.#fromUs = this.#lastUs;
    this.#lastUs = captureTimeUs;
    if (isIntact) return;
    this.count += 1;
    if (this.count > MAX_REPORTED_CHUNKS) return;
    const fromUs = Math.min(this.#fromUs ?? captureTimeUs, captureTimeUs);
    const [fromMs, toMs] = [Math.floor(fromUs / 1000), Math.ceil(captureTimeUs / 1000)];
    this.first.push({ sequence, epoch, fromMs, toMs, place });
  }
}

function lengthOf(piece: Piece): number {
  return piece.type === 'own' ? piece.bytes.length : piece.length;
}
