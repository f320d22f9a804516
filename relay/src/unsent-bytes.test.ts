import { once } from 'node:events';
import { connect, createServer, type AddressInfo, type Server, type Socket } from 'node:net';
import { setImmediate } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { leftBytes, unsentBytes } from './unsent-bytes.ts';

const MIB = 1024 * 1024;

describe('what has left a socket', () => {
  let server: Server;
  let near: Socket;
  let far: Socket;

  beforeEach(async () => {
    server = createServer().listen(0, '127.0.0.1');
    await once(server, 'listening');
    far = connect((server.address() as AddressInfo).port, '127.0.0.1');
    far.on('error', () => undefined);
    far.pause();
    [near] = (await once(server, 'connection')) as [Socket];
  });
  afterEach(() => {
    near.destroy();
    far.destroy();
    server.close();
  });

  test('is counted to the byte while one write of many megabytes is under way, and while others wait behind it', async () => {
    const written = 40 * MIB;
    const write = { hasEnded: false };
    near.write(Buffer.alloc(32 * MIB), () => (write.hasEnded = true));
    for (let n = 0; n < 8; n++) near.write(Buffer.alloc(MIB));
    let leftBefore = leftBytes(near);
    let seen = 0;
    while (!write.hasEnded) {
      const left = leftBytes(near);
      expect(unsentBytes(near)).toBe(written - left);
      expect(left).toBeGreaterThanOrEqual(leftBefore);
      if (left > leftBefore) seen += 1;
      leftBefore = left;
      far.read();
      await setImmediate();
    }
    // By the count of whole writes nothing would have left so far.
    expect(seen).toBeGreaterThan(5);
    const drained = once(near, 'drain');
    far.resume();
    await drained;
    expect([leftBytes(near), unsentBytes(near)]).toEqual([written, 0]);
  });

  test('can still be asked for after the end', async () => {
    near.write(Buffer.alloc(8 * MIB));
    near.destroy();
    await once(near, 'close');
    expect(unsentBytes(near)).toBeLessThanOrEqual(8 * MIB);
    expect(leftBytes(near)).toBeLessThanOrEqual(8 * MIB);
  });
});
