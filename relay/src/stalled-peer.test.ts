import { once } from 'node:events';
import { connect, createServer, type AddressInfo, type Server, type Socket } from 'node:net';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { HeldClock } from '../testing/held-clock.ts';
import { cutOffStalled } from './stalled-peer.ts';

const LIMITS = { heartbeatIntervalMs: 1_000, maxStallMs: 5_000 };
/** More than the buffers of both ends hold. */
const MUCH = Buffer.alloc(16 * 1024 * 1024);

describe('a peer that takes no bytes', () => {
  const clock = new HeldClock();
  let server: Server;
  let [near, far]: Socket[] = [];
  let stop: () => void;
  let beats: number;

  beforeEach(async () => {
    beats = 0;
    server = createServer({ pauseOnConnect: false }).listen(0, '127.0.0.1');
    await once(server, 'listening');
    far = connect((server.address() as AddressInfo).port, '127.0.0.1');
    far.pause();
    far.on('error', () => undefined);
    [near] = (await once(server, 'connection')) as [Socket];
    stop = cutOffStalled(near, { clock, limits: LIMITS, onBeat: () => (beats += 1) });
  });
  afterEach(() => {
    stop();
    near?.destroy();
    far?.destroy();
    server.close();
  });

  test('[V5] is cut off when none have left for the time that is allowed', () => {
    near?.write(MUCH);
    for (let beat = 0; beat < 5; beat++) clock.advance(1_000);
    expect([near?.destroyed, beats]).toEqual([false, 5]);
    clock.advance(1_000);
    expect([near?.destroyed, beats]).toEqual([true, 5]);
    clock.advance(60_000);
    expect(beats).toBe(5);
  });

  test('[V5] is not, as long as it takes some, or while none wait for it', async () => {
    for (let beat = 0; beat < 20; beat++) clock.advance(1_000);
    near?.write(Buffer.alloc(1_000));
    await once(far as Socket, 'readable');
    for (let write = 0; write < 4; write++) {
      const left = new Promise((resolve) => near?.write(MUCH, resolve));
      for (let beat = 0; beat < 4; beat++) clock.advance(1_000);
      far?.resume();
      await left;
      far?.pause();
    }
    expect(near?.destroyed).toBe(false);
  });

  test('is let alone after it was said that nobody watches it any more', () => {
    stop();
    near?.write(MUCH);
    for (let beat = 0; beat < 20; beat++) clock.advance(1_000);
    expect([near?.destroyed, beats]).toEqual([false, 0]);
  });
});
