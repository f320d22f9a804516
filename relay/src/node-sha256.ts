/** SHA-256 of Node's crypto, in the form in which `shared` wants it. */
import { createHash, hash } from 'node:crypto';
import type { Sha256 } from '@proofcast/shared';

export const nodeSha256: Sha256 = {
  hash: (bytes) => hash('sha256', bytes, 'buffer'),
  begin() {
    const running = createHash('sha256');
    return {
      update: (bytes) => void running.update(bytes),
      digest: () => running.digest(),
    };
  },
};
