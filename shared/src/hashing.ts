/**
 * SHA-256 as `shared` uses it: passed in, because Node and browsers have it in different places. Synchronous, because it
 * is called for every chunk.
 */
export interface Sha256 {
  hash(bytes: Uint8Array): Uint8Array;
  /** For bytes that come piece by piece. */
  begin(): RunningSha256;
}

export interface RunningSha256 {
  update(bytes: Uint8Array): void;
  /** To be called once, last. */
  digest(): Uint8Array;
}
