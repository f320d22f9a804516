// Bytes in memory in place of a file.

import type { ByteSource } from '../src/manifest-reader.ts';

export function byteSource(bytes: Uint8Array): ByteSource {
  return {
    sizeBytes: bytes.length,
    read: async (offset, length) => bytes.subarray(offset, offset + length),
  };
}
