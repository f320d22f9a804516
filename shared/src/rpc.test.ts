import { Type } from 'typebox';
import { beforeEach, describe, expect, it } from 'vitest';
import { CodedError } from './errors.ts';
import { RpcClient, RpcServer } from './rpc.ts';

const requests = {
  double: { params: Type.Object({ n: Type.Number() }), result: Type.Object({ n: Type.Number() }) },
} as const;
const notifications = { tick: Type.Object({ n: Type.Integer() }) } as const;

/** Both ends with the wire between them in the hands of the test. */
function createPair(double: (params: { n: number }) => { n: number } | Promise<{ n: number }>) {
  const toServer: string[] = [];
  const toClient: string[] = [];
  const ticks: number[] = [];
  const failures: unknown[] = [];
  const timeouts: (() => void)[] = [];
  const client = new RpcClient({
    requests,
    notifications,
    send: (text) => toServer.push(text),
    onNotification: { tick: ({ n }) => ticks.push(n) },
    timeoutMs: 1000,
    schedule: (callback) => {
      timeouts.push(callback);
      return () => timeouts.splice(timeouts.indexOf(callback), 1);
    },
  });
  const server = new RpcServer({
    requests,
    notifications,
    send: (text) => toClient.push(text),
    handlers: { double },
    onFailure: (_, error) => failures.push(error),
  });
  const deliver = async () => {
    for (const text of toServer.splice(0)) await server.receive(text);
    for (const text of toClient.splice(0)) client.receive(text);
  };
  return { client, server, toServer, toClient, ticks, failures, timeouts, deliver };
}

describe('requests', () => {
  let pair: ReturnType<typeof createPair>;
  beforeEach(() => {
    pair = createPair(({ n }) => ({ n: 2 * n }));
  });

  it('are answered each with its own result, whatever the order', async () => {
    const [first, second] = [
      pair.client.request('double', { n: 1 }),
      pair.client.request('double', { n: 2 }),
    ];
    pair.toServer.reverse();
    await pair.deliver();
    expect(await first).toEqual({ n: 2 });
    expect(await second).toEqual({ n: 4 });
    expect(pair.timeouts).toHaveLength(0);
  });

  it('[S10] that are unknown or wrong are refused with a code', async () => {
    await pair.server.receive('{"id":1,"method":"toString","params":{}}');
    await pair.server.receive('{"id":2,"method":"double","params":{"n":"1"}}');
    expect(pair.toClient.map((text) => JSON.parse(text).error.code)).toEqual([
      'MESSAGE_INVALID',
      'MESSAGE_INVALID',
    ]);
  });

  it.each([
    '{',
    '[]',
    '{"id":0,"method":"double","params":{}}',
    '{"method":"double","params":{}}',
    '{"id":1,"result":1}',
  ])('[S10] cannot be made of %s', async (text) => {
    await expect(pair.server.receive(text)).rejects.toMatchObject({ code: 'MESSAGE_INVALID' });
  });

  it('end with TIMEOUT, and a late answer is ignored', async () => {
    const answer = pair.client.request('double', { n: 1 });
    pair.timeouts[0]?.();
    await expect(answer).rejects.toMatchObject({ code: 'TIMEOUT' });
    await pair.deliver();
  });

  it('that are pending or come later are rejected by close with its error', async () => {
    const pending = pair.client.request('double', { n: 1 });
    const error = new CodedError('SHUTTING_DOWN', 'The service is shutting down.');
    pair.client.close(error);
    pair.client.close(new CodedError('INTERNAL', 'ignored'));
    await expect(pending).rejects.toBe(error);
    await expect(pair.client.request('double', { n: 1 })).rejects.toBe(error);
    expect(pair.timeouts).toHaveLength(0);
  });

  it('whose answer has another shape are rejected', async () => {
    const answer = pair.client.request('double', { n: 1 });
    pair.client.receive('{"id":1,"result":{"n":"two"}}');
    await expect(answer).rejects.toMatchObject({ code: 'MESSAGE_INVALID' });
  });
});

describe('handlers that throw', () => {
  it('answer with their coded error', async () => {
    const { client, deliver, failures } = createPair(() => {
      throw new CodedError('LIMIT_REACHED', 'Enough.');
    });
    const answer = client.request('double', { n: 1 });
    await Promise.all([expect(answer).rejects.toMatchObject({ code: 'LIMIT_REACHED' }), deliver()]);
    expect(failures).toHaveLength(0);
  });

  it('of an unforeseen kind answer INTERNAL, tell nothing, and are reported', async () => {
    const { client, deliver, failures } = createPair(() => Promise.reject(new Error('secret')));
    const answer = client.request('double', { n: 1 });
    await Promise.all([
      expect(answer).rejects.toMatchObject({
        code: 'INTERNAL',
        message: expect.not.stringContaining('secret'),
      }),
      deliver(),
    ]);
    expect(failures).toHaveLength(1);
  });
});

describe('notifications', () => {
  it('arrive; unknown ones from a newer peer are passed over; malformed ones are refused', async () => {
    const { client, server, deliver, ticks } = createPair(({ n }) => ({ n }));
    server.notify('tick', { n: 5 });
    await deliver();
    client.receive('{"notification":"tock","params":{}}');
    expect(ticks).toEqual([5]);
    expect(() => client.receive('{"notification":"tick","params":{"n":"x"}}')).toThrowError(/tick/);
  });
});
