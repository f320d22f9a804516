import {
  CodedError,
  decodeChunk,
  decodeStill,
  decodeViewerFrame,
  encodeChunk,
  type Chunk,
} from '@proofcast/shared';
import { freshSeed, seededRandom, type Random } from '@proofcast/shared/testing/random';
import { describe, expect, it } from 'vitest';

const ROUNDS = 3000;
const seeds = [1, 20261122, freshSeed()];

function randomChunk(random: Random): Chunk {
  return {
    kind: random.pick(['media', 'event']),
    epoch: random.integer(0, 2 ** 32),
    sequence: random.integer(0, Number.MAX_SAFE_INTEGER),
    captureTimeUs: random.integer(0, Number.MAX_SAFE_INTEGER),
    payload: random.bytes(random.integer(1, 400)),
    sha256: random.bytes(32),
    chain: random.bytes(32),
    signature: random.bytes(64),
  };
}

describe.each(seeds)('chunk frames, seed %d', (seed) => {
  it('[F1] come back from the wire as they were', () => {
    const random = seededRandom(seed);
    for (let round = 0; round < ROUNDS; round++) {
      const chunk = randomChunk(random);
      expect(decodeChunk(encodeChunk(chunk))).toEqual(chunk);
    }
  });

  it('[F4] that were damaged anywhere decode or are refused with a code', () => {
    const random = seededRandom(seed);
    let refusals = 0;
    for (let round = 0; round < ROUNDS; round++) {
      const frame = encodeChunk(randomChunk(random));
      for (let flips = random.integer(1, 8); flips > 0; flips--) {
        frame[random.integer(0, Math.min(frame.length, 40))] = random.integer(0, 256);
      }
      const damaged = frame.subarray(0, random.integer(0, frame.length + 1));
      for (const decode of [decodeChunk, decodeViewerFrame, decodeStill]) {
        try {
          decode(damaged);
        } catch (error) {
          expect(error).toBeInstanceOf(CodedError);
          refusals++;
        }
      }
    }
    expect(refusals).toBeGreaterThan(ROUNDS);
  });
});
