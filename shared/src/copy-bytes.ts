/**
 * The same bytes in memory of their own, to be kept when what is around them may go. `slice` does not do that for
 * Node's Buffer, whose `slice` is a view like `subarray`.
 */
export function copyBytes(bytes: Uint8Array): Uint8Array<ArrayBuffer> {
  return new Uint8Array(bytes);
}
