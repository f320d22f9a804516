/**
 * A wall of 49 streams by WebRTC in one page: one connection to the SFU for all of them, and nothing sent for what is
 * off the screen. The streams are light: small pictures, few a second.
 */
import type { Id } from '@proofcast/shared';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { StreamStatistics } from '../../sfu/src/statistics.ts';
import { LiveWall } from '../harness/live-wall.ts';
import { WallPage } from '../harness/wall-page.ts';

const STREAMS = 49;
const PICTURE = { widthPx: 480, heightPx: 270, framesPerSecond: 4, isRestless: false };
const TIMEOUT_MS = 90_000;
const POLL = { timeout: TIMEOUT_MS, interval: 250 };
/** As many tiles as a window this large shows in two columns, and those close to it. */
const NARROW = { width: 400, height: 700 };
const MAX_NARROW_TILES = 14;

let wall: LiveWall;
let viewer: WallPage;

beforeAll(async () => {
  wall = await LiveWall.open({ streamCount: STREAMS, picture: PICTURE });
  viewer = await WallPage.open(wall.services.relay.url, { admin: wall.services.admin, gridSize: 49 });
});
afterAll(async () => {
  await viewer?.close();
  await wall?.close();
});

/** What the SFU says as soon as it is what is expected. */
async function statisticsOnce(
  isExpected: (streams: readonly StreamStatistics[]) => boolean,
): Promise<readonly StreamStatistics[]> {
  let streams: readonly StreamStatistics[] = [];
  await expect
    .poll(async () => {
      ({ streams } = await wall.services.sfuStatistics());
      return isExpected(streams);
    }, POLL)
    .toBe(true);
  return streams;
}

/** Streams that the SFU sends to somebody: those who have them open have not paused them. */
const sent = (streams: readonly StreamStatistics[]): Set<Id> =>
  new Set(
    streams
      .filter(({ viewers }) => viewers.some(({ isPaused }) => !isPaused))
      .map(({ streamId }) => streamId),
  );

/** Streams whose publishers are asked to encode. */
const wanted = (streams: readonly StreamStatistics[]): number =>
  streams.filter(({ isWanted }) => isWanted).length;

const isAFew = (count: number): boolean => count > 0 && count <= MAX_NARROW_TILES;

describe('a wall of 49 streams', () => {
  it('[S13] [T2] moves all over, by WebRTC, over one connection', async ({ annotate }) => {
    const openedMs = Date.now();
    await viewer.load(wall.services.relay.url);
    const onWebRtc = async () => (await viewer.readTiles()).filter(({ path }) => path === 'webrtc').length;
    await expect.poll(onWebRtc, POLL).toBe(STREAMS);
    await annotate(`${STREAMS} pictures by WebRTC ${Date.now() - openedMs} ms after the page was opened`);

    const fromMs = Date.now();
    const moved = async () =>
      (await viewer.readStamps(wall.streamIds)).filter((stampMs) => (stampMs ?? 0) > fromMs).length;
    await expect.poll(moved, POLL).toBe(STREAMS);
    await annotate(`what was drawn later is seen in all of them ${Date.now() - fromMs} ms after that`);

    expect(viewer.sockets.filter((path) => path === '/signaling')).toHaveLength(1);
    expect(viewer.sockets.filter((path) => path === '/api/view')).toHaveLength(1);
    expect(await viewer.connectionCount()).toBe(1);
    const streams = await statisticsOnce((all) => sent(all).size === STREAMS);
    expect(streams.flatMap(({ viewers }) => viewers)).toHaveLength(STREAMS);
    // Tiles are small, and so is what is sent for them.
    await statisticsOnce((all) =>
      all.every(({ viewers }) => viewers.every(({ spatialLayer }) => spatialLayer === 0)),
    );
    // Whoever was shown by the relay first is so no more.
    await expect
      .poll(async () => {
        const { streams: known } = await wall.admin.call('streams');
        return known.filter(({ viewerCount }) => viewerCount > 0);
      }, POLL)
      .toEqual([]);
  });

  it('[T8] [S14] has nothing sent that is off the screen, nor even encoded', async ({ annotate }) => {
    await viewer.page.setViewportSize(NARROW);
    // Publishers go on for some seconds after their last viewer; by then nothing is changing any more.
    const narrow = await statisticsOnce((streams) => isAFew(wanted(streams)) && isAFew(sent(streams).size));
    const atTheTop = sent(narrow);
    await annotate(`${atTheTop.size} of ${STREAMS} streams are sent to a narrow window`);

    await viewer.page.evaluate(() => scrollTo(0, document.body.scrollHeight));
    const scrolled = await statisticsOnce((streams) => {
      const now = sent(streams);
      return isAFew(now.size) && [...now].every((streamId) => !atTheTop.has(streamId));
    });
    const [inSight] = sent(scrolled);
    const fromMs = Date.now();
    const shownMs = async () => (await viewer.readStamps([inSight!]))[0] ?? 0;
    await expect.poll(shownMs, POLL).toBeGreaterThan(fromMs);
    expect(await viewer.connectionCount()).toBe(1);

    await viewer.page.goto('about:blank');
    await statisticsOnce((streams) => sent(streams).size === 0 && wanted(streams) === 0);
  });
});
