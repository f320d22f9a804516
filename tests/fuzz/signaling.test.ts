/**
 * Requests that are malformed, out of order, repeated, with ids of others, or too many, against the real SFU. Whatever
 * comes is answered with a coded error or closes the connection it came on; a bystander's streams notice nothing.
 */
import { createId, isErrorCode, SFU_REQUESTS, type Id } from '@proofcast/shared';
import { freshSeed, seededRandom, type Random } from '@proofcast/shared/testing/random';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import {
  DTLS_PARAMETERS,
  RTP_CAPABILITIES,
  videoParameters,
  viewOf,
} from '../../sfu/testing/rtp-parameters.ts';
import { runSfu, type RunningSfu } from '../../sfu/testing/running-sfu.ts';
import type { SignalingClient } from '../../sfu/testing/signaling-client.ts';

const CONNECTIONS = 12;
const REQUESTS = 40;
const METHODS = [...Object.keys(SFU_REQUESTS), 'toString', '__proto__', 'destroy'];
/** What a client may be refused with; `INTERNAL` would be a defect. */
const NEVER = 'INTERNAL';

let running: RunningSfu;
let bystander: { publisher: SignalingClient; viewer: SignalingClient; streamId: Id; transportId: string };

beforeAll(async () => {
  running = await runSfu({ workerCount: 2 });
  const streamId = createId('stream');
  const publisher = await running.connect(await running.issuer.publisher(streamId));
  await publisher.request('publish', { streamId });
  await publisher.request('produce', { streamId, kind: 'video', rtpParameters: videoParameters() });
  const viewer = await running.connect(await running.issuer.viewer());
  const { transport } = await viewer.request('view', viewOf(streamId));
  bystander = { publisher, viewer, streamId, transportId: transport.id };
  await publisher.next('viewers');
});
afterAll(() => running?.stop());

/** Values that a parameter of that name has in good requests, and others. */
function valueOf(
  name: string,
  random: Random,
  ids: { streams: readonly Id[]; transports: readonly string[] },
) {
  const good: Readonly<Record<string, unknown>> = {
    streamId: random.pick(ids.streams),
    transportId: random.pick(ids.transports),
    consumerId: random.pick(ids.transports),
    kind: random.pick(['video', 'audio']),
    rtpParameters: videoParameters(),
    rtpCapabilities: RTP_CAPABILITIES,
    dtlsParameters: DTLS_PARAMETERS,
    preference: {
      isPaused: random.fraction() < 0.5,
      isHeard: random.fraction() < 0.5,
      maxSpatialLayer: random.pick([0, 1, null]),
      priority: random.integer(1, 256),
    },
    readings: [],
    delayMs: random.integer(0, 1_000),
    token: 'x'.repeat(random.integer(0, 100)),
  };
  const bad = [null, -1, 1.5, '', 'x'.repeat(5_000), [], {}, { length: -1 }, true, [[[[]]]]];
  return random.fraction() < 0.7 ? good[name] : random.pick(bad);
}

/** One frame: most look like requests, some like nothing at all. */
function frameOf(random: Random, ids: Parameters<typeof valueOf>[2]): string {
  const kind = random.fraction();
  if (kind < 0.02) return Buffer.from(random.bytes(random.integer(1, 60))).toString('latin1');
  if (kind < 0.04) return JSON.stringify(random.pick([[], null, 7, { notification: 'viewers', params: {} }]));
  const method = random.pick(METHODS);
  const isKnown = Object.hasOwn(SFU_REQUESTS, method);
  const names = isKnown
    ? Object.keys(SFU_REQUESTS[method as keyof typeof SFU_REQUESTS].params.properties)
    : ['streamId'];
  const params = Object.fromEntries(
    names.filter(() => random.fraction() > 0.05).map((name) => [name, valueOf(name, random, ids)]),
  );
  const id = random.fraction() < 0.05 ? random.pick([0, -1, 1.5, 'x', null]) : random.integer(1, 5);
  return JSON.stringify(random.fraction() < 0.03 ? { method, params } : { id, method, params });
}

/** Sends frames without waiting; resolves with all answers once the SFU has answered a last one, or has closed. */
async function bombard(client: SignalingClient, frames: readonly string[]): Promise<unknown[]> {
  const answers: unknown[] = [];
  client.socket.on('message', (data) => answers.push(JSON.parse((data as Buffer).toString('utf8'))));
  for (const frame of frames) client.socket.send(frame);
  const last = { id: 1_000_000, method: 'leave', params: { streamId: createId('stream') } };
  client.socket.send(JSON.stringify(last));
  const isLast = (data: unknown) => String(data).includes('"id":1000000');
  await Promise.race([
    client.closed,
    new Promise<void>((resolve) => client.socket.on('message', (data) => isLast(data) && resolve())),
  ]);
  return answers;
}

async function bystandersAreWell(): Promise<void> {
  const { publisher, viewer, streamId, transportId } = bystander;
  await viewer.request('restartIce', { transportId });
  expect((await viewer.request('consume', viewOf(streamId))).consumers).toEqual([]);
  expect(viewer.unread).toEqual([]);
  expect(publisher.unread.filter((name) => name !== 'viewers')).toEqual([]);
}

describe.each([1, 20261122, freshSeed()])('signalling, seed %d', (seed) => {
  it('[S10] answers anything with a code or closes that one connection, and nobody else notices', async () => {
    const random = seededRandom(seed);
    const pids = [...running.sfu.workerPids];
    let refusals = 0;
    for (let round = 0; round < CONNECTIONS; round += 1) {
      const mine = createId('stream');
      const isPublisher = random.fraction() < 0.5;
      const companyId = random.fraction() < 0.5 ? running.issuer.companyId : createId('company');
      const token = isPublisher
        ? await running.issuer.publisher(mine, { companyId })
        : await running.issuer.viewer({ companyId });
      const client = await running.connect(random.fraction() < 0.9 ? token : undefined);
      // Of their own, of the bystander, and of nobody.
      const ids = {
        streams: [mine, bystander.streamId, createId('stream')],
        transports: [bystander.transportId, createId('stream')],
      };
      const frames = Array.from({ length: REQUESTS }, () => frameOf(random, ids));
      // Replayed, and in another order.
      const replayed = [...frames, ...frames.toReversed()];
      for (const answer of await bombard(client, random.fraction() < 0.5 ? frames : replayed)) {
        const { error } = answer as { error?: { code: string; message: string } };
        if (!error) continue;
        refusals += 1;
        expect.soft(isErrorCode(error.code) && error.code !== NEVER, JSON.stringify(error)).toBe(true);
      }
      client.socket.terminate();
      await client.closed;
    }
    expect(refusals).toBeGreaterThan(CONNECTIONS);
    await bystandersAreWell();
    expect(running.sfu.workerPids).toEqual(pids);
  });
});

it('[S10] a flood on many connections at once closes those, and nobody else notices', async () => {
  const flooding = await Promise.all(
    Array.from({ length: 8 }, async () => running.connect(await running.issuer.viewer())),
  );
  const frame = JSON.stringify({ id: 1, method: 'view', params: viewOf(bystander.streamId) });
  for (const client of flooding) for (let count = 0; count < 1_500; count += 1) client.socket.send(frame);
  const closed = await Promise.all(flooding.map((client) => client.closed));
  expect(closed.map(({ code }) => code)).toEqual(flooding.map(() => 4429));
  await bystandersAreWell();
  expect(running.sfu.statistics().streams.map(({ viewers }) => viewers.length)).toEqual([1]);
});
