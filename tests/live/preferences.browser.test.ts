/** What a viewer does not see is not sent to it, and nobody else notices. */
import { createId } from '@proofcast/shared';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { videoOf, type LivePage } from '../harness/live-page.ts';
import { watchStamps } from '../harness/stamp-readers.ts';
import { LiveWorld } from './live-world.ts';

const TIMEOUT_MS = 30_000;
const FULL = { isVisible: true, widthPx: 0, isFocus: false, isHeard: false };

let world: LiveWorld;
let wall: LivePage;
let other: LivePage;
const hidden = createId('stream');

beforeAll(async () => {
  world = await LiveWorld.open({ limits: { statisticsIntervalMs: 100 } });
  await world.publish();
  await world.publish(hidden, { widthPx: 640, heightPx: 360 });
  [wall, other] = [await world.openPage(), await world.openPage()];
  await world.view(wall);
  await world.view(wall, { streamId: hidden });
  await world.view(other);
});
afterAll(() => world?.close());

const statisticsOf = (streamId: string) => {
  const stream = world.running.sfu.statistics().streams.find((one) => one.streamId === streamId);
  if (!stream) throw new Error(`The SFU does not know ${streamId}.`);
  return stream;
};

it('[S13] a page has one connection for media, whatever the number of its streams', async () => {
  expect(await wall.connectionCount()).toBe(1);
});

it('[S14] a hidden tile is paused at the SFU: no byte of it is sent any more, and the rest goes on', async () => {
  await wall.prefer(hidden, { ...FULL, isVisible: false });
  await expect.poll(() => statisticsOf(hidden).viewers.map(({ isPaused }) => isPaused)).toEqual([true]);
  const sentBytes = () => statisticsOf(hidden).viewers[0]?.sent?.byteCount;
  let before: number | undefined;
  // What was on its way when the consumer was paused is counted by the next sample.
  await expect
    .poll(
      () => {
        const last = before;
        before = sentBytes();
        return before !== undefined && before === last;
      },
      { interval: 300, timeout: TIMEOUT_MS },
    )
    .toBe(true);
  const seen = await watchStamps(wall.page, videoOf(world.streamId), {
    isEnough: ({ length }) => length >= 30,
    timeoutMs: TIMEOUT_MS,
  });
  expect(seen.length).toBeGreaterThanOrEqual(30);
  expect(sentBytes()).toBe(before);
  expect(await wall.lost(hidden)).toBeNull();

  await wall.prefer(hidden, FULL);
  const resumedMs = Date.now();
  await watchStamps(wall.page, videoOf(hidden), {
    isEnough: (stamps) => stamps.some(({ stampMs }) => stampMs > resumedMs),
    timeoutMs: TIMEOUT_MS,
  });
});

it('[S14] a small tile gets the small layer, and another viewer of the same stream still the large one', async () => {
  await wall.prefer(world.streamId, { ...FULL, widthPx: 300 });
  await expect
    .poll(async () => (await wall.received(world.streamId)).widthPx, { timeout: TIMEOUT_MS })
    .toBeLessThan(1280);
  await expect
    .poll(async () => (await other.received(world.streamId)).widthPx, { timeout: TIMEOUT_MS })
    .toBe(1280);
  const layers = statisticsOf(world.streamId).viewers.map(({ spatialLayer }) => spatialLayer);
  expect(layers.toSorted((a, b) => Number(a) - Number(b))).toEqual([0, 1]);
  await wall.prefer(world.streamId, FULL);
  await expect
    .poll(async () => (await wall.received(world.streamId)).widthPx, { timeout: TIMEOUT_MS })
    .toBe(1280);
});
