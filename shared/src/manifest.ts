/**
 * The manifest of a sealed recording: what its media files do not hold of the original chunks, and where in them the rest
 * is. JSON, one item a line, so that it is written and read as a stream. Numbered rules: docs/journal.md, section M.
 *
 *   {"format":"proofcast-manifest","version":1,
 *   "recording":{…},
 *   "endReason":…,"isComplete":…,"chunkCount":…,"lastChain":"…","sealedAtMs":…,
 *   "parts":[…],
 *   "gaps":[…],
 *   "items":[
 *   ["epoch",0,0,0],
 *   …
 *   ],
 *   "sha256":"…"}             of every byte before this line
 *
 * The bytes of an epoch are those of its `file` and `own` items, one behind the other. A chunk stands behind the items
 * that hold its bytes, so that one pass over manifest and files rebuilds them all.
 */
import { Type, type Static } from 'typebox';
import { decodeBase64, encodeBase64, encodeHex } from './byte-text.ts';
import { MAX_CHUNK_PAYLOAD_BYTES, SHA256_BYTES, SIGNATURE_BYTES } from './chunk-frame.ts';
import { CodedError } from './errors.ts';
import { Gap } from './gaps.ts';
import type { RunningSha256 } from './hashing.ts';
import { CompanyId, DeviceId, RecordingId, StreamId } from './ids.ts';
import { parseJson, parseWith } from './schema.ts';

export const MANIFEST_FORMAT = 'proofcast-manifest';
export const MANIFEST_VERSION = 1;

/** What stands in one `own` item at most; more comes in several. */
export const MAX_OWN_BYTES = 48 * 1024;
/** An event of the largest payload, every byte of it escaped. */
export const MAX_MANIFEST_LINE_BYTES = 8 * MAX_CHUNK_PAYLOAD_BYTES;
/** Parts and gaps of a recording. */
export const MAX_MANIFEST_HEAD_BYTES = 16 * 1024 * 1024;

const ITEMS_BEGIN = '"items":[';
const ITEMS_END = '],';
const DIGEST_BEFORE = '"sha256":"';
const DIGEST_AFTER = '"}\n';
/** The last line has always this length. */
export const MANIFEST_DIGEST_LINE_BYTES = DIGEST_BEFORE.length + 2 * SHA256_BYTES + DIGEST_AFTER.length;

const Count = Type.Integer({ minimum: 0, maximum: Number.MAX_SAFE_INTEGER });
const Epoch = Type.Integer({ minimum: 0, maximum: 0xffff_ffff });
const HexSha256 = Type.String({ pattern: '^[0-9a-f]{64}$' });
const Base64Sha256 = Type.String({ pattern: '^[A-Za-z0-9+/]{43}=$' });
/** Empty when the chunk is not signed. */
const Base64Signature = Type.String({ pattern: '^([A-Za-z0-9+/]{86}==)?$' });

/** Why nothing follows the last chunk. */
export const EndReason = Type.Union([
  Type.Literal('stopped'),
  Type.Literal('publisher-lost'),
  Type.Literal('device-revoked'),
]);
export type EndReason = Static<typeof EndReason>;

export const ManifestPart = Type.Object({
  /** Name of the media file; it lies beside the manifest. */
  file: Type.String({ pattern: '^[A-Za-z0-9][A-Za-z0-9._-]*$', maxLength: 200 }),
  sizeBytes: Count,
  sha256: HexSha256,
  /** Publisher's wall clock where the clock of the file is zero. */
  startsAtUs: Count,
  durationMs: Type.Number({ minimum: 0 }),
});
export type ManifestPart = Static<typeof ManifestPart>;

const headFields = {
  recording: Type.Object({
    recordingId: RecordingId,
    companyId: CompanyId,
    streamId: StreamId,
    deviceId: DeviceId,
    startedAtUs: Count,
  }),
  /** Null when the recording has no end on record. */
  endReason: Type.Union([EndReason, Type.Null()]),
  /** Whether the publisher said that it has nothing more. */
  isComplete: Type.Boolean(),
  chunkCount: Count,
  /** Chain value of the last chunk; of the start when there is none. */
  lastChain: HexSha256,
  sealedAtMs: Count,
  parts: Type.Array(ManifestPart),
  gaps: Type.Array(Gap),
};
const ManifestHeadLine = Type.Object({
  format: Type.Literal(MANIFEST_FORMAT),
  version: Type.Literal(MANIFEST_VERSION),
  ...headFields,
  items: Type.Array(Type.Never()),
});
const ManifestHead = Type.Object(headFields);
export type ManifestHead = Static<typeof ManifestHead>;

const ITEM_LINES = {
  epoch: Type.Tuple([
    Type.Literal('epoch'),
    Epoch,
    Type.Union([Count, Type.Null()]),
    Type.Union([Type.Number(), Type.Null()]),
  ]),
  file: Type.Tuple([Type.Literal('file'), Count, Count]),
  own: Type.Tuple([Type.Literal('own'), Type.String({ maxLength: 2 * MAX_OWN_BYTES })]),
  media: Type.Tuple([
    Type.Literal('media'),
    Count,
    Count,
    Type.Integer({ minimum: 1, maximum: MAX_CHUNK_PAYLOAD_BYTES }),
    Base64Sha256,
    Base64Signature,
  ]),
  event: Type.Tuple([
    Type.Literal('event'),
    Count,
    Count,
    Type.String({ minLength: 1, maxLength: MAX_CHUNK_PAYLOAD_BYTES }),
    Base64Sha256,
    Base64Signature,
  ]),
} as const;

/** What both kinds of chunk have. Its number is its place among the chunks. */
interface ManifestChunk {
  readonly captureTimeUs: number;
  readonly receivedAtUs: number;
  readonly sha256: Uint8Array;
  /** Zero bytes when the chunk is not signed. */
  readonly signature: Uint8Array;
}

export type ManifestItem =
  /** What follows is of this epoch. `part` counts the files, null when none has anything of the epoch; `fileStartMs` is the file's time at the epoch's timestamp zero. */
  | {
      readonly type: 'epoch';
      readonly number: number;
      readonly part: number | null;
      readonly fileStartMs: number | null;
    }
  /** The next `length` bytes of the epoch stand in the file of its part. */
  | { readonly type: 'file'; readonly offset: number; readonly length: number }
  /** The next bytes of the epoch, which no file has. At most `MAX_OWN_BYTES`. */
  | { readonly type: 'own'; readonly bytes: Uint8Array }
  | (ManifestChunk & { readonly type: 'media'; readonly payloadBytes: number })
  | (ManifestChunk & { readonly type: 'event'; readonly payload: Uint8Array });

/** Gives out the bytes of a manifest in order: `begin`, every `item`, `end`. */
export class ManifestEncoder {
  readonly #digest: RunningSha256;
  readonly #text = new TextEncoder();
  #hasItems = false;

  /** `digest` has taken nothing yet. */
  constructor(digest: RunningSha256) {
    this.#digest = digest;
  }

  begin(head: ManifestHead): Uint8Array {
    const { recording, endReason, isComplete, chunkCount, lastChain, sealedAtMs, parts, gaps } = head;
    const format = { format: MANIFEST_FORMAT, version: MANIFEST_VERSION };
    const facts = { endReason, isComplete, chunkCount, lastChain, sealedAtMs };
    const lines = [
      `${JSON.stringify(format).slice(0, -1)},`,
      `"recording":${JSON.stringify(recording)},`,
      `${JSON.stringify(facts).slice(1, -1)},`,
      `"parts":[${parts.map((part) => `\n${JSON.stringify(part)}`).join(',')}],`,
      `"gaps":[${gaps.map((gap) => `\n${JSON.stringify(gap)}`).join(',')}],`,
      ITEMS_BEGIN,
    ];
    return this.#take(lines.join('\n'));
  }

  item(item: ManifestItem): Uint8Array {
    const separator = this.#hasItems ? ',\n' : '\n';
    this.#hasItems = true;
    return this.#take(`${separator}${JSON.stringify(toLine(item))}`);
  }

  end(): Uint8Array {
    const close = this.#take(`\n${ITEMS_END}\n`);
    const last = this.#text.encode(`${DIGEST_BEFORE}${encodeHex(this.#digest.digest())}${DIGEST_AFTER}`);
    const bytes = new Uint8Array(close.length + last.length);
    bytes.set(close, 0);
    bytes.set(last, close.length);
    return bytes;
  }

  #take(text: string): Uint8Array {
    const bytes = this.#text.encode(text);
    this.#digest.update(bytes);
    return bytes;
  }
}

function toLine(item: ManifestItem): unknown[] {
  switch (item.type) {
    case 'epoch':
      return [item.type, item.number, item.part, item.fileStartMs];
    case 'file':
      return [item.type, item.offset, item.length];
    case 'own':
      return [item.type, encodeBase64(item.bytes)];
    case 'media':
      return [item.type, item.captureTimeUs, item.receivedAtUs, item.payloadBytes, ...proofOf(item)];
    case 'event':
      return [item.type, item.captureTimeUs, item.receivedAtUs, decodeText(item.payload), ...proofOf(item)];
  }
}

function proofOf({ sha256, signature }: ManifestChunk): [sha256: string, signature: string] {
  const isSigned = signature.some((byte) => byte !== 0);
  return [encodeBase64(sha256), isSigned ? encodeBase64(signature) : ''];
}

/** Events are UTF-8, or they are not accepted. A byte order mark is part of the payload. */
function decodeText(payload: Uint8Array): string {
  return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(payload);
}

/** Whether the head ends with this line, which has no line break. */
export function endsManifestHead(line: string): boolean {
  return line === ITEMS_BEGIN;
}

/** Whether the items end with this line, which has no line break. */
export function endsManifestItems(line: string): boolean {
  return line === ITEMS_END;
}

/** `text` is all up to the line that ends the head, that included. Throws `MANIFEST_INVALID`. */
export function parseManifestHead(text: string): ManifestHead {
  const what = 'the head of the manifest';
  const value = parseJson(`${text}]}`, what, 'MANIFEST_INVALID');
  const {
    format: _format,
    version: _version,
    items: _items,
    ...head
  } = parseWith(ManifestHeadLine, value, what, 'MANIFEST_INVALID');
  return head;
}

/** `line` has no line break. Throws `MANIFEST_INVALID`. */
export function parseManifestItem(line: string, lineNumber: number): ManifestItem {
  const what = `line ${lineNumber} of the manifest`;
  const value = parseJson(line.endsWith(',') ? line.slice(0, -1) : line, what, 'MANIFEST_INVALID');
  const type: unknown = Array.isArray(value) ? value[0] : undefined;
  switch (type) {
    case 'epoch': {
      const [, number, part, fileStartMs] = parseWith(ITEM_LINES.epoch, value, what, 'MANIFEST_INVALID');
      return { type, number, part, fileStartMs };
    }
    case 'file': {
      const [, offset, length] = parseWith(ITEM_LINES.file, value, what, 'MANIFEST_INVALID');
      return { type, offset, length };
    }
    case 'own': {
      const [, bytes] = parseWith(ITEM_LINES.own, value, what, 'MANIFEST_INVALID');
      return { type, bytes: toBytes(bytes, what) };
    }
    case 'media': {
      const [, captureTimeUs, receivedAtUs, payloadBytes, sha256, signature] = parseWith(
        ITEM_LINES.media,
        value,
        what,
        'MANIFEST_INVALID',
      );
      return { type, captureTimeUs, receivedAtUs, payloadBytes, ...toProof(sha256, signature) };
    }
    case 'event': {
      const [, captureTimeUs, receivedAtUs, text, sha256, signature] = parseWith(
        ITEM_LINES.event,
        value,
        what,
        'MANIFEST_INVALID',
      );
      const payload = new TextEncoder().encode(text);
      return { type, captureTimeUs, receivedAtUs, payload, ...toProof(sha256, signature) };
    }
    default:
      throw manifestInvalid(`${what} is no item that is known`);
  }
}

/** The digest that the last line states, in hex. Throws `MANIFEST_INVALID`. */
export function parseManifestDigest(line: string): string {
  const digest = line.slice(DIGEST_BEFORE.length, -DIGEST_AFTER.length);
  if (line === `${DIGEST_BEFORE}${digest}${DIGEST_AFTER}` && /^[0-9a-f]{64}$/.test(digest)) return digest;
  throw manifestInvalid('it does not end with its SHA-256');
}

export function manifestInvalid(because: string, cause?: unknown): CodedError {
  return new CodedError(
    'MANIFEST_INVALID',
    `Cannot use the manifest: ${because}.`,
    cause === undefined ? {} : { cause },
  );
}

function toProof(sha256: string, signature: string): Pick<ManifestChunk, 'sha256' | 'signature'> {
  return {
    sha256: decodeBase64(sha256),
    signature: signature === '' ? new Uint8Array(SIGNATURE_BYTES) : decodeBase64(signature),
  };
}

function toBytes(base64: string, what: string): Uint8Array {
  try {
    return decodeBase64(base64);
  } catch (cause) {
    throw manifestInvalid(`${what} holds bytes that are not base64`, cause);
  }
}
