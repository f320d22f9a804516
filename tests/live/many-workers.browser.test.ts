/** More viewers than one worker serves: the others get the same pictures from another worker. */
import { afterAll, beforeAll, expect, it } from 'vitest';
import { videoOf, type LivePage } from '../harness/live-page.ts';
import { watchStamps } from '../harness/stamp-readers.ts';
import { LiveWorld } from './live-world.ts';

let world: LiveWorld;
let viewers: LivePage[];

beforeAll(async () => {
  world = await LiveWorld.open({ workerCount: 2, limits: { maxViewersPerRouter: 2 } });
  await world.publish();
  viewers = [];
  for (let count = 0; count < 4; count += 1) {
    const viewer = await world.openPage();
    await world.view(viewer);
    viewers.push(viewer);
  }
});
afterAll(() => world?.close());

it('[S15] viewers above the threshold land on another worker and see the same stamps', async () => {
  const served = world.running.sfu.statistics().streams[0]?.viewers.map(({ workerPid }) => workerPid) ?? [];
  expect(served).toHaveLength(4);
  expect(new Set(served.slice(0, 2)).size).toBe(1);
  expect(new Set(served.slice(2)).size).toBe(1);
  expect(served[2]).not.toBe(served[0]);

  const seen = await Promise.all(
    viewers.map((viewer) =>
      watchStamps(viewer.page, videoOf(world.streamId), {
        isEnough: ({ length }) => length >= 40,
        timeoutMs: 60_000,
      }),
    ),
  );
  const [near, , far] = seen.map((stamps) => new Set(stamps.map(({ stampMs }) => stampMs)));
  const shared = [...far!].filter((stampMs) => near!.has(stampMs));
  expect(shared.length).toBeGreaterThan(5);
});
