// Runs the webm scanner over pieces of a stream and keeps all that it says, a failure included.

import { WebmScanner, type WebmItem, type WebmLimits } from '../src/webm.ts';

export interface WebmScan {
  items: WebmItem[];
  /** For each item that came from a push: how many bytes had been pushed by then. The others are owed at the end. */
  reportedAt: number[];
  /** What `push` threw, if it did. */
  failure: unknown;
}

/** Pushes the pieces one by one, until there are no more or one of them makes the scanner fail, then finishes. */
export function scanPieces(pieces: Iterable<Uint8Array>, limits: Partial<WebmLimits> = {}): WebmScan {
  const scanner = new WebmScanner({ limits });
  const scan: WebmScan = { items: [], reportedAt: [], failure: null };
  let pushed = 0;
  for (const piece of pieces) {
    pushed += piece.length;
    try {
      const items = scanner.push(piece);
      scan.items.push(...items);
      scan.reportedAt.push(...items.map(() => pushed));
    } catch (failure) {
      scan.failure = failure;
      break;
    }
  }
  scan.items.push(...scanner.finish());
  return scan;
}

/** The stream in pieces of at most `size` bytes. */
export function* cutEvery(bytes: Uint8Array, size: number): Generator<Uint8Array> {
  for (let start = 0; start < bytes.length; start += size) yield bytes.subarray(start, start + size);
}
