import { once } from 'node:events';
import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { connect, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Writable } from 'node:stream';
import { pino } from 'pino';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { TestClient } from '../testing/test-client.ts';
import { startTestRelay } from '../testing/test-relay.ts';
import { readConfig, type Environment } from './config.ts';
import { startRelay } from './server.ts';

let dataDir: string;

beforeEach(async () => {
  dataDir = await mkdtemp(join(tmpdir(), 'proofcast-server-'));
});
afterEach(() => rm(dataDir, { recursive: true, force: true }));

const config = (env: Environment = {}) =>
  readConfig({ RELAY_PORT: '0', DATA_DIR: dataDir, LOG_LEVEL: 'silent', ...env });

/** A bare connection on which only these bytes were sent, and whose end of it stays open. */
async function openSocket(url: string, text: string): Promise<Socket> {
  const socket = connect({ port: Number(new URL(url).port), host: '127.0.0.1', allowHalfOpen: false });
  socket.on('error', () => {}); // Being reset is what the test is about.
  await once(socket, 'connect');
  socket.write(text);
  return socket;
}

describe('the first run', () => {
  it('makes a company and an admin with a password that nobody could guess', async () => {
    const relay = await startRelay(config({ COMPANY_NAME: 'Acme', ADMIN_EMAIL: 'Boss@Acme.test' }));
    try {
      expect(relay.firstRun).toEqual({
        email: 'Boss@Acme.test',
        password: expect.stringMatching(/^[0-9a-z]{5}(-[0-9a-z]{5}){3}$/),
        isPasswordGenerated: true,
      });
      const { email, password } = relay.firstRun ?? { email: '', password: '' };
      const me = await new TestClient(relay.url).call('signIn', { body: { email, password } });
      expect(me).toMatchObject({ role: 'admin', company: { name: 'Acme' } });
    } finally {
      await relay.close();
    }
  });

  it('is no second one: what was there stays, whatever the environment says by then', async () => {
    const first = await startRelay(config({ ADMIN_PASSWORD: 'the first password' }));
    expect(first.firstRun?.isPasswordGenerated).toBe(false);
    await first.close();
    const second = await startRelay(config({ ADMIN_PASSWORD: 'another password' }));
    try {
      expect(second.firstRun).toBeNull();
      const client = new TestClient(second.url);
      const email = 'admin@proofcast.local';
      const wrong = { email, password: 'another password' };
      expect(await client.refusal('signIn', { body: wrong })).toMatchObject({ code: 'CREDENTIALS_WRONG' });
      await client.call('signIn', { body: { email, password: 'the first password' } });
    } finally {
      await second.close();
    }
  });

  it('is finished by the next start when it was cut off after the company', async () => {
    const cut = await startRelay(config({ COMPANY_NAME: 'Acme' }));
    await cut.database.deleteFrom('users').execute();
    await cut.close();
    const next = await startRelay(config());
    try {
      expect(next.firstRun?.isPasswordGenerated).toBe(true);
      const companies = await next.database.selectFrom('companies').select('name').execute();
      expect(companies).toEqual([{ name: 'Acme' }]);
    } finally {
      await next.close();
    }
  });
});

describe('health', () => {
  it('tells that the process lives, and that it can do its work', async () => {
    const test = await startTestRelay({ env: { WARN_FREE_BYTES: '0', MIN_FREE_BYTES: '0' } });
    try {
      expect(await test.client().call('healthz')).toEqual({ status: 'ok' });
      expect(await test.client().call('readyz')).toEqual({ status: 'ready', reasons: [], journalsToRead: 0 });
    } finally {
      await test.close();
    }
  });

  it('tells with 503 why it cannot', async () => {
    const test = await startTestRelay();
    try {
      await test.relay.database.destroy();
      const response = await test.client().fetch('readyz');
      expect(response.status).toBe(503);
      expect(await response.json()).toMatchObject({
        status: 'unready',
        reasons: expect.arrayContaining([expect.stringMatching(/^The database does not answer/)]),
      });
      expect(await test.client().call('healthz')).toEqual({ status: 'ok' });
    } finally {
      await test.close();
    }
  });
});

describe('closing', () => {
  it('ends once, however often it is asked for, and nothing answers afterwards', async () => {
    const relay = await startRelay(config());
    await Promise.all([relay.close(), relay.close()]);
    await relay.close();
    await expect(fetch(`${relay.url}/healthz`)).rejects.toThrow();
  });

  it('does not wait for connections that nobody uses', async () => {
    const relay = await startRelay({ ...config(), limits: { ...config().limits, shutdownGraceMs: 600_000 } });
    const response = await fetch(`${relay.url}/healthz`);
    await response.text();
    await relay.close();
  });

  it('cuts off, after a grace time, requests that never arrive and peers that do not answer', async () => {
    const limits = { ...config().limits, shutdownGraceMs: 100 };
    const relay = await startRelay({ ...config({ ADMIN_PASSWORD: 'a password for tests' }), limits });
    const client = new TestClient(relay.url);
    const credentials = { email: 'admin@proofcast.local', password: 'a password for tests' };
    await client.call('signIn', { body: credentials });
    const { ticket } = await client.call('createViewTicket');
    // Both go silent: one in the middle of a request, the other as a websocket that never answers a close frame.
    const request = await openSocket(relay.url, 'POST /api/sign-in HTTP/1.1\r\nHost: x\r\n');
    const websocket = await openSocket(
      relay.url,
      `GET /api/view?ticket=${ticket} HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n` +
        'Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n',
    );
    const [upgraded] = (await once(websocket, 'data')) as [Buffer];
    expect(upgraded.toString()).toMatch(/^HTTP\/1\.1 101 /);
    const ended = Promise.all([once(request, 'close'), once(websocket, 'close')]);
    request.resume();
    websocket.resume();
    await relay.close();
    await ended;
  });

  it('leaves the directory to the next relay', async () => {
    const first = await startRelay(config());
    await expect(startRelay(config())).rejects.toThrow('another relay is using it');
    await first.close();
    const second = await startRelay(config());
    await second.close();
  });
});

describe('a start that fails', () => {
  it('closes what it had opened', async () => {
    const occupied = await startRelay(config());
    const port = new URL(occupied.url).port;
    const otherDir = join(dataDir, 'other');
    const other = { DATA_DIR: otherDir, RELAY_PORT: port };
    await expect(startRelay(config(other))).rejects.toThrow('EADDRINUSE');
    await occupied.close();
    // The lock of the directory is free again.
    const next = await startRelay(config(other));
    await next.close();
    // Nor has it made up a password that nobody was shown.
    expect(next.firstRun?.isPasswordGenerated).toBe(true);
    expect(await readdir(otherDir)).toContain('proofcast.sqlite');
  });
});

describe('the log', () => {
  it('has a line for each request, without tickets, tokens, cookies and passwords', async () => {
    let text = '';
    const destination = new Writable({
      write(part: Buffer, _encoding, done) {
        text += part.toString();
        done();
      },
    });
    const log = pino({ level: 'trace' }, destination);
    const relay = await startRelay(config(), { log });
    const secrets: string[] = [relay.firstRun?.password ?? ''];
    try {
      const client = new TestClient(relay.url);
      const { email, password } = relay.firstRun ?? { email: '', password: '' };
      await client.call('signIn', { body: { email, password } });
      secrets.push(client.cookie.split('=')[1] ?? '');
      const { ticket } = await client.call('createViewTicket');
      const { token } = await client.call('createSfuToken');
      secrets.push(ticket, token);
      const socket = await client.open('view', { query: { ticket } });
      await expect(client.open('view', { query: { ticket } })).rejects.toMatchObject({
        code: 'TICKET_INVALID',
      });
      await expect(
        client.open('ingest', { headers: { authorization: `Bearer ${token}` } }),
      ).rejects.toMatchObject({ code: 'TOKEN_INVALID' });
      await client.get(`/api/nothing?ticket=${ticket}`);
      await client.get(`/nothing?ticket=${ticket}`);
      socket.terminate();
    } finally {
      await relay.close();
    }
    expect(text).toContain('"path":"/api/sign-in"');
    expect(text).toContain('"path":"/api/view"');
    expect(text).toContain('"path":"/api/ingest"');
    for (const secret of secrets) {
      expect(secret.length).toBeGreaterThan(20);
      expect(text).not.toContain(secret);
    }
  });
});
