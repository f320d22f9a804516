/** Reads a manifest as a stream: its digest first, then its head, then item by item. Holds one buffer and one line. */
import { encodeHex } from './byte-text.ts';
import type { Sha256 } from './hashing.ts';
import {
  endsManifestHead,
  endsManifestItems,
  MANIFEST_DIGEST_LINE_BYTES,
  manifestInvalid,
  MAX_MANIFEST_HEAD_BYTES,
  MAX_MANIFEST_LINE_BYTES,
  parseManifestDigest,
  parseManifestHead,
  parseManifestItem,
  type ManifestHead,
  type ManifestItem,
} from './manifest.ts';

/** A file, wherever it is. */
export interface ByteSource {
  readonly sizeBytes: number;
  /** `length` bytes from `offset` on, fewer at the end. */
  read(offset: number, length: number): Promise<Uint8Array>;
}

export interface Manifest {
  readonly head: ManifestHead;
  /** From the first one on, with every call. Throws `MANIFEST_INVALID`. */
  items(): AsyncGenerator<ManifestItem>;
}

/** Small enough that its items do not hold up whoever else waits for the processor. */
const READ_BYTES = 64 * 1024;
const LINE_FEED = 0x0a;

/** Throws `MANIFEST_INVALID` when a byte of it is not what was written, or when it is of another version. */
export async function openManifest(source: ByteSource, sha256: Sha256): Promise<Manifest> {
  await checkDigest(source, sha256);
  const { head, itemsLine, itemsOffset } = await readHead(source);
  return { head, items: () => readItems(source, { lineNumber: itemsLine, offset: itemsOffset }) };
}

async function checkDigest(source: ByteSource, sha256: Sha256): Promise<void> {
  const coveredBytes = source.sizeBytes - MANIFEST_DIGEST_LINE_BYTES;
  if (coveredBytes < 0) throw manifestInvalid('it is too short');
  const lastLine = await source.read(coveredBytes, MANIFEST_DIGEST_LINE_BYTES);
  const stated = parseManifestDigest(new TextDecoder().decode(lastLine));
  const digest = sha256.begin();
  for (let offset = 0; offset < coveredBytes;) {
    const bytes = await source.read(offset, Math.min(READ_BYTES, coveredBytes - offset));
    if (bytes.length === 0) throw manifestInvalid('it became shorter while it was read');
    digest.update(bytes);
    offset += bytes.length;
  }
  if (encodeHex(digest.digest()) !== stated) throw manifestInvalid('it does not have the SHA-256 it states');
}

async function readHead(
  source: ByteSource,
): Promise<{ head: ManifestHead; itemsLine: number; itemsOffset: number }> {
  const lines: string[] = [];
  let headBytes = 0;
  for await (const { text, end } of linesOf(source, 0)) {
    lines.push(text);
    headBytes = end;
    if (endsManifestHead(text)) {
      return { head: parseManifestHead(lines.join('\n')), itemsLine: lines.length, itemsOffset: end };
    }
    if (headBytes > MAX_MANIFEST_HEAD_BYTES) break;
  }
  throw manifestInvalid(`its head does not end within ${headBytes} bytes`);
}

async function* readItems(
  source: ByteSource,
  from: { lineNumber: number; offset: number },
): AsyncGenerator<ManifestItem> {
  let { lineNumber } = from;
  for await (const { text } of linesOf(source, from.offset)) {
    lineNumber += 1;
    if (endsManifestItems(text)) return;
    yield parseManifestItem(text, lineNumber);
  }
  throw manifestInvalid('its items have no end');
}

/** Lines without their line break; `end` is where the next one begins. What follows the last break is no line. */
async function* linesOf(source: ByteSource, from: number): AsyncGenerator<{ text: string; end: number }> {
  const decoder = new TextDecoder();
  let rest: Uint8Array = new Uint8Array();
  let offset = from;
  while (offset < source.sizeBytes) {
    const read = await source.read(offset, READ_BYTES);
    if (read.length === 0) return;
    const bytes = rest.length === 0 ? read : concat(rest, read);
    const bytesStart = offset - rest.length;
    offset += read.length;
    let lineStart = 0;
    let lineEnd = bytes.indexOf(LINE_FEED, rest.length);
    for (; lineEnd !== -1; lineEnd = bytes.indexOf(LINE_FEED, lineStart)) {
      yield { text: decoder.decode(bytes.subarray(lineStart, lineEnd)), end: bytesStart + lineEnd + 1 };
      lineStart = lineEnd + 1;
    }
    rest = bytes.subarray(lineStart);
    if (rest.length > MAX_MANIFEST_LINE_BYTES) {
      throw manifestInvalid(`it has a line of more than ${MAX_MANIFEST_LINE_BYTES} bytes`);
    }
  }
}

function concat(a: Uint8Array, b: Uint8Array): Uint8Array {
  const whole = new Uint8Array(a.length + b.length);
  whole.set(a, 0);
  whole.set(b, a.length);
  return whole;
}
