import { describe, expect, it } from 'vitest';
import {
  CHUNK_HEADER_BYTES,
  decodeChunk,
  decodeStill,
  decodeViewerFrame,
  EMPTY_SIGNATURE,
  encodeChunk,
  encodeStill,
  encodeViewerHead,
  isStillFrame,
  MAX_CHUNK_PAYLOAD_BYTES,
  MAX_STILL_BYTES,
  type Chunk,
} from './chunk-frame.ts';
import { CodedError } from './errors.ts';

const chunk: Chunk = {
  kind: 'media',
  epoch: 3,
  sequence: 2 ** 40 + 7,
  captureTimeUs: 1_790_000_000_123_456,
  payload: Uint8Array.of(1, 2, 3),
  sha256: new Uint8Array(32).fill(0xaa),
  chain: new Uint8Array(32).fill(0xbb),
  signature: new Uint8Array(64).fill(0xcc),
};

function codeOf(action: () => unknown): string {
  try {
    action();
  } catch (error) {
    if (error instanceof CodedError) return error.code;
    throw error;
  }
  return 'accepted';
}

/** A valid frame with one place overwritten. */
function tampered(change: (view: DataView) => void): Uint8Array {
  const frame = encodeChunk(chunk);
  change(new DataView(frame.buffer));
  return frame;
}

describe('chunk frames', () => {
  it('[F1] decode to what was encoded', () => {
    expect(decodeChunk(encodeChunk(chunk))).toEqual(chunk);
    const event: Chunk = { ...chunk, kind: 'event', signature: EMPTY_SIGNATURE };
    expect(decodeChunk(encodeChunk(event))).toEqual(event);
  });

  it('[F1] decode from the middle of a larger buffer', () => {
    const frame = encodeChunk(chunk);
    const larger = new Uint8Array(frame.length + 20);
    larger.set(frame, 10);
    expect(decodeChunk(larger.subarray(10, 10 + frame.length))).toEqual(chunk);
  });

  it('[F1] lay out the head as documented', () => {
    const view = new DataView(encodeChunk(chunk).buffer);
    expect(view.getUint8(0)).toBe(1);
    expect(view.getUint8(1)).toBe(1);
    expect(view.getUint32(4)).toBe(3);
    expect(view.getBigUint64(8)).toBe(2n ** 40n + 7n);
    expect(view.getBigUint64(16)).toBe(1_790_000_000_123_456n);
    expect(view.getUint32(24)).toBe(3);
    expect(view.getUint8(32)).toBe(0xaa);
    expect(view.getUint8(64)).toBe(0xbb);
    expect(view.getUint8(96)).toBe(0xcc);
    expect(view.getUint8(160)).toBe(1);
  });

  it.each([
    ['an unknown version', (view: DataView) => view.setUint8(0, 2)],
    ['an unknown kind', (view: DataView) => view.setUint8(1, 9)],
    ['the kind of a viewer frame', (view: DataView) => view.setUint8(1, 17)],
    ['flags', (view: DataView) => view.setUint16(2, 1)],
    ['a channel', (view: DataView) => view.setUint32(28, 1)],
    ['a stated length that is too short', (view: DataView) => view.setUint32(24, 2)],
    ['a stated length that is too long', (view: DataView) => view.setUint32(24, 4)],
    ['a sequence beyond 53 bits', (view: DataView) => view.setBigUint64(8, 2n ** 60n)],
    ['a time beyond 53 bits', (view: DataView) => view.setBigUint64(16, 2n ** 60n)],
  ])('[F2] with %s are refused', (_, change) => {
    expect(codeOf(() => decodeChunk(tampered(change)))).toBe('CHUNK_FRAME_INVALID');
  });

  it('[F2] without payload, or shorter than their header, are refused', () => {
    expect(codeOf(() => decodeChunk(encodeChunk({ ...chunk, payload: new Uint8Array() })))).toBe(
      'CHUNK_FRAME_INVALID',
    );
    for (const length of [0, 1, CHUNK_HEADER_BYTES - 1]) {
      expect(codeOf(() => decodeChunk(encodeChunk(chunk).subarray(0, length)))).toBe('CHUNK_FRAME_INVALID');
    }
  });

  it('[F3] take a payload of the limit and refuse one byte more', () => {
    const largest = { ...chunk, payload: new Uint8Array(MAX_CHUNK_PAYLOAD_BYTES) };
    expect(decodeChunk(encodeChunk(largest)).payload.length).toBe(MAX_CHUNK_PAYLOAD_BYTES);
    const larger = { ...chunk, payload: new Uint8Array(MAX_CHUNK_PAYLOAD_BYTES + 1) };
    expect(codeOf(() => decodeChunk(encodeChunk(larger)))).toBe('CHUNK_TOO_LARGE');
  });
});

describe('viewer frames', () => {
  const head = {
    kind: 'init',
    channel: 0xffff_ffff,
    epoch: 1,
    sequence: 9,
    captureTimeUs: 5,
    isDiscontinuity: true,
  } as const;

  it('[F1] decode to what was encoded, the payload being sent behind its head', () => {
    const payload = Uint8Array.of(9, 8);
    const frame = Uint8Array.of(...encodeViewerHead({ ...head, payloadBytes: payload.length }), ...payload);
    expect(decodeViewerFrame(frame)).toEqual({ ...head, payload });
  });

  it('[F1] carry numbers of up to 53 bits', () => {
    const largest = { sequence: Number.MAX_SAFE_INTEGER, captureTimeUs: Number.MAX_SAFE_INTEGER - 1 };
    for (const numbers of [largest, { sequence: 2 ** 32, captureTimeUs: 2 ** 32 - 1 }]) {
      expect(decodeViewerFrame(encodeViewerHead({ ...head, ...numbers, payloadBytes: 0 }))).toMatchObject(
        numbers,
      );
    }
  });

  it('[H2] of kind control may be empty', () => {
    const frame = encodeViewerHead({ ...head, kind: 'control', payloadBytes: 0 });
    expect(decodeViewerFrame(frame)).toMatchObject({ kind: 'control', payload: new Uint8Array() });
  });

  it('[F2] of the publisher kind are refused', () => {
    expect(codeOf(() => decodeViewerFrame(encodeChunk(chunk)))).toBe('CHUNK_FRAME_INVALID');
  });
});

describe('still pictures', () => {
  const still = { captureTimeUs: 1_790_000_000_123_456, payload: Uint8Array.of(0xff, 0xd8, 0xff, 0xe0, 1) };

  it('[F5] decode to what was encoded, and are told from chunks', () => {
    const frame = encodeStill(still);
    expect(isStillFrame(frame)).toBe(true);
    expect(decodeStill(frame)).toEqual(still);
    expect(isStillFrame(encodeChunk(chunk))).toBe(false);
    expect(isStillFrame(new Uint8Array())).toBe(false);
    expect(codeOf(() => decodeChunk(frame))).toBe('CHUNK_FRAME_INVALID');
    expect(codeOf(() => decodeStill(encodeChunk(chunk)))).toBe('CHUNK_FRAME_INVALID');
  });

  it.each([
    ['an unknown version', (view: DataView) => view.setUint8(0, 2)],
    ['flags', (view: DataView) => view.setUint16(2, 1)],
    ['an epoch', (view: DataView) => view.setUint32(4, 1)],
    ['a number', (view: DataView) => view.setUint32(12, 1)],
    ['a channel', (view: DataView) => view.setUint32(28, 1)],
    ['another length', (view: DataView) => view.setUint32(24, 4)],
    ['something that is no JPEG', (view: DataView) => view.setUint8(33, 0xd9)],
  ])('[F5] with %s are refused', (_, change) => {
    const frame = encodeStill(still);
    change(new DataView(frame.buffer));
    expect(codeOf(() => decodeStill(frame))).toBe('CHUNK_FRAME_INVALID');
  });

  it('[F5] take a picture of the limit and refuse one byte more, and one that is cut off', () => {
    const picture = (byteLength: number): Uint8Array => {
      const payload = new Uint8Array(byteLength);
      payload.set(still.payload);
      return payload;
    };
    const largest = encodeStill({ ...still, payload: picture(MAX_STILL_BYTES) });
    expect(decodeStill(largest).payload.length).toBe(MAX_STILL_BYTES);
    const larger = encodeStill({ ...still, payload: picture(MAX_STILL_BYTES + 1) });
    expect(codeOf(() => decodeStill(larger))).toBe('CHUNK_TOO_LARGE');
    expect(codeOf(() => decodeStill(encodeStill({ ...still, payload: Uint8Array.of(0xff, 0xd8) })))).toBe(
      'CHUNK_FRAME_INVALID',
    );
  });
});
