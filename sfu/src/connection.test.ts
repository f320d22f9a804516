import { createId, type Id, type ParamsOf, type SFU_REQUESTS } from '@proofcast/shared';
import { afterEach, describe, expect, it } from 'vitest';
import { WebSocket } from 'ws';
import { DTLS_PARAMETERS, RTP_CAPABILITIES, videoParameters, viewOf } from '../testing/rtp-parameters.ts';
import { runSfu, type RunningSfu } from '../testing/running-sfu.ts';
import { KeyServer, TokenIssuer } from '../testing/token-issuer.ts';

let running: RunningSfu;
afterEach(() => running.stop());

const streamId = createId('stream');

/** Every request but `authenticate`, with parameters of the right shape. */
function otherRequests(id: Id): {
  [M in Exclude<keyof typeof SFU_REQUESTS, 'authenticate'>]: ParamsOf<typeof SFU_REQUESTS, M>;
} {
  return {
    publish: { streamId: id },
    produce: { streamId: id, kind: 'video', rtpParameters: videoParameters() },
    view: viewOf(id),
    consume: { streamId: id, rtpCapabilities: RTP_CAPABILITIES },
    resumeConsumer: { streamId: id, consumerId: 'x' },
    prefer: { streamId: id, preference: { isPaused: true, isHeard: false, maxSpatialLayer: 0, priority: 1 } },
    report: { readings: [] },
    reportSending: { streamId: id, delayMs: 20 },
    connectTransport: { transportId: id, dtlsParameters: DTLS_PARAMETERS },
    restartIce: { transportId: id },
    closeTransport: { transportId: id },
    leave: { streamId: id },
  };
}
const methods = Object.keys(otherRequests(streamId)) as (keyof ReturnType<typeof otherRequests>)[];

describe('authentication', () => {
  it('[S1] every other request is refused before it, and granted or refused for other reasons after it', async () => {
    running = await runSfu();
    const client = await running.connect();
    for (const method of methods) {
      expect([method, (await client.refusal(method, otherRequests(streamId)[method])).code]).toEqual([
        method,
        'UNAUTHENTICATED',
      ]);
    }
    await client.request('authenticate', { token: await running.issuer.publisher(streamId) });
    await client.request('publish', { streamId });
  });

  it('[S1] a client that stays silent is closed with 4401', async () => {
    running = await runSfu({ limits: { authenticationTimeoutMs: 100 } });
    const client = await running.connect();
    expect(await client.closed).toMatchObject({
      code: 4401,
      reason: expect.stringMatching(/^UNAUTHENTICATED: /),
    });
  });

  it('[S1] a client that talks without authenticating is closed all the same', async () => {
    running = await runSfu({ limits: { authenticationTimeoutMs: 200 } });
    const client = await running.connect();
    for (let asked = 0; asked < 5; asked += 1) await client.refusal('leave', { streamId });
    expect((await client.closed).code).toBe(4401);
  });

  it('[S1] an authenticated client is not closed by that time limit', async () => {
    running = await runSfu({ limits: { authenticationTimeoutMs: 100 } });
    const silent = await running.connect();
    const client = await running.connect(await running.issuer.viewer());
    await silent.closed;
    expect(await client.request('leave', { streamId })).toEqual({});
  });

  it('[S1] a client whose token waits for the keys of a slow relay is not closed for that', async () => {
    const issuer = await TokenIssuer.create();
    const relay = await new KeyServer(issuer.keySet).start();
    let answer = (): void => {};
    relay.hold = new Promise((resolve) => (answer = resolve));
    running = await runSfu({
      keySource: { kind: 'url', url: relay.url },
      limits: { authenticationTimeoutMs: 100 },
    });
    const client = await running.connect();
    const authenticating = client.request('authenticate', { token: await issuer.viewer() });
    const silent = await running.connect();
    await silent.closed;
    answer();
    await authenticating;
    await relay.stop();
  });

  it('[S2] a first token that is refused is answered, and closes the connection with the same code', async () => {
    running = await runSfu();
    const cases = [
      { token: await running.issuer.viewer({ lifetimeS: -1 }), code: 'TOKEN_EXPIRED', closeCode: 4402 },
      { token: await (await TokenIssuer.create()).viewer(), code: 'TOKEN_INVALID', closeCode: 4401 },
      { token: await running.issuer.viewer({ role: 'auditor' }), code: 'FORBIDDEN', closeCode: 4403 },
    ];
    for (const { token, code, closeCode } of cases) {
      const client = await running.connect();
      expect((await client.refusal('authenticate', { token })).code).toBe(code);
      expect(await client.closed).toMatchObject({ code: closeCode, reason: expect.stringContaining(code) });
    }
  });

  it('[S2] without keys a token is UNAVAILABLE, which is worth another attempt', async () => {
    running = await runSfu({ keySource: { kind: 'file', path: '/nowhere/jwks.json' } });
    const client = await running.connect();
    const refusal = await client.refusal('authenticate', { token: await running.issuer.viewer() });
    expect(refusal).toMatchObject({ code: 'UNAVAILABLE', isRetryable: true });
    expect((await client.closed).code).toBe(4503);
  });

  it('[S3] a connection ends with its token, and its stream with it', async () => {
    running = await runSfu();
    const publisher = await running.connect(await running.issuer.publisher(streamId, { lifetimeS: 2 }));
    await publisher.request('publish', { streamId });
    const viewer = await running.connect(await running.issuer.viewer());
    await viewer.request('view', viewOf(streamId));
    expect(await publisher.closed).toMatchObject({
      code: 4402,
      reason: expect.stringMatching(/^TOKEN_EXPIRED: /),
    });
    expect(await viewer.next('streamClosed')).toEqual({ streamId, code: 'STREAM_OFFLINE' });
  });

  it('[S3] a newer token in time keeps the connection and its streams', async () => {
    running = await runSfu();
    const deviceId = createId('device');
    const issue = (lifetimeS: number) => running.issuer.publisher(streamId, { deviceId, lifetimeS });
    const renewed = await running.connect(await issue(2));
    const { transport } = await renewed.request('publish', { streamId });
    const other = await running.connect(await running.issuer.viewer({ lifetimeS: 2 }));
    const { expiresAtMs } = await renewed.request('authenticate', { token: await issue(300) });
    expect(expiresAtMs).toBeGreaterThan(Date.now() + 290_000);
    await other.closed;
    await renewed.request('restartIce', { transportId: transport.id });
  });

  it('[S3] a newer token of somebody else, or a bad one, is refused and changes nothing', async () => {
    running = await runSfu();
    const client = await running.connect(await running.issuer.publisher(streamId));
    const { transport } = await client.request('publish', { streamId });
    const tokens: [string, string][] = [
      [await running.issuer.publisher(streamId), 'FORBIDDEN'],
      [await running.issuer.viewer(), 'FORBIDDEN'],
      [await running.issuer.viewer({ lifetimeS: -1 }), 'TOKEN_EXPIRED'],
      [await (await TokenIssuer.create()).viewer(), 'TOKEN_INVALID'],
    ];
    for (const [token, code] of tokens) {
      expect((await client.refusal('authenticate', { token })).code).toBe(code);
    }
    await client.request('restartIce', { transportId: transport.id });
  });
});

describe('what a token allows', () => {
  it('[S4] a token for publishing publishes its stream and no other, and views nothing', async () => {
    running = await runSfu();
    const client = await running.connect(await running.issuer.publisher(streamId));
    const other = otherRequests(createId('stream'));
    expect((await client.refusal('publish', other.publish)).code).toBe('STREAM_NOT_FOUND');
    expect((await client.refusal('produce', other.produce)).code).toBe('STREAM_NOT_FOUND');
    expect((await client.refusal('reportSending', other.reportSending)).code).toBe('STREAM_NOT_FOUND');
    for (const id of [streamId, other.view.streamId]) {
      const requests = otherRequests(id);
      expect((await client.refusal('view', requests.view)).code).toBe('FORBIDDEN');
      expect((await client.refusal('consume', requests.consume)).code).toBe('FORBIDDEN');
      expect((await client.refusal('resumeConsumer', requests.resumeConsumer)).code).toBe('FORBIDDEN');
      expect((await client.refusal('prefer', requests.prefer)).code).toBe('FORBIDDEN');
      expect((await client.refusal('report', requests.report)).code).toBe('FORBIDDEN');
      expect((await client.refusal('closeTransport', requests.closeTransport)).code).toBe('FORBIDDEN');
    }
    await client.request('publish', { streamId });
  });

  it('[S4] a token for viewing publishes nothing', async () => {
    running = await runSfu();
    const client = await running.connect(await running.issuer.viewer({ role: 'admin' }));
    const requests = otherRequests(streamId);
    expect((await client.refusal('publish', requests.publish)).code).toBe('FORBIDDEN');
    expect((await client.refusal('produce', requests.produce)).code).toBe('FORBIDDEN');
    expect((await client.refusal('reportSending', requests.reportSending)).code).toBe('FORBIDDEN');
  });

  it('[S4] a stream of another company is answered exactly as one that does not exist', async () => {
    running = await runSfu();
    const publisher = await running.connect(await running.issuer.publisher(streamId));
    await publisher.request('publish', { streamId });
    await publisher.request('produce', { streamId, kind: 'video', rtpParameters: videoParameters() });
    const stranger = await running.connect(await running.issuer.viewer({ companyId: createId('company') }));
    const nowhere = createId('stream');
    for (const method of ['view', 'consume', 'resumeConsumer', 'prefer'] as const) {
      const foreign = await stranger.refusal(method, otherRequests(streamId)[method]);
      const missing = await stranger.refusal(method, otherRequests(nowhere)[method]);
      expect(foreign.code).toBe(method === 'view' ? 'STREAM_OFFLINE' : 'TRANSPORT_NOT_FOUND');
      expect(foreign.toBody()).toEqual({
        ...missing.toBody(),
        message: missing.message.replace(nowhere, streamId),
      });
    }
    expect(publisher.unread).toEqual([]);
    const colleague = await running.connect(await running.issuer.viewer());
    await colleague.request('view', viewOf(streamId));
  });

  it('[S4] two companies may use the same stream id and never meet', async () => {
    running = await runSfu();
    const companies = [createId('company'), createId('company')];
    const [first, second] = await Promise.all(
      companies.map(async (companyId) =>
        running.connect(await running.issuer.publisher(streamId, { companyId })),
      ),
    );
    await first?.request('publish', { streamId });
    await second?.request('publish', { streamId });
    expect(first?.unread).toEqual([]);
    await first?.request('leave', { streamId });
    const viewer = await running.connect(await running.issuer.viewer({ companyId: companies[1] ?? '' }));
    await viewer.request('view', viewOf(streamId));
  });
});

describe('[S10] misuse', () => {
  it('is answered with MESSAGE_INVALID when the number of the request can be read', async () => {
    running = await runSfu();
    const client = await running.connect(await running.issuer.viewer());
    for (const frame of [
      { id: 901, method: 'destroy', params: {} },
      { id: 901, method: 'toString', params: {} },
      { id: 901, method: 'view', params: {} },
      { id: 901, method: 'view', params: { streamId: '../../etc' } },
      { id: 901, method: 'view' },
      { id: 901, method: 7, params: {} },
      { id: 901, result: {} },
      { id: 901 },
    ]) {
      const answer = JSON.parse(await client.sendRaw(JSON.stringify(frame)));
      expect(answer).toEqual({ id: 901, error: { code: 'MESSAGE_INVALID', message: expect.any(String) } });
    }
    expect(await client.request('leave', { streamId })).toEqual({});
  });

  it.each([
    ['no JSON', 'hello'],
    ['no object', '[]'],
    ['a number that is none', '{"id":"7","method":"leave","params":{}}'],
    ['a number below one', '{"id":0,"method":"leave","params":{}}'],
    ['a notification', '{"notification":"viewers","params":{}}'],
    ['bytes', new Uint8Array([1, 2, 3])],
  ])('closes with 4400 when nobody could be answered: %s', async (_what, frame) => {
    running = await runSfu();
    const client = await running.connect(await running.issuer.viewer());
    expect(await client.sendRaw(frame)).toMatch(/^4400 MESSAGE_INVALID: /);
  });

  it('closes with 1009 a frame that is too large, and no other connection', async () => {
    running = await runSfu();
    const client = await running.connect(await running.issuer.viewer());
    const bystander = await running.connect(await running.issuer.viewer());
    const { maxMessageBytes } = (await import('./config.ts')).DEFAULT_LIMITS;
    expect(await client.sendRaw(' '.repeat(maxMessageBytes))).toMatch(/^4400 /);
    const other = await running.connect(await running.issuer.viewer());
    expect(await other.sendRaw(' '.repeat(maxMessageBytes + 1))).toMatch(/^1009 /);
    expect(await bystander.request('leave', { streamId })).toEqual({});
  });

  it('closes a flood of requests with LIMIT_REACHED, and no other connection', async () => {
    running = await runSfu({ limits: { requestBurst: 50, requestsPerSecond: 1 } });
    const client = await running.connect(await running.issuer.viewer());
    const bystander = await running.connect(await running.issuer.viewer());
    // One of the fifty was `authenticate`.
    for (let asked = 1; asked < 50; asked += 1) await client.request('leave', { streamId });
    const answers = await Promise.allSettled(
      Array.from({ length: 200 }, () => client.request('leave', { streamId })),
    );
    expect(answers.every(({ status }) => status === 'rejected')).toBe(true);
    expect(await client.closed).toMatchObject({
      code: 4429,
      reason: expect.stringMatching(/^LIMIT_REACHED: /),
    });
    expect(await bystander.request('leave', { streamId })).toEqual({});
  });

  it('closes a connection that has too many requests pending', async () => {
    running = await runSfu({ limits: { maxPendingRequests: 10 } });
    const client = await running.connect(await running.issuer.publisher(streamId));
    const answers = Promise.allSettled(
      Array.from({ length: 30 }, () => client.request('publish', { streamId })),
    );
    expect((await client.closed).code).toBe(4429);
    await answers;
  });

  it('refuses more streams on one connection than are allowed', async () => {
    running = await runSfu({ limits: { maxStreamsPerConnection: 2 } });
    const ids = [createId('stream'), createId('stream'), createId('stream')];
    for (const id of ids) {
      await (await running.connect(await running.issuer.publisher(id))).request('publish', { streamId: id });
    }
    const viewer = await running.connect(await running.issuer.viewer());
    const answers = await Promise.allSettled(ids.map((id) => viewer.request('view', viewOf(id))));
    expect(answers.map(({ status }) => status)).toEqual(['fulfilled', 'fulfilled', 'rejected']);
    expect(answers[2]).toMatchObject({ reason: { code: 'LIMIT_REACHED' } });
    await viewer.request('leave', { streamId: ids[0] ?? '' });
    await viewer.request('view', viewOf(ids[2] ?? ''));
  });

  it('refuses more viewers of one stream than are allowed, also when they come at once', async () => {
    running = await runSfu({ limits: { maxViewersPerStream: 2 } });
    const publisher = await running.connect(await running.issuer.publisher(streamId));
    await publisher.request('publish', { streamId });
    const viewers = await Promise.all(
      Array.from({ length: 4 }, async () => running.connect(await running.issuer.viewer())),
    );
    const answers = await Promise.allSettled(
      viewers.map((viewer) => viewer.request('view', viewOf(streamId))),
    );
    expect(answers.filter(({ status }) => status === 'fulfilled')).toHaveLength(2);
    for (const answer of answers) {
      if (answer.status === 'rejected') expect(answer.reason.code).toBe('LIMIT_REACHED');
    }
  });

  it('refuses more connections than are allowed, until one is closed', async () => {
    running = await runSfu({ limits: { maxConnections: 1 } });
    const first = await running.connect();
    const second = await running.connect();
    expect(await second.closed).toMatchObject({ code: 4429 });
    await first.close();
    await running.connect(await running.issuer.viewer());
  });
});

describe('heartbeat', () => {
  it('cuts a client that answers no ping, and ends its stream', async () => {
    running = await runSfu({ limits: { heartbeatIntervalMs: 50 } });
    const viewer = await running.connect(await running.issuer.viewer());
    const publisher = await running.connect(await running.issuer.publisher(streamId));
    await publisher.request('publish', { streamId });
    await viewer.request('view', viewOf(streamId));
    // The TCP connection stays open; the client merely reads nothing, hence answers nothing.
    publisher.socket.pause();
    expect(await viewer.next('streamClosed')).toEqual({ streamId, code: 'STREAM_OFFLINE' });
    expect(viewer.socket.readyState).toBe(WebSocket.OPEN);
    publisher.socket.resume();
    expect((await publisher.closed).code).toBe(1006);
  });
});
