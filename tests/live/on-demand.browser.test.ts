/** What nobody watches is not encoded; who watches sees it soon. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { LivePage } from '../harness/live-page.ts';
import { videoOf } from '../harness/live-page.ts';
import { watchStamps } from '../harness/stamp-readers.ts';
import { LiveWorld } from './live-world.ts';

const LINGER_MS = 300;
const TIMEOUT_MS = 30_000;

let world: LiveWorld;
let publisher: LivePage;
let viewer: LivePage;

beforeAll(async () => {
  world = await LiveWorld.open({ limits: { audienceLingerMs: LINGER_MS } });
  publisher = await world.publish();
  viewer = await world.openPage();
});
afterAll(() => world?.close());

/** What is encoded and sent while forty pictures are drawn. */
async function sentMeanwhile() {
  const before = await publisher.sent();
  await publisher.untilDrawn(40);
  const after = await publisher.sent();
  return {
    frames: after.framesEncoded - before.framesEncoded,
    bytes: after.bytesSent - before.bytesSent,
  };
}

describe('[S12] a stream', () => {
  it('that nobody watches is neither encoded nor sent', async () => {
    expect(await sentMeanwhile()).toEqual({ frames: 0, bytes: 0 });
    expect((await publisher.sent()).framesEncoded).toBe(0);
  });

  it('is encoded for its first viewer, who sees it move', async ({ annotate }) => {
    const joinedMs = await world.view(viewer);
    await annotate(`first picture after ${joinedMs.toFixed(0)} ms`);
    const seen = await watchStamps(viewer.page, videoOf(world.streamId), {
      isEnough: ({ length }) => length >= 20,
      timeoutMs: TIMEOUT_MS,
    });
    expect(seen.at(-1)!.stampMs).toBeGreaterThan(seen[0]!.stampMs);
    expect((await sentMeanwhile()).frames).toBeGreaterThan(20);
  });

  it('is encoded no more some time after its last viewer has paused it, and again at once when that one goes on', async () => {
    const preference = { isVisible: false, widthPx: 0, isFocus: false, isHeard: false };
    await viewer.prefer(world.streamId, preference);
    await expect.poll(sentMeanwhile, { timeout: TIMEOUT_MS }).toEqual({ frames: 0, bytes: 0 });
    await viewer.prefer(world.streamId, { ...preference, isVisible: true });
    const resumedMs = Date.now();
    await watchStamps(viewer.page, videoOf(world.streamId), {
      isEnough: (seen) => seen.some(({ stampMs }) => stampMs > resumedMs),
      timeoutMs: TIMEOUT_MS,
    });
    expect(await viewer.lost(world.streamId)).toBeNull();
  });

  it('is encoded no more some time after its last viewer has gone', async () => {
    await viewer.leave(world.streamId);
    await publisher.untilViewers(0);
    await expect.poll(sentMeanwhile, { timeout: TIMEOUT_MS }).toEqual({ frames: 0, bytes: 0 });
    expect(await publisher.takePaths()).not.toContain('reconnecting');
  });
});
