import { once } from 'node:events';
import { createServer, type Server, type ServerResponse } from 'node:http';
import { connect, type AddressInfo, type Socket } from 'node:net';
import { setImmediate } from 'node:timers/promises';
import { createId } from '@proofcast/shared';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { HeldClock } from '../testing/held-clock.ts';
import { Downloads } from './downloads.ts';
import { leftBytes } from './unsent-bytes.ts';

const LIMITS = { maxDownloadsPerUser: 2, maxDownloadStallMs: 5_000, heartbeatIntervalMs: 1_000 };
/** More than the buffers of both ends hold. */
const MUCH = Buffer.alloc(16 * 1024 * 1024);

describe('the downloads', () => {
  let clock: HeldClock;
  let downloads: Downloads;
  let server: Server;
  let clients: Socket[];
  const [user, other] = [createId('user'), createId('user')];

  beforeEach(async () => {
    clock = new HeldClock();
    downloads = new Downloads({ limits: LIMITS, clock });
    clients = [];
    server = createServer().listen(0, '127.0.0.1');
    await once(server, 'listening');
  });
  afterEach(() => {
    for (const client of clients) client.destroy();
    server.close();
  });

  /** A request whose answer has not begun, and the client, which reads only when it is told to. */
  async function request(): Promise<{ response: ServerResponse; client: Socket }> {
    const client = connect((server.address() as AddressInfo).port, '127.0.0.1');
    client.on('error', () => undefined);
    client.pause();
    clients.push(client);
    client.write('GET / HTTP/1.1\r\nHost: test\r\n\r\n');
    const [, response] = (await once(server, 'request')) as [unknown, ServerResponse];
    return { response, client };
  }

  test('[A9] are limited for each user, until one has ended or its client has left', async () => {
    const [first, second, third] = [await request(), await request(), await request()];
    downloads.begin(user, first.response);
    downloads.begin(user, second.response);
    const refused = expect.objectContaining({ code: 'LIMIT_REACHED' });
    expect(() => downloads.begin(user, third.response)).toThrow(refused);
    downloads.begin(other, third.response);
    first.response.end('all of it');
    await once(first.response, 'close');
    const fourth = await request();
    downloads.begin(user, fourth.response);
    expect(() => downloads.begin(user, third.response)).toThrow(refused);
    second.client.destroy();
    await once(second.response, 'close');
    const fifth = await request();
    downloads.begin(user, fifth.response);
    expect(() => downloads.begin(user, third.response)).toThrow(refused);
  });

  test('[A9] of clients that had left before do not count', async () => {
    for (let n = 0; n < 5; n++) {
      const { response, client } = await request();
      client.destroy();
      await once(response, 'close');
      downloads.begin(user, response);
    }
    downloads.begin(user, (await request()).response);
  });

  test('[A9] are cut off when no byte is taken for the time that is allowed, and not before', async () => {
    const stalled = await request();
    const slow = await request();
    for (const { response } of [stalled, slow]) {
      downloads.begin(user, response);
      response.write(MUCH);
    }
    const transport = slow.response.req.socket;
    for (let beat = 0; beat < 6; beat++) {
      const before = leftBytes(transport);
      while (leftBytes(transport) === before) {
        slow.client.read();
        await setImmediate();
      }
      expect(stalled.response.destroyed).toBe(false);
      clock.advance(1_000);
    }
    clock.advance(1_000);
    await once(stalled.response, 'close');
    expect(slow.response.closed).toBe(false);
    // It makes room for another one, and one that has ended is not looked at any more.
    downloads.begin(user, (await request()).response);
    slow.client.resume();
    slow.response.end();
    await once(slow.response, 'close');
    clock.advance(60_000);
    expect(transport.destroyed).toBe(false);
  });
});
