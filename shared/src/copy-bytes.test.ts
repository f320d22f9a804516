import { expect, test } from 'vitest';
import { copyBytes } from './copy-bytes.ts';

test('a copy holds none of the memory around it, of a Buffer too', () => {
  const frame = Buffer.alloc(100_000, 7);
  const copy = copyBytes(frame.subarray(10, 42));
  frame.fill(0);
  expect(copy).toEqual(new Uint8Array(32).fill(7));
  expect(copy.buffer.byteLength).toBe(32);
});
