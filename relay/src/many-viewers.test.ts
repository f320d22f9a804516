/** Many viewers of one stream, one of whom never reads. The same with a thousand is a benchmark in tests/bench/. */
import { once } from 'node:events';
import {
  createId,
  decodeViewerFrame,
  encodeMessage,
  VIEW_FROM_VIEWER,
  type ViewerFrame,
} from '@proofcast/shared';
import { seededRandom } from '@proofcast/shared/testing/random';
import { initSegment, openCluster, simpleBlock } from '@proofcast/shared/testing/webm-bytes';
import { afterEach, expect, test } from 'vitest';
import { WebSocket } from 'ws';
import { HeldTimers } from '../testing/held-timers.ts';
import { MediaWorld } from '../testing/media-world.ts';
import { originalOf, readRuns } from '../testing/reader-runs.ts';

const VIEWERS = 200;
const ROUNDS = 60;
const CHUNK_BYTES = 15_000;
/** The one who reads nothing watches so often that it is more than the kernel holds for one connection. */
const STUCK_CHANNELS = 10;
const LIMITS = { maxViewerBufferBytes: 512 * 1024, maxViewerLagMs: 3_000, heartbeatIntervalMs: 99_999 };

let world: MediaWorld;
afterEach(() => world.close());

/** Counts what it gets, and hears when a chunk has come. */
class CountingViewer {
  sequence = -1;
  discontinuities = 0;
  #waiting: { sequence: number; resolve: () => void } | null = null;

  static async open(url: string, watchText: string): Promise<CountingViewer> {
    const socket = new WebSocket(url);
    const viewer = new CountingViewer();
    socket.on('message', (data: Buffer, isBinary) => {
      if (isBinary) viewer.#take(data);
    });
    await once(socket, 'open');
    socket.send(watchText);
    return viewer;
  }

  async until(sequence: number): Promise<void> {
    if (this.sequence >= sequence) return;
    await new Promise<void>((resolve) => (this.#waiting = { sequence, resolve }));
  }

  #take(data: Buffer): void {
    const { kind, sequence, isDiscontinuity } = decodeViewerFrame(data);
    if (isDiscontinuity) this.discontinuities += 1;
    if (kind !== 'media') return;
    this.sequence = sequence;
    if (this.#waiting !== null && sequence >= this.#waiting.sequence) this.#waiting.resolve();
  }
}

test(`[V5] ${VIEWERS} viewers get every chunk while one of them reads nothing, who is cut off and then ended`, async () => {
  const timers = new HeldTimers(99_999);
  let nowMs = Date.now();
  timers.nowMs = () => nowMs;
  world = await MediaWorld.open({ limits: LIMITS, clock: timers });
  const device = await world.device();
  const publisher = await world.publisher(device);
  const { maker } = publisher;
  await publisher.hello();
  maker.epoch();
  maker.media(initSegment());
  maker.media(openCluster(0, simpleBlock(1, 0, 0x80)));
  publisher.upload();
  await publisher.untilDurable();

  const watchText = encodeMessage(VIEW_FROM_VIEWER, {
    type: 'watch',
    data: { channel: 1, streamId: device.streamId },
  });
  const newUrl = (): string =>
    world.urlFor({ kind: 'user', userId: createId('user'), companyId: device.companyId, role: 'viewer' });
  const others = await Promise.all(
    Array.from({ length: VIEWERS - 2 }, () => CountingViewer.open(newUrl(), watchText)),
  );
  const [stuck, witness] = [await world.viewer(device.companyId), await world.viewer(device.companyId)];
  witness.watch(1, device.streamId);
  const witnessed = await witness.framesUntil(2);
  for (let channel = 1; channel <= STUCK_CHANNELS; channel++) stuck.watch(channel, device.streamId);
  await stuck.take(
    (received) => received instanceof Uint8Array && isMediaOf(decodeViewerFrame(received), STUCK_CHANNELS),
  );
  stuck.socket.pause();

  const random = seededRandom(7);
  for (let round = 1; round <= ROUNDS; round++) {
    nowMs += 200;
    // A key picture every two seconds.
    const isKey = round % 8 === 0;
    maker.media(openCluster(round * 250, simpleBlock(1, 0, isKey ? 0x80 : 0, random.bytes(CHUNK_BYTES))));
    const sequence = maker.chunks.length - 1;
    publisher.upload(sequence);
    witnessed.push(...(await witness.framesUntil(sequence)));
    // Nobody is a chunk behind, whatever the one does.
    await Promise.all(others.map((viewer) => viewer.until(sequence)));
  }
  await publisher.untilDurable();

  const original = originalOf(maker.chunks);
  expect(others.map(({ discontinuities }) => discontinuities)).toEqual(others.map(() => 0));
  expect(readRuns(witnessed, original, 'witness')).toMatchObject([{ end: original.epochs[0]?.length }]);
  stuck.socket.resume();
  for (let ended = 0; ended < STUCK_CHANNELS; ended++) {
    expect(await stuck.next('ended')).toMatchObject({ reason: { code: 'VIEWER_TOO_SLOW' } });
  }
  const late = stuck.unread.flatMap((received) =>
    received instanceof Uint8Array ? [decodeViewerFrame(received)] : [],
  );
  for (let channel = 1; channel < STUCK_CHANNELS; channel++) {
    const [run] = readRuns(
      late.filter((frame) => frame.channel === channel),
      original,
      `stuck, channel ${channel}`,
    );
    expect(run?.end).toBeLessThan((original.epochs[0]?.length ?? 0) - 10 * CHUNK_BYTES);
  }
});

function isMediaOf({ kind, channel }: ViewerFrame, wanted: number): boolean {
  return kind === 'media' && channel === wanted;
}
