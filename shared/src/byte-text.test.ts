import { expect, it } from 'vitest';
import { decodeBase64, encodeBase64, encodeHex } from './byte-text.ts';

const EVERY_BYTE = Uint8Array.from({ length: 256 }, (_, byte) => byte);

it('is the base64 that others write, for every byte and every length', () => {
  for (const length of [0, 1, 2, 3, 255, 256]) {
    const bytes = EVERY_BYTE.subarray(0, length);
    expect(encodeBase64(bytes)).toBe(Buffer.from(bytes).toString('base64'));
    expect(decodeBase64(encodeBase64(bytes))).toEqual(bytes);
  }
  const large = new Uint8Array(100_003).map((_, index) => index * 31);
  expect(decodeBase64(encodeBase64(large))).toEqual(large);
});

it('refuses text that is no base64', () => {
  expect(() => decodeBase64('*')).toThrow();
});

it('is the hex that others write', () => {
  expect(encodeHex(EVERY_BYTE)).toBe(Buffer.from(EVERY_BYTE).toString('hex'));
});
