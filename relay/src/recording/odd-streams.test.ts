/** Streams that no recorder makes: each is refused with a code, or becomes a file that a second reader agrees with. */
import type { DevicePrincipal } from '@proofcast/shared';
import { freshSeed, seededRandom, type Random } from '@proofcast/shared/testing/random';
import * as webm from '@proofcast/shared/testing/webm-bytes';
import { loadWebmClips } from '@proofcast/shared/testing/webm-clip';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { MediaWorld } from '../../testing/media-world.ts';

const KEY = 0x80;
const FUZZED_STREAMS = 12;
const KEPT_SEEDS: [name: string, seed: number][] = [['the first one', 1]];

let world: MediaWorld;
let device: DevicePrincipal;

beforeAll(async () => {
  // Nobody looks at what is made of them, and each chunk waits for the answer to the one before.
  const limits = { concurrentDerivatives: 0, maxAckDelayMs: 0, commitIntervalMs: 1 };
  world = await MediaWorld.open({ limits });
  device = await world.device();
});
afterAll(() => world.close());

interface Outcome {
  /** Code of the first chunk that was not taken, null when all were. */
  readonly refusal: string | null;
  /** What became of those before it; null when there is nothing. */
  readonly state: string | null;
  readonly failure: string | null;
}

/** Publishes an epoch of these slices, as far as it is taken, stops, and waits until it is sealed or cannot be. */
async function record(slices: readonly Uint8Array[]): Promise<Outcome> {
  const maker = world.maker(device);
  maker.epoch();
  for (const slice of slices) maker.media(slice);
  const publisher = await world.publisher(device, maker);
  await publisher.hello();
  let refusal: string | null = null;
  let taken = 0;
  for (; taken < maker.chunks.length && refusal === null; taken += 1) {
    publisher.sendFrame(maker.frame(taken));
    const count = taken;
    const answer = await publisher.take((message) => {
      if (message instanceof Uint8Array) return false;
      return message.type === 'refused' || (message.type === 'ack' && message.data.received > count);
    });
    if (!(answer instanceof Uint8Array) && answer.type === 'refused') refusal = answer.data.code;
  }
  const chunkCount = refusal === null ? taken : taken - 1;
  publisher.say({ type: 'stop', data: { chunkCount } });
  await publisher.next('stopped');
  publisher.socket.terminate();
  await world.media.whenSealed();
  const recordings = await world.media.listRecordings(device.companyId, {});
  const recording = recordings.find(({ recordingId }) => recordingId === maker.start.recordingId);
  return { refusal, state: recording?.state ?? null, failure: recording?.failure?.code ?? null };
}

const init = (...tracks: webm.Bytes[]): Uint8Array => initWith(webm.info(), ...tracks);
const initWith = (info: webm.Bytes, ...tracks: webm.Bytes[]): Uint8Array =>
  webm.concat(webm.ebmlHeader(), webm.openElement(0x18538067, info, webm.tracks(...tracks)));
const trackOf = (fields: { number: number; type: number; codec: string }, ...more: webm.Bytes[]) =>
  webm.element(
    0xae,
    webm.unsigned(0xd7, fields.number),
    webm.unsigned(0x83, fields.type),
    webm.ascii(0x86, fields.codec),
    ...more,
  );
const video = (codec: string, ...more: webm.Bytes[]) => trackOf({ number: 1, type: 1, codec }, ...more);
const audio = (codec: string, ...more: webm.Bytes[]) => trackOf({ number: 2, type: 2, codec }, ...more);
const setup = (...bytes: number[]) => webm.element(0x63a2, bytes);
const opusHead = (fields: { channels: number; family: number }) =>
  setup(...Buffer.from('OpusHead'), 1, fields.channels, 0, 0, 0x80, 0xbb, 0, 0, 0, 0, fields.family);
const PICTURES = webm.openCluster(0, webm.simpleBlock(1, 0, KEY), webm.simpleBlock(1, 40));
const group = (...children: webm.Bytes[]) =>
  webm.element(0xa0, webm.element(0xa1, webm.blockData(1, 0)), ...children);
const VP8 = video('V_VP8');
const OPUS = audio('A_OPUS', opusHead({ channels: 2, family: 0 }));

describe('what could never become a file is refused when it comes', () => {
  test.each<[string, string, Uint8Array]>([
    ['two tracks of pictures', 'WEBM_UNSUPPORTED', init(webm.videoTrack(1), webm.videoTrack(2))],
    ['two tracks of sound', 'WEBM_UNSUPPORTED', init(VP8, webm.audioTrack(2), webm.audioTrack(3))],
    [
      'a track of subtitles',
      'WEBM_UNSUPPORTED',
      init(VP8, trackOf({ number: 3, type: 17, codec: 'S_TEXT/UTF8' })),
    ],
    ['pictures of an unknown codec', 'WEBM_UNSUPPORTED', init(video('V_FOO'))],
    ['pictures without a codec', 'WEBM_UNSUPPORTED', init(video('V_UNCOMPRESSED'))],
    ['sound of another codec', 'WEBM_UNSUPPORTED', init(VP8, audio('A_VORBIS'))],
    ['H.264 without its setup', 'WEBM_UNSUPPORTED', init(video('V_MPEG4/ISO/AVC'))],
    ['Opus with a broken header', 'WEBM_UNSUPPORTED', init(VP8, audio('A_OPUS', setup(1, 2)))],
    [
      'Opus with a layout it does not have',
      'WEBM_UNSUPPORTED',
      init(VP8, audio('A_OPUS', opusHead({ channels: 2, family: 1 }))),
    ],
    [
      'Opus without a channel',
      'WEBM_UNSUPPORTED',
      init(VP8, audio('A_OPUS', opusHead({ channels: 0, family: 0 }))),
    ],
    ['a clock that ticks too slowly', 'WEBM_UNSUPPORTED', initWith(webm.info(2 ** 50), VP8)],
    ['a clock that ticks too fast', 'WEBM_UNSUPPORTED', initWith(webm.info(1), VP8)],
  ])('[I20] %s', async (_what, code, bytes) => {
    expect(await record([bytes, PICTURES])).toEqual({
      refusal: code,
      state: 'failed',
      failure: 'RECORDING_EMPTY',
    });
  });

  test.each<[string, string, Uint8Array]>([
    ['a picture of no bytes', 'WEBM_UNSUPPORTED', webm.openCluster(100, webm.simpleBlock(1, 0, KEY, []))],
    [
      'a time years after the beginning',
      'WEBM_UNSUPPORTED',
      webm.openCluster(2 ** 45, webm.simpleBlock(1, 0, KEY)),
    ],
    [
      'additions that are none',
      'WEBM_INVALID',
      webm.openCluster(100, group(webm.element(0x75a1, [0xa6, 0x85, 0xa5, 0x81, 1, 2, 3]))),
    ],
    [
      'a number of nine bytes',
      'WEBM_INVALID',
      webm.openCluster(100, group(webm.element(0xfb, new Uint8Array(9)))),
    ],
  ])('[I20] %s, and what came before it is sealed', async (_what, code, bytes) => {
    const outcome = await record([init(VP8), PICTURES, bytes]);
    expect(outcome).toEqual({ refusal: code, state: 'sealed', failure: null });
  });
});

describe('what is odd and no worse becomes a file', () => {
  test.each<[string, readonly Uint8Array[]]>([
    [
      'a track number of six bytes',
      [
        init(trackOf({ number: 2 ** 40, type: 1, codec: 'V_VP8' })),
        webm.openCluster(0, webm.simpleBlock(2 ** 40, 0, KEY)),
      ],
    ],
    ['a picture without a size', [init(VP8), PICTURES]],
    [
      'sound without pictures of its own cluster',
      [init(VP8, OPUS), PICTURES, webm.openCluster(80, webm.simpleBlock(2, 0, KEY))],
    ],
    [
      'clusters that go back in time',
      [init(VP8), ...[50_000, 0, 20_000].map((at) => webm.openCluster(at, webm.simpleBlock(1, 0, KEY)))],
    ],
    [
      'blocks before their cluster',
      [init(VP8), webm.openCluster(0, webm.simpleBlock(1, -30_000, KEY), webm.simpleBlock(1, -32_768, KEY))],
    ],
    [
      'clusters without anything',
      [init(VP8), PICTURES, ...Array.from({ length: 50 }, (_, n) => webm.openCluster(100 + n))],
    ],
    [
      'elements that nobody knows',
      [
        init(VP8),
        webm.openCluster(
          0,
          ...Array.from({ length: 200 }, () =>
            webm.concat(webm.element(0x4ffe, [1]), webm.simpleBlock(1, 9)),
          ),
        ),
      ],
    ],
    [
      'checksums in the wrong place',
      [
        init(VP8),
        webm.openCluster(
          0,
          webm.simpleBlock(1, 0, KEY),
          webm.element(0xbf, [1, 2, 3, 4]),
          webm.simpleBlock(1, 20),
        ),
      ],
    ],
    [
      'pictures that are not to be shown',
      [
        init(VP8),
        webm.openCluster(
          0,
          webm.simpleBlock(1, 0, KEY | 8),
          webm.simpleBlock(1, 0, 8),
          webm.simpleBlock(1, 0, 1),
        ),
      ],
    ],
    [
      'no key picture at all',
      [init(VP8), webm.openCluster(0, webm.simpleBlock(1, 0), webm.simpleBlock(1, 40))],
    ],
    [
      'a colour, a projection and a name that make no sense',
      [
        init(
          video(
            'V_VP9',
            webm.element(
              0xe0,
              webm.element(0x55b0, webm.unsigned(0x55b1, 250)),
              webm.element(0x7670, webm.unsigned(0x7671, 9)),
            ),
            webm.ascii(0x536e, '\xff\xff'),
          ),
        ),
        PICTURES,
      ],
    ],
    ['a clock of seconds', [initWith(webm.info(1_000_000_000), VP8), PICTURES]],
    ['a clock of microseconds', [initWith(webm.info(1_000), VP8), PICTURES]],
  ])('[J14] %s', async (_what, slices) => {
    expect(await record(slices)).toEqual({ refusal: null, state: 'sealed', failure: null });
  });

  test('[J14] a hundred thousand clusters in one part', async () => {
    const slices = Array.from({ length: 20 }, (_, n) =>
      webm.concat(
        ...Array.from({ length: 5_000 }, (_cluster, k) =>
          webm.openCluster((n * 5_000 + k) * 10, webm.simpleBlock(1, 0, KEY)),
        ),
      ),
    );
    expect(await record([init(VP8), ...slices])).toEqual({ refusal: null, state: 'sealed', failure: null });
  }, 60_000);
});

describe('real streams with wrong bytes in them', () => {
  const seeds: [string, number][] = [...KEPT_SEEDS, ['fresh', freshSeed()]];
  test.each(seeds)(
    '[J14] [I20] are sealed as far as they are taken, seed: %s (%i)',
    async (_name, seed) => {
      const random = seededRandom(seed);
      const clips = loadWebmClips();
      for (let n = 0; n < FUZZED_STREAMS; n += 1) {
        const clip = random.pick(clips);
        const { refusal, state, failure } = await record(damage(clip.bytes.subarray(0, 40_000), random));
        const what = `seed ${seed}, stream ${n}, ${clip.name}, refused: ${refusal}`;
        const isSealed = state === 'sealed' && failure === null;
        const isEmpty = state === 'failed' && failure === 'RECORDING_EMPTY';
        expect(isSealed || isEmpty, `${what}: ${state} ${failure}`).toBe(true);
        if (refusal !== null) expect(refusal, what).toMatch(/^WEBM_(INVALID|UNSUPPORTED)$/);
      }
    },
    120_000,
  );
});

/** A few bytes are others; mostly in the init segment, which all readers look at most closely. */
function damage(original: Uint8Array, random: Random): Uint8Array[] {
  const bytes = Uint8Array.from(original);
  const reach = random.fraction() < 0.6 ? 400 : bytes.length;
  for (let n = random.integer(1, 4); n > 0; n -= 1)
    bytes[random.integer(0, reach - 1)] = random.integer(0, 255);
  const slices: Uint8Array[] = [];
  for (let at = 0; at < bytes.length; at += 4_000) slices.push(bytes.subarray(at, at + 4_000));
  return slices;
}
