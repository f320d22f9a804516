/** One viewer's narrow network is that viewer's alone. */
import { afterAll, beforeAll, expect, it } from 'vitest';
import type { LivePage } from '../harness/live-page.ts';
import { LiveWorld } from './live-world.ts';

const TIMEOUT_MS = 60_000;
/** Less than the large layer takes, and enough for the small one. */
const NARROW_BYTES_PER_SECOND = 60_000;

let world: LiveWorld;
let narrow: LivePage;
let wide: LivePage;

beforeAll(async () => {
  world = await LiveWorld.open({ limits: { statisticsIntervalMs: 200 } });
  await world.publish(world.streamId, { isRestless: true });
  [narrow, wide] = [await world.openPageApart(), await world.openPage()];
  await world.view(wide);
  await world.view(narrow);
});
afterAll(() => world?.close());

it('[S14] a viewer whose network is narrow gets the small picture, and the other one keeps the large one', async () => {
  const widthOf = async (page: LivePage) => (await page.received(world.streamId)).widthPx;
  await expect.poll(() => widthOf(wide), { timeout: TIMEOUT_MS }).toBe(1280);
  await expect.poll(() => widthOf(narrow), { timeout: TIMEOUT_MS }).toBe(1280);

  const session = await narrow.page.context().newCDPSession(narrow.page);
  await session.send('Network.enable');
  await session.send('Network.emulateNetworkConditions', {
    offline: false,
    latency: 0,
    downloadThroughput: NARROW_BYTES_PER_SECOND,
    uploadThroughput: -1,
    packetQueueLength: 30,
  });
  const before = await wide.received(world.streamId);
  await expect.poll(() => widthOf(narrow), { timeout: TIMEOUT_MS }).toBeLessThan(1280);
  const after = await wide.received(world.streamId);
  expect(after.widthPx).toBe(1280);
  expect(after.framesDecoded).toBeGreaterThan(before.framesDecoded);
  const viewers = world.running.sfu.statistics().streams[0]?.viewers ?? [];
  expect(viewers.map(({ spatialLayer }) => spatialLayer)).toEqual([1, 0]);
  expect(await narrow.lost(world.streamId)).toBeNull();
});
