import { describe, expect, it } from 'vitest';
import { freshSeed, seededRandom } from '../testing/random.ts';
import { encodeViewerHead, MAX_VIEWER_PAYLOAD_BYTES, type ViewerFrame } from './chunk-frame.ts';
import { CodedError } from './errors.ts';
import { ViewerFrameStream } from './viewer-frame-stream.ts';

function encode({ payload, ...head }: ViewerFrame): Uint8Array {
  return Uint8Array.of(...encodeViewerHead({ ...head, payloadBytes: payload.length }), ...payload);
}

const head = { kind: 'media', channel: 1, epoch: 2, captureTimeUs: 3, isDiscontinuity: false } as const;

describe('a stream of viewer frames', () => {
  it('[H1] gives the same frames wherever it is cut', () => {
    const random = seededRandom(freshSeed());
    const frames = Array.from({ length: 40 }, (_, sequence) => ({
      ...head,
      kind: random.pick(['init', 'media', 'control'] as const),
      sequence,
      payload: random.bytes(random.integer(0, 200)),
    }));
    const bytes = Buffer.concat(frames.map(encode));
    for (let round = 0; round < 50; round++) {
      const stream = new ViewerFrameStream();
      const read: ViewerFrame[] = [];
      for (let at = 0; at < bytes.length;) {
        const end = at + random.integer(1, 300);
        read.push(...stream.push(bytes.subarray(at, end)));
        at = end;
      }
      expect(
        read.map((frame) => ({ ...frame, payload: new Uint8Array(frame.payload) })),
        `seed ${random.seed}`,
      ).toEqual(frames);
      expect(stream.isAtBorder).toBe(true);
    }
  });

  it('[H1] says whether it was cut within a frame', () => {
    const stream = new ViewerFrameStream();
    const frame = encode({ ...head, sequence: 1, payload: Uint8Array.of(1, 2) });
    expect(stream.push(frame.subarray(0, 33))).toEqual([]);
    expect(stream.isAtBorder).toBe(false);
    expect(stream.push(frame.subarray(33))).toHaveLength(1);
    expect(stream.isAtBorder).toBe(true);
  });

  it('[F2] refuses a head that is none, and a payload that is too large, before it has come', () => {
    const refusal = (bytes: Uint8Array): string => {
      try {
        new ViewerFrameStream().push(bytes);
      } catch (error) {
        if (error instanceof CodedError) return error.code;
      }
      return 'accepted';
    };
    const large = encodeViewerHead({ ...head, sequence: 1, payloadBytes: MAX_VIEWER_PAYLOAD_BYTES + 1 });
    expect(refusal(large)).toBe('CHUNK_TOO_LARGE');
    const unknown = encodeViewerHead({ ...head, sequence: 1, payloadBytes: 1 });
    unknown[1] = 99;
    expect(refusal(unknown)).toBe('CHUNK_FRAME_INVALID');
    expect(refusal(encodeViewerHead({ ...head, sequence: 1, payloadBytes: 1 }))).toBe('accepted');
  });
});
