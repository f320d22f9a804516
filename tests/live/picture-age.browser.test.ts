/** How late a picture is, as the page says, and as it is. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { median } from '../bench/benchmark.ts';
import { LiveWorld } from './live-world.ts';

const PICTURES = 60;

let world: LiveWorld;

beforeAll(async () => {
  world = await LiveWorld.open();
});
afterAll(() => world?.close());

describe('the age of a picture by WebRTC', () => {
  it('[S20] is that of the whole way, from the drawing to the screen', async ({ annotate }) => {
    await world.publish();
    const viewer = await world.openPage();
    await world.view(viewer);
    await expect
      .poll(async () => (await viewer.delay(world.streamId))?.isMinimum, { timeout: 20_000 })
      .toBe(false);
    const ageMs = median(await viewer.ages(world.streamId, PICTURES));
    const said = (await viewer.delay(world.streamId))!;
    await annotate(`said ${said.ms.toFixed(0)} ms, median of what was seen ${ageMs.toFixed(0)} ms`);
    // What capture and the screen itself take cannot be measured by a page: a picture or two.
    expect(said.ms).toBeGreaterThan(ageMs / 5);
    expect(said.ms).toBeLessThan(ageMs * 1.5);
  });
});
