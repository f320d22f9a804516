/** Runs in a thread of its own: the SHA-256 of what is posted, part by part; asked for with an empty list. */
import { createHash } from 'node:crypto';
import { parentPort } from 'node:worker_threads';

const hash = createHash('sha256');

parentPort?.on('message', (parts: readonly Uint8Array[]) => {
  for (const part of parts) hash.update(part);
  parentPort?.postMessage(parts.length === 0 ? hash.digest() : null, []);
});
