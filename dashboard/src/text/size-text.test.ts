import { expect, it } from 'vitest';
import { formatBytes } from './size-text.ts';

it.each([
  [0, '0 B'],
  [812, '812 B'],
  [999.9, '1.0 kB'],
  [4_130_000, '4.1 MB'],
  [99_960, '100 kB'],
  [999_600, '1.0 MB'],
  [16_400_000_000, '16 GB'],
  [5e18, '5000 PB'],
  [-1, '0 B'],
])('%d bytes read %s', (bytes, text) => {
  expect(formatBytes(bytes)).toBe(text);
});
