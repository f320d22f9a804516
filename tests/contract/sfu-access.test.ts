/** Walks every request of the SFU's signalling with every kind of client that may not make it. */
import { createId, SFU_REQUESTS, type Id } from '@proofcast/shared';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { runSfu, type RunningSfu } from '../../sfu/testing/running-sfu.ts';
import { viewOf } from '../../sfu/testing/rtp-parameters.ts';
import type { SignalingClient } from '../../sfu/testing/signaling-client.ts';

type Method = keyof typeof SFU_REQUESTS;
const METHODS = (Object.keys(SFU_REQUESTS) as Method[]).filter((method) => method !== 'authenticate');
const streamId = createId('stream');

let sfu: RunningSfu;

beforeAll(async () => {
  sfu = await runSfu();
  const publisher = await sfu.connect(await sfu.issuer.publisher(streamId));
  await publisher.request('publish', { streamId });
});
afterAll(() => sfu.stop());

/** Well-formed parameters, so that nothing but access can be the reason of a refusal. */
function paramsOf(method: Method, target: Id): never {
  const parameters = {
    streamId: target,
    kind: 'video',
    rtpParameters: {},
    rtpCapabilities: { codecs: [] },
    dtlsParameters: { fingerprints: [] },
    consumerId: 'consumer',
    transportId: 'transport',
    readings: [],
    delayMs: 20,
    preference: { isPaused: true, isHeard: false, maxSpatialLayer: null, priority: 1 },
  };
  const wanted = Object.keys(SFU_REQUESTS[method].params.properties);
  return Object.fromEntries(wanted.map((key) => [key, parameters[key as keyof typeof parameters]])) as never;
}

const refusalOf = (client: SignalingClient, method: Method, target: Id = streamId) =>
  client.refusal(method, paramsOf(method, target));

describe.each(METHODS)('request %s', (method) => {
  it('[S1] is refused before the client has authenticated', async () => {
    const client = await sfu.connect();
    expect((await refusalOf(client, method)).code).toBe('UNAUTHENTICATED');
  });
});

// Leaving what one is not in, or closing what one does not have, is granted, and changes nothing; see below.
const GRANTED_TO_ALL: readonly Method[] = ['leave', 'closeTransport', 'report'];
describe.each(METHODS.filter((method) => !GRANTED_TO_ALL.includes(method)))('request %s', (method) => {
  it('[S4] of a viewer of another company finds no stream', async () => {
    const token = await sfu.issuer.viewer({ companyId: createId('company') });
    const client = await sfu.connect(token);
    const { code } = await refusalOf(client, method);
    expect([
      'STREAM_NOT_FOUND',
      'STREAM_OFFLINE',
      'FORBIDDEN',
      'TRANSPORT_NOT_FOUND',
      'CONSUMER_NOT_FOUND',
    ]).toContain(code);
    // The same refusal as for a stream that exists nowhere: existence does not leak.
    expect((await refusalOf(client, method, createId('stream'))).code).toBe(code);
  });

  it('[S4] of a publisher for a stream that its token does not name is refused', async () => {
    const client = await sfu.connect(await sfu.issuer.publisher(createId('stream')));
    const { code } = await refusalOf(client, method);
    expect(['STREAM_NOT_FOUND', 'FORBIDDEN', 'TRANSPORT_NOT_FOUND', 'CONSUMER_NOT_FOUND']).toContain(code);
  });
});

describe('leave', () => {
  it('[S10] of somebody who has no part in the stream changes nothing for those who have', async () => {
    const stranger = await sfu.connect(await sfu.issuer.viewer({ companyId: createId('company') }));
    await stranger.request('leave', { streamId });
    const viewer = await sfu.connect(await sfu.issuer.viewer());
    expect(await viewer.request('view', viewOf(streamId))).toHaveProperty('transport');
  });
});

describe('authenticate', () => {
  it.each(['auditor', 'ops'] as const)(
    '[S2] refuses the role %s, which does not watch live',
    async (role) => {
      const client = await sfu.connect();
      const token = await sfu.issuer.viewer({ role });
      expect((await client.refusal('authenticate', { token })).code).toBe('FORBIDDEN');
    },
  );

  it.each(['produce', 'publish'] as const)('[S4] as viewer does not allow %s', async (method) => {
    const client = await sfu.connect(await sfu.issuer.viewer());
    expect((await refusalOf(client, method)).code).toBe('FORBIDDEN');
  });

  it.each([
    ['a token for ingest', { purpose: 'relay:ingest', aud: 'proofcast-relay' }],
    ['another issuer', { iss: 'somebody-else' }],
    ['no company', { company: undefined }],
  ])('[S2] refuses %s', async (_, claims) => {
    const client = await sfu.connect();
    const token = await sfu.issuer.publisher(streamId, { claims });
    expect((await client.refusal('authenticate', { token })).code).toBe('TOKEN_INVALID');
  });

  it('[S2] refuses an expired token', async () => {
    const client = await sfu.connect();
    const token = await sfu.issuer.publisher(streamId, { lifetimeS: -60 });
    expect((await client.refusal('authenticate', { token })).code).toBe('TOKEN_EXPIRED');
  });
});
