/**
 * Reads bytes that lie scattered over a journal, and bytes of our own between them, in few large reads. Knows where a
 * piece is, not what it means.
 */
import type { ChunkTable } from './chunk-table.ts';

/** Exactly these bytes of a journal file; in `into`, if that is given and large enough. Throws `STORAGE_FAILED`. */
export type ReadBytes = (
  segment: number,
  start: number,
  byteLength: number,
  into?: Uint8Array,
) => Promise<Uint8Array>;

export type Piece =
  | { readonly kind: 'bytes'; readonly bytes: Uint8Array }
  | {
      readonly kind: 'extent';
      readonly segment: number;
      readonly start: number;
      readonly byteLength: number;
    };

/** What one read of a file may fetch, what lies between its pieces included; also bounds a batch of own bytes. */
export const READ_BYTES = 1024 * 1024;
/** The same for who asks for a range: two of these are held for each who takes it slowly. */
export const RANGE_READ_BYTES = 256 * 1024;
/** Record headers and events are read over; larger holes are worth another read. */
const MAX_HOLE_BYTES = 16 * 1024;

/** Where the bytes `[start, end)` of an epoch are, piece by piece. They must have arrived. */
export function* epochPieces(
  chunks: ChunkTable,
  { epoch, start, end }: { epoch: number; start: number; end: number },
): Generator<Piece> {
  let sequence = start < end ? chunks.find(epoch, start) : null;
  let position = start;
  while (position < end) {
    if (sequence === null || sequence >= chunks.length || chunks.epoch(sequence) !== epoch) {
      throw new Error(`Byte ${position} of epoch ${epoch} has not arrived.`);
    }
    const chunkEnd = chunks.streamEnd(sequence);
    if (chunkEnd > position) {
      const from = position - chunks.streamStart(sequence);
      const byteLength = Math.min(end, chunkEnd) - position;
      const { place } = chunks.stored(sequence);
      yield place.kind === 'memory'
        ? { kind: 'bytes', bytes: place.bytes.subarray(from, from + byteLength) }
        : { kind: 'extent', segment: place.segment, start: place.start + from, byteLength };
      position += byteLength;
    }
    sequence += 1;
  }
}

/** The bytes of the pieces, in order. While one batch is being used, the next is read. */
export async function* readPieces(pieces: Iterable<Piece>, readBytes: ReadBytes): AsyncGenerator<Uint8Array> {
  const batches = batchesOf(pieces, RANGE_READ_BYTES);
  for await (const parts of readAhead(batches, readBytes, [])) yield* parts;
}

/**
 * The same in large reads, as many pieces at a time as one of them fetches. `ring` are at least three buffers of
 * `READ_BYTES`, which are read into one after the other: a batch is good until as many others as the ring has buffers,
 * less two, were asked for.
 */
export function readBatches(
  pieces: Iterable<Piece>,
  readBytes: ReadBytes,
  ring: readonly Uint8Array[],
): AsyncGenerator<readonly Uint8Array[]> {
  return readAhead(batchesOf(pieces, READ_BYTES), readBytes, ring);
}

async function* readAhead(
  batches: Generator<Batch>,
  readBytes: ReadBytes,
  ring: readonly Uint8Array[],
): AsyncGenerator<readonly Uint8Array[]> {
  let count = 0;
  const readNext = (): Promise<Uint8Array[]> | null => {
    const batch = batches.next();
    if (batch.done === true) return null;
    const reading = readBatch(batch.value, readBytes, ring[count++ % ring.length]);
    // It may fail long before it is asked for, or not be asked for at all; until then that is not unhandled.
    reading.catch(() => undefined);
    return reading;
  };
  for (let next = readNext(); next !== null;) {
    const parts = await next;
    next = readNext();
    yield parts;
  }
}

/** Pieces that one read of one file fetches. */
interface Batch {
  readonly pieces: Piece[];
  /** Null as long as all pieces are bytes of our own. */
  span: { readonly segment: number; readonly start: number; readonly end: number } | null;
  ownBytes: number;
}

function* batchesOf(pieces: Iterable<Piece>, maxBytes: number): Generator<Batch> {
  let batch: Batch = { pieces: [], span: null, ownBytes: 0 };
  for (const piece of splitLarge(pieces, maxBytes)) {
    if (!addTo(batch, piece, maxBytes)) {
      yield batch;
      batch = { pieces: [], span: null, ownBytes: 0 };
      addTo(batch, piece, maxBytes);
    }
  }
  if (batch.pieces.length > 0) yield batch;
}

/** No piece is larger than a read. */
function* splitLarge(pieces: Iterable<Piece>, maxBytes: number): Generator<Piece> {
  for (const piece of pieces) {
    if (piece.kind === 'bytes' || piece.byteLength <= maxBytes) yield piece;
    else {
      for (let done = 0; done < piece.byteLength; done += maxBytes) {
        const byteLength = Math.min(maxBytes, piece.byteLength - done);
        yield { ...piece, start: piece.start + done, byteLength };
      }
    }
  }
}

/** Whether the piece still fits into the batch, to which it is then added. */
function addTo(batch: Batch, piece: Piece, maxBytes: number): boolean {
  if (piece.kind === 'bytes') {
    if (batch.pieces.length > 0 && batch.ownBytes + piece.bytes.length > maxBytes) return false;
    batch.ownBytes += piece.bytes.length;
  } else {
    const { segment, start, byteLength } = piece;
    const end = start + byteLength;
    const { span } = batch;
    if (span !== null) {
      const isNext = span.segment === segment && start >= span.end && start - span.end <= MAX_HOLE_BYTES;
      if (!isNext || end - span.start > maxBytes) return false;
    }
    batch.span = { segment, start: span?.start ?? start, end };
  }
  batch.pieces.push(piece);
  return true;
}

async function readBatch(
  { pieces, span }: Batch,
  readBytes: ReadBytes,
  into: Uint8Array | undefined,
): Promise<Uint8Array[]> {
  const fetched =
    span === null ? new Uint8Array() : await readBytes(span.segment, span.start, span.end - span.start, into);
  return pieces.map((piece) => {
    if (piece.kind === 'bytes') return piece.bytes;
    const from = piece.start - (span?.start ?? 0);
    return fetched.subarray(from, from + piece.byteLength);
  });
}
