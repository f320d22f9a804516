/**
 * The binary frames of both relay protocols, big-endian throughout. Every frame begins with the same head of 32 bytes;
 * a chunk from a publisher carries a proof of 128 bytes behind it; then follows the payload.
 *
 *   head                         proof (chunks only)
 *    0  u8   version (1)          32  32 B  SHA-256 of the payload
 *    1  u8   kind                 64  32 B  chain value
 *    2  u16  flags                96  64 B  Ed25519 signature, zero when the chunk is not signed
 *    4  u32  epoch
 *    8  u64  sequence
 *   16  u64  capture time (µs since 1970, publisher's clock)
 *   24  u32  payload length (bytes)
 *   28  u32  channel (relay → viewer; zero elsewhere)
 *
 * Numbered rules: docs/protocol.md, section F.
 */
import { CodedError } from './errors.ts';

export const FRAME_VERSION = 1;
export const FRAME_HEAD_BYTES = 32;
export const CHUNK_PROOF_BYTES = 128;
export const CHUNK_HEADER_BYTES = FRAME_HEAD_BYTES + CHUNK_PROOF_BYTES;
export const MAX_CHUNK_PAYLOAD_BYTES = 1024 * 1024;
export const SHA256_BYTES = 32;
export const SIGNATURE_BYTES = 64;

/** A still picture is for a small tile, or for a network that carries nothing more. */
export const MAX_STILL_BYTES = 256 * 1024;
/** Viewers get payloads of several chunks in one frame when they catch up, so theirs may be larger. */
export const MAX_VIEWER_PAYLOAD_BYTES = 4 * 1024 * 1024;

const CHUNK_KIND_CODES = { media: 1, event: 2 } as const;
/** Publisher → relay, beside the chunks: a picture that is neither numbered nor kept. */
const STILL_KIND_CODE = 3;
const VIEWER_KIND_CODES = { init: 16, media: 17, control: 18 } as const;

/** `media`: bytes of the recorder. `event`: JSON of one event, see relay-protocol. */
export type ChunkKind = keyof typeof CHUNK_KIND_CODES;
/**
 * `init`: the whole init segment of an epoch. `media`: bytes that follow, from a key cluster on. `control`: where there
 * are no text frames, the JSON of one message to the viewer; without payload it says only that the connection lives.
 */
export type ViewerFrameKind = keyof typeof VIEWER_KIND_CODES;

/** Viewer frames: the bytes do not follow those sent before; start again with the init segment. */
const FLAG_DISCONTINUITY = 1;

export interface Chunk {
  readonly kind: ChunkKind;
  readonly epoch: number;
  /** Counts the chunks of one recording from 0, across its epochs. */
  readonly sequence: number;
  /** Publisher's wall clock when the recorder delivered the bytes, microseconds since 1970. */
  readonly captureTimeUs: number;
  readonly payload: Uint8Array;
  readonly sha256: Uint8Array;
  readonly chain: Uint8Array;
  readonly signature: Uint8Array;
}

export interface ViewerFrame {
  readonly kind: ViewerFrameKind;
  /** The number that the viewer gave to the stream when it asked to watch it. */
  readonly channel: number;
  readonly epoch: number;
  /** Number of the chunk that the last payload byte came from. */
  readonly sequence: number;
  readonly captureTimeUs: number;
  readonly isDiscontinuity: boolean;
  readonly payload: Uint8Array;
}

/** One picture of a stream as it looked at `captureTimeUs`, as JPEG (ITU-T T.81). */
export interface Still {
  /** Publisher's wall clock, microseconds since 1970. */
  readonly captureTimeUs: number;
  readonly payload: Uint8Array;
}

export const EMPTY_SIGNATURE: Uint8Array = new Uint8Array(SIGNATURE_BYTES);

type HeadFields = Pick<Chunk, 'kind' | 'epoch' | 'sequence' | 'captureTimeUs'> & { payloadBytes: number };

/** The 32 bytes of a chunk's head; they are part of what its chain value covers. */
export function encodeChunkHead(fields: HeadFields): Uint8Array {
  const head = new Uint8Array(FRAME_HEAD_BYTES);
  writeHead(head, { ...fields, kindCode: CHUNK_KIND_CODES[fields.kind], flags: 0, channel: 0 });
  return head;
}

/** Header and payload of one chunk in one new array. */
export function encodeChunk(chunk: Chunk): Uint8Array {
  const frame = new Uint8Array(CHUNK_HEADER_BYTES + chunk.payload.length);
  frame.set(encodeChunkHead({ ...chunk, payloadBytes: chunk.payload.length }), 0);
  frame.set(chunk.sha256, FRAME_HEAD_BYTES);
  frame.set(chunk.chain, FRAME_HEAD_BYTES + SHA256_BYTES);
  frame.set(chunk.signature, FRAME_HEAD_BYTES + 2 * SHA256_BYTES);
  frame.set(chunk.payload, CHUNK_HEADER_BYTES);
  return frame;
}

/**
 * Decodes one binary frame from a publisher. The arrays of the result are views of `frame`.
 * Throws `CHUNK_FRAME_INVALID` or `CHUNK_TOO_LARGE`; hashes are for the caller to check.
 */
export function decodeChunk(frame: Uint8Array): Chunk {
  const head = readHead(frame, CHUNK_HEADER_BYTES);
  const kind = kindOf(CHUNK_KIND_CODES, head.kindCode);
  if (head.flags !== 0 || head.channel !== 0) throw invalid('flags and channel of a chunk are zero');
  checkPayloadLength(frame.length - CHUNK_HEADER_BYTES, head.payloadBytes, MAX_CHUNK_PAYLOAD_BYTES);
  if (head.payloadBytes === 0) throw invalid('the payload is empty');
  const chainStart = FRAME_HEAD_BYTES + SHA256_BYTES;
  const signatureStart = chainStart + SHA256_BYTES;
  return {
    kind,
    epoch: head.epoch,
    sequence: head.sequence,
    captureTimeUs: head.captureTimeUs,
    sha256: frame.subarray(FRAME_HEAD_BYTES, chainStart),
    chain: frame.subarray(chainStart, signatureStart),
    signature: frame.subarray(signatureStart, CHUNK_HEADER_BYTES),
    payload: frame.subarray(CHUNK_HEADER_BYTES),
  };
}

/** Head and payload of one still picture in one new array. */
export function encodeStill({ captureTimeUs, payload }: Still): Uint8Array {
  const frame = new Uint8Array(FRAME_HEAD_BYTES + payload.length);
  writeHead(frame, { ...EMPTY_HEAD, kindCode: STILL_KIND_CODE, captureTimeUs, payloadBytes: payload.length });
  frame.set(payload, FRAME_HEAD_BYTES);
  return frame;
}

/** Whether a binary frame of a publisher is a still picture; any other is for `decodeChunk`. */
export function isStillFrame(frame: Uint8Array): boolean {
  return frame[1] === STILL_KIND_CODE;
}

/**
 * Decodes a still picture; the payload is a view of `frame`. Throws `CHUNK_FRAME_INVALID`, also when the payload does
 * not begin as a JPEG does, or `CHUNK_TOO_LARGE`.
 */
export function decodeStill(frame: Uint8Array): Still {
  const { kindCode, captureTimeUs, payloadBytes, ...zeros } = readHead(frame, FRAME_HEAD_BYTES);
  if (kindCode !== STILL_KIND_CODE) throw invalid(`its kind is ${kindCode}`);
  if (Object.values(zeros).some((value) => value !== 0)) {
    throw invalid('flags, epoch, sequence and channel of a still picture are zero');
  }
  checkPayloadLength(frame.length - FRAME_HEAD_BYTES, payloadBytes, MAX_STILL_BYTES);
  const payload = frame.subarray(FRAME_HEAD_BYTES);
  if (!JPEG_MAGIC.every((byte, index) => payload[index] === byte)) throw invalid('its payload is no JPEG');
  return { captureTimeUs, payload };
}

export type ViewerFrameHead = Omit<ViewerFrame, 'payload'> & { readonly payloadBytes: number };

/** The head of a viewer frame alone, so that one payload buffer can be shared by all viewers. */
export function encodeViewerHead(frame: ViewerFrameHead): Uint8Array {
  const head = new Uint8Array(FRAME_HEAD_BYTES);
  writeViewerHead(head, frame);
  return head;
}

/** The same into the first bytes of `target`. */
export function writeViewerHead(target: Uint8Array, frame: ViewerFrameHead): void {
  const { epoch, sequence, captureTimeUs, payloadBytes, channel } = frame;
  const kindCode = VIEWER_KIND_CODES[frame.kind];
  const flags = frame.isDiscontinuity ? FLAG_DISCONTINUITY : 0;
  writeHead(target, { kindCode, flags, epoch, sequence, captureTimeUs, payloadBytes, channel });
}

/** Decodes one binary frame from the relay; the payload is a view of `frame`. Throws as `decodeChunk` does. */
export function decodeViewerFrame(frame: Uint8Array): ViewerFrame {
  const head = readHead(frame, FRAME_HEAD_BYTES);
  const kind = kindOf(VIEWER_KIND_CODES, head.kindCode);
  checkPayloadLength(frame.length - FRAME_HEAD_BYTES, head.payloadBytes, MAX_VIEWER_PAYLOAD_BYTES);
  return {
    kind,
    channel: head.channel,
    epoch: head.epoch,
    sequence: head.sequence,
    captureTimeUs: head.captureTimeUs,
    isDiscontinuity: (head.flags & FLAG_DISCONTINUITY) !== 0,
    payload: frame.subarray(FRAME_HEAD_BYTES),
  };
}

/**
 * How many bytes of payload follow a viewer frame's head, which stands at the beginning of `bytes`. Throws as
 * `decodeViewerFrame` does, so that nobody waits for a payload that is too large or of no known kind.
 */
export function readStatedPayloadBytes(bytes: Uint8Array): number {
  const { kindCode, payloadBytes } = readHead(bytes, FRAME_HEAD_BYTES);
  kindOf(VIEWER_KIND_CODES, kindCode);
  checkPayloadLength(payloadBytes, payloadBytes, MAX_VIEWER_PAYLOAD_BYTES);
  return payloadBytes;
}

interface RawHead {
  kindCode: number;
  flags: number;
  epoch: number;
  sequence: number;
  captureTimeUs: number;
  payloadBytes: number;
  channel: number;
}

const EMPTY_HEAD = { flags: 0, epoch: 0, sequence: 0, channel: 0 };
/** Start of image, then the first byte of the next marker (ITU-T T.81, annex B). */
const JPEG_MAGIC = [0xff, 0xd8, 0xff];

function writeHead(target: Uint8Array, head: RawHead): void {
  const view = new DataView(target.buffer, target.byteOffset, FRAME_HEAD_BYTES);
  view.setUint8(0, FRAME_VERSION);
  view.setUint8(1, head.kindCode);
  view.setUint16(2, head.flags);
  view.setUint32(4, head.epoch);
  setSafeInteger(view, 8, head.sequence);
  setSafeInteger(view, 16, head.captureTimeUs);
  view.setUint32(24, head.payloadBytes);
  view.setUint32(28, head.channel);
}

function readHead(frame: Uint8Array, headerBytes: number): RawHead {
  if (frame.length < headerBytes) {
    throw invalid(`it has ${frame.length} bytes, its header alone has ${headerBytes}`);
  }
  const view = new DataView(frame.buffer, frame.byteOffset, FRAME_HEAD_BYTES);
  const version = view.getUint8(0);
  if (version !== FRAME_VERSION) throw invalid(`its version is ${version}, known is ${FRAME_VERSION}`);
  return {
    kindCode: view.getUint8(1),
    flags: view.getUint16(2),
    epoch: view.getUint32(4),
    sequence: safeInteger(view.getBigUint64(8), 'sequence'),
    captureTimeUs: safeInteger(view.getBigUint64(16), 'capture time'),
    payloadBytes: view.getUint32(24),
    channel: view.getUint32(28),
  };
}

/** In halves: this runs for every viewer of every chunk, and a BigInt costs several times as much. */
function setSafeInteger(view: DataView, at: number, value: number): void {
  view.setUint32(at, Math.floor(value / 2 ** 32));
  view.setUint32(at + 4, value >>> 0);
}

/** Wire integers have 64 bits, numbers here 53: more than 280 years of microseconds, or an error. */
function safeInteger(value: bigint, what: string): number {
  if (value > BigInt(Number.MAX_SAFE_INTEGER)) throw invalid(`its ${what} exceeds 53 bits`);
  return Number(value);
}

function kindOf<K extends string>(codes: Readonly<Record<K, number>>, code: number): K {
  for (const kind of Object.keys(codes) as K[]) if (codes[kind] === code) return kind;
  throw invalid(`its kind is ${code}`);
}

function checkPayloadLength(actualBytes: number, statedBytes: number, limitBytes: number): void {
  if (actualBytes !== statedBytes) {
    throw invalid(`its header states ${statedBytes} bytes of payload, it has ${actualBytes}`);
  }
  if (actualBytes > limitBytes) {
    throw new CodedError(
      'CHUNK_TOO_LARGE',
      `Cannot accept a payload of ${actualBytes} bytes: the limit is ${limitBytes}; send it as several chunks.`,
      { details: { limitBytes } },
    );
  }
}

function invalid(because: string): CodedError {
  return new CodedError('CHUNK_FRAME_INVALID', `Cannot decode the frame: ${because}.`);
}
