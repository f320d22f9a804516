import { CodedError } from '@proofcast/shared';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { HeldClock } from '../../testing/held-clock.ts';
import { ScriptedSocket } from '../../testing/scripted-socket.ts';
import { sfuToken } from '../../testing/sfu-token.ts';
import { SFU_CONNECTION_STABLE_MS, SFU_CONNECT_MS, SFU_RECONNECT, SFU_REQUEST_MS } from '../config.ts';
import { SfuConnection, type StreamListener } from './sfu-connection.ts';

const STREAM = 'str_00000000000000000001';
const TOKEN_LIFE_MS = 100_000;
const AUTHENTICATED = { expiresAtMs: 0, routerRtpCapabilities: {}, iceServers: [] };

let clock: HeldClock;
let sockets: ScriptedSocket[];
let tokens: number;
let tokenLifeMs: number;
let tokenError: CodedError | null;
let connection: SfuConnection;
let told: string[];

const settle = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));
const socket = (): ScriptedSocket => {
  const last = sockets.at(-1);
  if (!last) throw new Error('No socket was opened.');
  return last;
};

interface Request {
  id: number;
  method: string;
  params: Record<string, unknown>;
}
const requests = (): Request[] => socket().sent.map((text) => JSON.parse(text) as Request);

/** Answers the last request of a method. */
async function answer(method: string, result: unknown): Promise<void> {
  const request = requests().findLast((candidate) => candidate.method === method);
  if (!request) throw new Error(`Nobody asked for ${method}.`);
  socket().receive(JSON.stringify({ id: request.id, result }));
  await settle();
}

async function authenticate(): Promise<void> {
  await settle();
  socket().open();
  await settle();
  await answer('authenticate', AUTHENTICATED);
}

/** One request over the session at hand, or over a new one. */
async function ask(): Promise<unknown> {
  const { client } = await connection.session();
  return client.request('leave', { streamId: STREAM });
}

async function view(streamListener: StreamListener): Promise<unknown> {
  const session = await connection.session();
  return connection.view({ session, listener: streamListener, streamId: STREAM, rtpCapabilities: {} });
}

function listener(): StreamListener & { readonly log: string[] } {
  const log: string[] = [];
  return {
    log,
    onProducerAdded: () => log.push('producer'),
    onConsumerClosed: (consumerId) => log.push(`consumer ${consumerId}`),
    onSendingDelay: (delayMs) => log.push(`sending takes ${delayMs}`),
    onClosed: ({ code }) => log.push(`closed ${code}`),
  };
}

beforeEach(() => {
  clock = new HeldClock();
  sockets = [];
  tokens = 0;
  tokenLifeMs = TOKEN_LIFE_MS;
  tokenError = null;
  told = [];
  connection = new SfuConnection({
    createToken: () => {
      tokens += 1;
      if (tokenError) return Promise.reject(tokenError);
      return Promise.resolve({
        url: 'ws://sfu.test/signaling',
        token: sfuToken(clock.nowMs(), { lifeMs: tokenLifeMs, id: `token-no-${tokens}` }),
      });
    },
    openSocket: () => {
      const opened = new ScriptedSocket();
      sockets.push(opened);
      return opened.asWebSocket;
    },
    schedule: clock.schedule,
    onSessionOpened: () => told.push('session opened'),
    onStreamOnline: (streamId) => told.push(`online ${streamId}`),
    onTransportClosed: (transportId) => told.push(`transport ${transportId}`),
    onSessionEnded: ({ code }) => told.push(`session ${code}`),
  });
});

afterEach(() => connection.close());

describe('connecting', () => {
  it('begins with the first request, and serves all of them with one socket', async () => {
    expect(sockets).toEqual([]);
    const answers = [ask(), ask()];
    await authenticate();
    expect(sockets).toHaveLength(1);
    expect(requests().map(({ method }) => method)).toEqual(['authenticate', 'leave', 'leave']);
    for (const { id, method } of requests()) {
      if (method === 'leave') socket().receive(JSON.stringify({ id, result: {} }));
    }
    await expect(Promise.all(answers)).resolves.toHaveLength(2);
  });

  it('fails a request when the SFU cannot be reached, the next ones at once, and tries again by itself', async () => {
    const first = ask();
    await settle();
    socket().end();
    await expect(first).rejects.toMatchObject({ code: 'UNAVAILABLE' });
    await expect(ask()).rejects.toMatchObject({ code: 'UNAVAILABLE' });
    expect(sockets).toHaveLength(1);
    clock.advance(SFU_RECONNECT.initialDelayMs);
    await settle();
    expect(sockets).toHaveLength(2);
    expect(told).toEqual([]);
    await authenticate();
    expect(told).toEqual(['session opened']);
  });

  it('goes on trying for ever, each time after a longer wait up to a limit', async () => {
    connection.warmUp();
    await settle();
    for (let attempt = 1; attempt < 50; attempt += 1) {
      socket().end();
      await settle();
      const longestMs = Math.min(SFU_RECONNECT.maxDelayMs, SFU_RECONNECT.initialDelayMs * 2 ** (attempt - 1));
      clock.advance(longestMs / 2 - 1);
      await settle();
      expect(sockets).toHaveLength(attempt);
      clock.advance(longestMs / 2 + 1);
      await settle();
      expect(sockets).toHaveLength(attempt + 1);
    }
  });

  it('connects again after a loss; one that does not last is followed by longer waits', async () => {
    connection.warmUp();
    for (let time = 1; time < 5; time += 1) {
      await authenticate();
      socket().end();
      await settle();
      const longestMs = SFU_RECONNECT.initialDelayMs * 2 ** (time - 1);
      clock.advance(longestMs / 2 - 1);
      await settle();
      expect(sockets).toHaveLength(time);
      clock.advance(longestMs / 2 + 1);
      await settle();
      expect(sockets).toHaveLength(time + 1);
    }
    await authenticate();
    expect(told.filter((text) => text === 'session opened')).toHaveLength(5);
    clock.advance(SFU_CONNECTION_STABLE_MS);
    socket().end();
    await settle();
    clock.advance(SFU_RECONNECT.initialDelayMs);
    await settle();
    expect(sockets).toHaveLength(6);
  });

  it('gives up a socket that does not open in time', async () => {
    const request = ask();
    await settle();
    clock.advance(SFU_CONNECT_MS);
    await expect(request).rejects.toMatchObject({ code: 'TIMEOUT' });
    expect(socket().closedWith).toBeDefined();
  });

  it('tries at once again when it hears that the network is back', async () => {
    connection.warmUp();
    await settle();
    socket().end();
    await settle();
    connection.retryNow();
    await settle();
    expect(sockets).toHaveLength(2);
  });
});

describe('the token', () => {
  it('is renewed before it expires', async () => {
    connection.warmUp();
    await authenticate();
    clock.advance(TOKEN_LIFE_MS * 0.75);
    await settle();
    const jtis = requests().map(({ params }) => {
      const payload = String(params['token']).split('.')[1] ?? '';
      return (JSON.parse(Buffer.from(payload, 'base64url').toString()) as { jti: string }).jti;
    });
    expect(jtis).toEqual(['token-no-1', 'token-no-2']);
  });

  it('that lives only for a moment is not renewed in a loop', async () => {
    tokenLifeMs = 0;
    connection.warmUp();
    await authenticate();
    clock.advance(1_000);
    await settle();
    expect(tokens).toBe(1);
  });

  it('that cannot be renewed stays in use, and is asked for again', async () => {
    connection.warmUp();
    await authenticate();
    tokenError = new CodedError('UNAVAILABLE', 'the relay is down');
    clock.advance(TOKEN_LIFE_MS * 0.75);
    await settle();
    expect(socket().closedWith).toBeUndefined();
    tokenError = null;
    clock.advance(TOKEN_LIFE_MS / 20);
    await settle();
    expect(requests().filter(({ method }) => method === 'authenticate')).toHaveLength(2);
  });
});

describe('a stream', () => {
  it('hears what the SFU announces about it, and nothing of others', async () => {
    const mine = listener();
    const viewing = view(mine);
    await authenticate();
    await answer('view', {
      transport: { id: 't', iceParameters: {}, iceCandidates: [], dtlsParameters: {} },
      consumers: [],
    });
    await viewing;
    const announce = (notification: string, params: object) =>
      socket().receive(JSON.stringify({ notification, params }));
    announce('producerAdded', { streamId: 'str_00000000000000000002', kind: 'video' });
    announce('producerAdded', { streamId: STREAM, kind: 'video' });
    announce('consumerClosed', { streamId: STREAM, consumerId: 'c' });
    announce('sendingDelay', { streamId: STREAM, delayMs: 12 });
    announce('transportClosed', { transportId: 't' });
    announce('streamClosed', { streamId: STREAM, code: 'WORKER_DIED' });
    announce('streamClosed', { streamId: STREAM, code: 'WORKER_DIED' });
    announce('streamOnline', { streamId: STREAM });
    expect(told).toEqual(['session opened', 'transport t', `online ${STREAM}`]);
    expect(mine.log).toEqual(['producer', 'consumer c', 'sending takes 12', 'closed WORKER_DIED']);
  });

  it('is over when the connection is lost', async () => {
    const mine = listener();
    const viewing = view(mine);
    await authenticate();
    socket().end(4503, 'SHUTTING_DOWN: bye');
    await expect(viewing).rejects.toMatchObject({ code: 'SHUTTING_DOWN' });
    expect(mine.log).toEqual(['closed SHUTTING_DOWN']);
    expect(told).toEqual(['session opened', 'session SHUTTING_DOWN']);
  });

  it('is viewed again only after the SFU has answered that it was left', async () => {
    const [mine, next] = [listener(), listener()];
    view(mine).catch(() => undefined);
    await authenticate();
    connection.leave(STREAM, mine);
    view(next).catch(() => undefined);
    await settle();
    expect(requests().map(({ method }) => method)).toEqual(['authenticate', 'view', 'leave']);
    // About the one that is being left.
    const params = { streamId: STREAM, code: 'STREAM_OFFLINE' };
    socket().receive(JSON.stringify({ notification: 'streamClosed', params }));
    expect(next.log).toEqual([]);
    await answer('leave', {});
    expect(requests().at(-1)?.method).toBe('view');
  });

  it('that is left while it waits for that is never asked for', async () => {
    const [mine, next] = [listener(), listener()];
    view(mine).catch(() => undefined);
    await authenticate();
    connection.leave(STREAM, mine);
    const viewing = view(next);
    const refused = expect(viewing).rejects.toMatchObject({ code: 'MESSAGE_UNEXPECTED' });
    await settle();
    connection.leave(STREAM, next);
    await answer('leave', {});
    await refused;
    expect(requests().filter(({ method }) => method === 'view')).toHaveLength(1);
  });

  it('is not left by a player that has it no longer', async () => {
    const [old, mine] = [listener(), listener()];
    view(old).catch(() => undefined);
    await authenticate();
    view(mine).catch(() => undefined);
    await settle();
    connection.leave(STREAM, old);
    await settle();
    expect(requests().filter(({ method }) => method === 'leave')).toEqual([]);
  });
});

describe('trouble', () => {
  it('ends a request that is not answered in time', async () => {
    const request = ask();
    await authenticate();
    clock.advance(SFU_REQUEST_MS);
    await expect(request).rejects.toMatchObject({ code: 'TIMEOUT' });
  });

  it('leaves an SFU that breaks the protocol', async () => {
    const mine = listener();
    view(mine).catch(() => undefined);
    await authenticate();
    socket().receive('no json');
    expect(socket().closedWith).toMatchObject({ code: 4400 });
    expect(mine.log).toEqual(['closed MESSAGE_INVALID']);
  });
});

describe('a session that does not answer', () => {
  it('is dropped, and another one is opened', async () => {
    connection.warmUp();
    await authenticate();
    const dead = await connection.session();
    connection.drop(dead, new CodedError('TIMEOUT', 'no answer'));
    connection.drop(dead, new CodedError('TIMEOUT', 'no answer'));
    expect(socket().closedWith).toBeDefined();
    await expect(connection.session()).rejects.toMatchObject({ code: 'TIMEOUT' });
    clock.advance(SFU_RECONNECT.initialDelayMs);
    await authenticate();
    expect(sockets).toHaveLength(2);
    connection.drop(dead, new CodedError('TIMEOUT', 'no answer'));
    expect(told).toEqual(['session opened', 'session TIMEOUT', 'session opened']);
  });
});

describe('after close', () => {
  it('has closed its socket and left no timer; requests are refused', async () => {
    connection.warmUp();
    await authenticate();
    connection.close();
    connection.close();
    expect(socket().closedWith).toBeDefined();
    expect(clock.pendingCount).toBe(0);
    await expect(ask()).rejects.toMatchObject({ code: 'UNAVAILABLE' });
  });

  it('tries no more', async () => {
    connection.warmUp();
    await settle();
    socket().end();
    await settle();
    connection.close();
    expect(clock.pendingCount).toBe(0);
  });

  it('closes a socket that it was still opening', async () => {
    connection.warmUp();
    await settle();
    connection.close();
    socket().open();
    await settle();
    await answer('authenticate', AUTHENTICATED);
    expect(socket().closedWith).toBeDefined();
    expect(clock.pendingCount).toBe(0);
  });
});
