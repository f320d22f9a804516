import { once } from 'node:events';
import { connect, createServer, type AddressInfo, type Server, type Socket } from 'node:net';
import { setImmediate } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { HeldClock } from '../testing/held-clock.ts';
import { cutOffStalled } from './stalled-peer.ts';
import { leftBytes } from './unsent-bytes.ts';

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

  /** Lets the far end take bytes, a few at a time, until `isEnough`. */
  async function takeUntil(isEnough: () => boolean): Promise<void> {
    while (!isEnough()) {
      far?.read();
      await setImmediate();
    }
  }

  test('[V5] is cut off when none have left for the time that is allowed', () => {
    near?.write(MUCH);
    // At the first beat it has taken what its buffers hold.
    for (let beat = 0; beat < 6; beat++) clock.advance(1_000);
    expect([near?.destroyed, beats]).toEqual([false, 6]);
    clock.advance(1_000);
    expect([near?.destroyed, beats]).toEqual([true, 6]);
    clock.advance(60_000);
    expect(beats).toBe(6);
  });

  test('[V5] is not while none wait for it', async () => {
    near?.write(Buffer.alloc(1_000));
    await once(far as Socket, 'readable');
    for (let beat = 0; beat < 20; beat++) clock.advance(1_000);
    expect([near?.destroyed, beats]).toEqual([false, 20]);
  });

  test('[V5] is not as long as it takes some, also when one write takes minutes', async () => {
    const socket = near as Socket;
    const write = { hasEnded: false };
    socket.write(MUCH, () => (write.hasEnded = true));
    let beatsInOneWrite = 0;
    for (; !write.hasEnded; beatsInOneWrite++) {
      const before = leftBytes(socket);
      await takeUntil(() => leftBytes(socket) > before || write.hasEnded);
      for (let beat = 0; beat < 5; beat++) clock.advance(1_000);
    }
    expect(beatsInOneWrite).toBeGreaterThan(5);
    expect([socket.destroyed, beats]).toEqual([false, 5 * beatsInOneWrite]);
    // Once it takes nothing again, it is.
    socket.write(MUCH);
    for (let beat = 0; beat < 7; beat++) clock.advance(1_000);
    expect(socket.destroyed).toBe(true);
  });

  test('is let alone after it was said that nobody watches it any more', () => {
    stop();
    near?.write(MUCH);
    for (let beat = 0; beat < 20; beat++) clock.advance(1_000);
    expect([near?.destroyed, beats]).toEqual([false, 0]);
  });
});
