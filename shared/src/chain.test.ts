import { createHash } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { bytesEqual, chainInput, encodeStartRecord } from './chain.ts';
import { encodeChunkHead } from './chunk-frame.ts';

const sha256 = (bytes: Uint8Array) => new Uint8Array(createHash('sha256').update(bytes).digest());
const start = { recordingId: 'rec_1', streamId: 'str_1', deviceId: 'dev_1', startedAtUs: 17 };

describe('the chain', () => {
  it('[C1] starts at a record that names recording, stream, device and time', () => {
    const text = new TextDecoder().decode(encodeStartRecord(start));
    expect(text).toBe('["proofcast-recording-1","rec_1","str_1","dev_1",17]');
  });

  it('[C1] covers the value before, the head and the hash of the payload, in that order', () => {
    const before = sha256(encodeStartRecord(start));
    const head = encodeChunkHead({ kind: 'media', epoch: 0, sequence: 1, captureTimeUs: 2, payloadBytes: 3 });
    const digest = sha256(Uint8Array.of(1, 2, 3));
    const expected = createHash('sha256').update(before).update(head).update(digest).digest();
    expect(bytesEqual(sha256(chainInput(before, head, digest)), expected)).toBe(true);
  });

  it('[C1] differs when any one byte of what it covers differs', () => {
    const input = chainInput(new Uint8Array(32), new Uint8Array(32), new Uint8Array(32));
    const reference = sha256(input);
    for (let position = 0; position < input.length; position++) {
      const changed = input.slice();
      changed[position] = 1;
      expect(bytesEqual(sha256(changed), reference)).toBe(false);
    }
  });
});
