import { createId, type CodedError } from '@proofcast/shared';
import { freshSeed, seededRandom, type Random } from '@proofcast/shared/testing/random';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import {
  DTLS_PARAMETERS,
  RTP_CAPABILITIES,
  audioParameters,
  videoParameters,
  viewOf,
} from '../testing/rtp-parameters.ts';
import { runSfu, type RunningSfu } from '../testing/running-sfu.ts';
import type { SignalingClient } from '../testing/signaling-client.ts';
import { parseDtlsParameters, parseRtpCapabilities, parseRtpParameters } from './media-parameters.ts';

describe('parameters of a real client', () => {
  it('pass as they are', () => {
    const video = videoParameters();
    expect(parseRtpParameters(video, 'video')).toEqual(video);
    const audio = audioParameters();
    expect(parseRtpParameters(audio, 'audio')).toEqual(audio);
    expect(parseRtpCapabilities(RTP_CAPABILITIES)).toEqual(RTP_CAPABILITIES);
    expect(parseDtlsParameters(DTLS_PARAMETERS)).toEqual(DTLS_PARAMETERS);
  });

  it('may have simulcast and SVC encodings', () => {
    const simulcast = ['q', 'h'].map((rid) => ({
      rid,
      dtx: false,
      maxBitrate: 500_000,
      scalabilityMode: 'L1T3',
    }));
    expect(() => parseRtpParameters({ ...videoParameters(), encodings: simulcast }, 'video')).not.toThrow();
    const svc = [{ ssrc: 7, dtx: false, scalabilityMode: 'L3T3_KEY' }];
    expect(() => parseRtpParameters({ ...videoParameters(), encodings: svc }, 'video')).not.toThrow();
  });
});

describe('[S10] parameters that mediasoup must not see', () => {
  const encodings = (encoding: object) => ({ ...videoParameters(), encodings: [encoding] });
  it.each<[string, unknown]>([
    ['no encoding', { ...videoParameters(), encodings: [] }],
    [
      'four encodings',
      { ...videoParameters(), encodings: Array.from({ length: 4 }, (_, ssrc) => ({ ssrc })) },
    ],
    ['no codec', { ...videoParameters(), codecs: [] }],
    ['a codec of another kind', { ...audioParameters() }],
    ['a bitrate with a fraction', encodings({ ssrc: 1, maxBitrate: 1.5 })],
    ['a bitrate that is text', encodings({ ssrc: 1, maxBitrate: 'fast' })],
    ['an SSRC beyond 32 bits', encodings({ ssrc: 2 ** 32 })],
    ['an unknown scalability mode', encodings({ ssrc: 1, scalabilityMode: 'L99T99' })],
    ['a RID with a space', encodings({ rid: 'a b' })],
  ])('%s', (_what, parameters) => {
    expect(() => parseRtpParameters(parameters, 'video')).toThrow(
      expect.objectContaining({ code: 'MESSAGE_INVALID' }),
    );
  });

  it.each<[string, unknown]>([
    ['no fingerprint', { fingerprints: [] }],
    ['a fingerprint that is no hash', { fingerprints: [{ algorithm: 'sha-256', value: 'AB' }] }],
    ['an unknown algorithm', { fingerprints: [{ ...DTLS_PARAMETERS.fingerprints[0], algorithm: 'md5' }] }],
    ['an unknown role', { ...DTLS_PARAMETERS, role: 'both' }],
  ])('%s', (_what, parameters) => {
    expect(() => parseDtlsParameters(parameters)).toThrow(
      expect.objectContaining({ code: 'MESSAGE_INVALID' }),
    );
  });
});

describe.each([1, 20_261_122, Number(process.env['FUZZ_SEED'] ?? freshSeed())])(
  '[S10] a worker, seed %d,',
  (seed) => {
    const ROUNDS = 150;
    let running: RunningSfu;
    beforeAll(async () => {
      running = await runSfu({ limits: { requestBurst: 100_000 } });
    });
    afterAll(() => running.stop());

    it('lives through damaged parameters and serves others as before', async () => {
      const random = seededRandom(seed);
      const [pid] = running.sfu.workerPids;
      for (let round = 0; round < ROUNDS; round += 1) await joinBadly(random);
      expect(running.sfu.workerPids).toEqual([pid]);
      await joinWell();
    });

    async function joinBadly(random: Random): Promise<void> {
      const streamId = createId('stream');
      const publisher = await running.connect(await running.issuer.publisher(streamId));
      const viewer = await running.connect(await running.issuer.viewer());
      const sending = await publisher.request('publish', { streamId });
      const dtlsParameters = damage(DTLS_PARAMETERS, random) as typeof DTLS_PARAMETERS;
      const video = damage(videoParameters(), random) as ReturnType<typeof videoParameters>;
      const audio = damage(audioParameters(), random) as ReturnType<typeof audioParameters>;
      const rtpCapabilities = damage(RTP_CAPABILITIES, random) as typeof RTP_CAPABILITIES;
      const receiving = await viewer.request('view', viewOf(streamId));
      const outcomes = await Promise.allSettled([
        publisher.request('connectTransport', { transportId: sending.transport.id, dtlsParameters }),
        publisher.request('produce', { streamId, kind: 'video', rtpParameters: video }),
        publisher.request('produce', { streamId, kind: 'audio', rtpParameters: audio }),
        viewer.request('connectTransport', { transportId: receiving.transport.id, dtlsParameters }),
      ]);
      outcomes.push(
        ...(await Promise.allSettled([viewer.request('consume', { streamId, rtpCapabilities })])),
      );
      for (const outcome of outcomes) {
        if (outcome.status === 'fulfilled') continue;
        const { code, message } = outcome.reason as CodedError;
        expect
          .soft([code, message])
          .toEqual([expect.stringMatching(/^(MESSAGE_INVALID|MEDIA_UNSUPPORTED)$/), message]);
      }
      await Promise.all([publisher.close(), viewer.close()]);
    }

    async function joinWell(): Promise<void> {
      const streamId = createId('stream');
      const publisher: SignalingClient = await running.connect(await running.issuer.publisher(streamId));
      const { transport } = await publisher.request('publish', { streamId });
      const connecting = { transportId: transport.id, dtlsParameters: DTLS_PARAMETERS };
      await publisher.request('connectTransport', connecting);
      await publisher.request('produce', { streamId, kind: 'video', rtpParameters: videoParameters() });
      const viewer = await running.connect(await running.issuer.viewer());
      const { consumers } = await viewer.request('view', viewOf(streamId));
      expect(consumers).toHaveLength(1);
    }
  },
);

const WEIRD_VALUES: readonly unknown[] = [
  null,
  true,
  -1,
  0,
  1.5,
  127,
  2 ** 31,
  2 ** 32,
  Number.MAX_SAFE_INTEGER,
  1e308,
  '',
  'x',
  'video/H264',
  'video/VP9',
  'audio/opus',
  'video/rtx',
  'L3T3_KEY',
  'A'.repeat(300),
  '\u0000',
  [],
  {},
  [[]],
  { length: 1e9 },
];

/** A copy with one to three of its values, at any depth, replaced, removed, doubled or exchanged. */
function damage(value: unknown, random: Random): unknown {
  const copy: unknown = structuredClone(value);
  for (let count = random.integer(1, 4); count > 0; count -= 1) {
    const [holder, key] = random.pick(placesIn(copy));
    if (Array.isArray(holder) && random.fraction() < 0.3) holder.push(structuredClone(holder[Number(key)]));
    else if (random.fraction() < 0.2) Reflect.deleteProperty(holder, key);
    else Reflect.set(holder, key, structuredClone(random.pick(WEIRD_VALUES)));
  }
  return copy;
}

function placesIn(value: unknown): [object, string][] {
  if (typeof value !== 'object' || value === null) return [[{ value }, 'value']];
  return [
    [value, 'unknown'],
    ...Object.entries(value).flatMap(([key, inner]): [object, string][] => [
      [value, key],
      ...(typeof inner === 'object' && inner !== null ? placesIn(inner) : []),
    ]),
  ];
}
