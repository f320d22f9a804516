import { once } from 'node:events';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { RelayClient } from './relay-client.ts';

const ME = {
  userId: 'usr_00000000000000000001',
  email: 'ada@example.test',
  name: 'Ada',
  role: 'admin',
  company: { companyId: 'cmp_00000000000000000001', name: 'Acme' },
};

let server: Server;
let origin: string;
let answer: (request: IncomingMessage, response: ServerResponse) => void;
let reached: boolean[];
let unauthenticated: number;
let client: RelayClient;

const json = (status: number, body: unknown, headers: Record<string, string> = {}) => {
  answer = (_request, response) => {
    response.writeHead(status, { 'content-type': 'application/json; charset=utf-8', ...headers });
    response.end(JSON.stringify(body));
  };
};
const html = (status: number) => {
  answer = (_request, response) => {
    response.writeHead(status, { 'content-type': 'text/html' });
    response.end('<h1>nginx</h1>');
  };
};

/** Paths mean this origin, as they mean that of the page in a browser. */
const fetchFrom =
  (base: string): typeof fetch =>
  (input, init) =>
    fetch(typeof input === 'string' ? new URL(input, base) : input, init);

beforeAll(async () => {
  server = createServer((request, response) => answer(request, response));
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  origin = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
});
afterAll(() => {
  server.closeAllConnections();
  server.close();
});

beforeEach(() => {
  reached = [];
  unauthenticated = 0;
  client = new RelayClient({
    fetch: fetchFrom(origin),
    onReached: (isReached) => reached.push(isReached),
    onUnauthenticated: () => {
      unauthenticated += 1;
    },
  });
});

describe('a call', () => {
  it('returns the answer in its documented shape', async () => {
    json(200, ME);
    await expect(client.call('me')).resolves.toEqual(ME);
    expect(reached).toEqual([true]);
  });

  it('sends the body as JSON, and parameters percent-encoded in the path', async () => {
    const seen: { url: string | undefined; body: string; type: string | undefined }[] = [];
    answer = (request, response) => {
      const chunks: Buffer[] = [];
      request.on('data', (chunk: Buffer) => chunks.push(chunk));
      request.on('end', () => {
        const type = request.headers['content-type'];
        seen.push({ url: request.url, body: Buffer.concat(chunks).toString(), type });
        response.writeHead(404, { 'content-type': 'application/json' });
        response.end('{"code":"NOT_FOUND","message":"x"}');
      });
    };
    await client.call('signIn', { body: { email: 'a@b', password: 'p' } }).catch(() => undefined);
    await client.call('recording', { params: { recordingId: 'a/b' } }).catch(() => undefined);
    await client.call('recordings', { query: { limit: 5, beforeMs: 7 } }).catch(() => undefined);
    await client.call('signOut').catch(() => undefined);
    expect(seen).toEqual([
      { url: '/api/sign-in', body: '{"email":"a@b","password":"p"}', type: 'application/json' },
      { url: '/api/recordings/a%2Fb', body: '', type: undefined },
      { url: '/api/recordings?limit=5&beforeMs=7', body: '', type: undefined },
      { url: '/api/sign-out', body: '', type: undefined },
    ]);
  });

  it('refuses an answer of another shape', async () => {
    json(200, { ...ME, role: 'emperor' });
    await expect(client.call('me')).rejects.toMatchObject({ code: 'INTERNAL' });
    html(200);
    await expect(client.call('me')).rejects.toMatchObject({ code: 'INTERNAL' });
  });
});

describe('a refusal', () => {
  it('throws the coded error of the server with its details', async () => {
    json(409, { code: 'EMAIL_TAKEN', message: 'There is one.', details: { count: 1 } });
    await expect(client.call('me')).rejects.toMatchObject({
      code: 'EMAIL_TAKEN',
      message: 'There is one.',
      details: { count: 1 },
    });
    expect(reached).toEqual([true]);
  });

  it('tells after how long to try again', async () => {
    json(429, { code: 'TOO_MANY_REQUESTS', message: 'x' }, { 'retry-after': '42' });
    await expect(client.call('me')).rejects.toMatchObject({
      code: 'TOO_MANY_REQUESTS',
      details: { retryAfterS: 42 },
    });
  });

  it('announces that there is no session, and does so for nothing else', async () => {
    json(401, { code: 'UNAUTHENTICATED', message: 'x' });
    await expect(client.call('streams')).rejects.toMatchObject({ code: 'UNAUTHENTICATED' });
    expect(unauthenticated).toBe(1);
    json(401, { code: 'CREDENTIALS_WRONG', message: 'x' });
    await expect(client.call('streams')).rejects.toMatchObject({ code: 'CREDENTIALS_WRONG' });
    json(403, { code: 'FORBIDDEN', message: 'x' });
    await expect(client.call('streams')).rejects.toMatchObject({ code: 'FORBIDDEN' });
    expect(unauthenticated).toBe(1);
  });

  it.each([
    [400, 'MESSAGE_INVALID'],
    [403, 'FORBIDDEN'],
    [404, 'NOT_FOUND'],
    [413, 'MESSAGE_TOO_LARGE'],
    [418, 'INTERNAL'],
    [429, 'TOO_MANY_REQUESTS'],
    [500, 'INTERNAL'],
    [502, 'UNAVAILABLE'],
    [503, 'UNAVAILABLE'],
    [504, 'TIMEOUT'],
  ])('of something between us and the relay with status %i becomes %s', async (status, code) => {
    html(status);
    await expect(client.call('me')).rejects.toMatchObject({ code });
  });

  it('with a code that nobody knows keeps its status as the reason', async () => {
    json(403, { code: 'MADE_UP', message: 'x' });
    await expect(client.call('me')).rejects.toMatchObject({ code: 'FORBIDDEN' });
  });
});

describe('reachability', () => {
  it('is lost when a proxy answers for a relay that is down, and not when the relay itself says no', async () => {
    html(502);
    await client.call('me').catch(() => undefined);
    json(503, { code: 'SHUTTING_DOWN', message: 'x' });
    await client.call('me').catch(() => undefined);
    expect(reached).toEqual([false, true]);
  });

  it('is lost when nobody listens', async () => {
    const nowhere = createServer();
    nowhere.listen(0, '127.0.0.1');
    await once(nowhere, 'listening');
    const { port } = nowhere.address() as AddressInfo;
    nowhere.close();
    await once(nowhere, 'close');
    const lonely = new RelayClient({
      fetch: fetchFrom(`http://127.0.0.1:${port}`),
      onReached: (isReached) => reached.push(isReached),
      onUnauthenticated: () => undefined,
    });
    await expect(lonely.call('me')).rejects.toMatchObject({ code: 'UNAVAILABLE' });
    expect(reached).toEqual([false]);
  });

  it('says nothing when the caller has changed its mind', async () => {
    answer = () => undefined;
    const abort = new AbortController();
    const call = client.call('recordings', { query: {}, signal: abort.signal });
    abort.abort(new Error('not needed'));
    await expect(call).rejects.toThrow('not needed');
    expect(reached).toEqual([]);
  });
});

describe('health', () => {
  it('of a relay that is not ready is an answer, not an error', async () => {
    json(503, { status: 'unready', reasons: ['the disk is full'], journalsToRead: 0 });
    await expect(client.call('readyz')).resolves.toEqual({
      status: 'unready',
      reasons: ['the disk is full'],
      journalsToRead: 0,
    });
  });

  it('of a relay that a proxy answers for is an error', async () => {
    html(503);
    await expect(client.call('readyz')).rejects.toMatchObject({ code: 'UNAVAILABLE' });
  });
});

describe('bytes', () => {
  const params = { streamId: 'str_00000000000000000001' };
  const open = (signal: AbortSignal = new AbortController().signal) =>
    client.open('streamLive', { params, query: { fromUs: 5, untilUs: undefined }, signal });

  it('are answered as soon as the head is there, with a body that flows until it is cancelled', async () => {
    const asked = Promise.withResolvers<string>();
    const gone = Promise.withResolvers<void>();
    answer = (request, response) => {
      asked.resolve(request.url ?? '');
      response.writeHead(200).write('one');
      response.on('close', () => gone.resolve());
    };
    const abort = new AbortController();
    const response = await open(abort.signal);
    expect(await asked.promise).toBe('/api/streams/str_00000000000000000001/live?fromUs=5');
    const reader = response.body?.getReader();
    expect(new TextDecoder().decode((await reader?.read())?.value)).toBe('one');
    abort.abort();
    await expect(reader?.read()).rejects.toThrow('aborted');
    await gone.promise;
    expect(reached).toEqual([true]);
  });

  it('are refused with the code of the server, and a session that ended is told', async () => {
    json(409, { code: 'STREAM_OFFLINE', message: 'Nobody publishes it.' });
    await expect(open()).rejects.toMatchObject({ code: 'STREAM_OFFLINE' });
    json(401, { code: 'UNAUTHENTICATED', message: 'Sign in.' });
    await expect(open()).rejects.toMatchObject({ code: 'UNAUTHENTICATED' });
    expect(unauthenticated).toBe(1);
  });

  it('do not come when the server cannot be reached, or the request was cancelled', async () => {
    answer = (request) => void request.socket.destroy();
    await expect(open()).rejects.toMatchObject({ code: 'UNAVAILABLE' });
    const reason = new Error('not wanted any more');
    await expect(open(AbortSignal.abort(reason))).rejects.toBe(reason);
    expect(reached).toEqual([false]);
  });
});
