/**
 * A wall of many streams that come through the relay, in one page: one connection for all of them, nothing asked for
 * that is off the screen. The streams are synthetic, light, and really decoded.
 */
import type { Id, StreamView } from '@proofcast/shared';
import type { Browser, Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { TestClient } from '../../relay/testing/test-client.ts';
import { enrolPublishers, LoadPublisher, sharePayload } from '../bench/load-publisher.ts';
import { RecorderStream } from '../bench/recorder-stream.ts';
import { launchViewer } from '../harness/chromium.ts';
import { openWall } from '../harness/dashboard-driver.ts';
import { look } from '../harness/looks.ts';
import { startServices, type Services } from '../harness/services.ts';

const STREAMS = 25;
const SLICE_MS = 250;
const BITS_PER_SECOND = 150_000;
const TIMEOUT_MS = 90_000;
const NARROW = { width: 400, height: 700 };
/** How far from the window a picture may be and still be asked for. */
const CLOSE_PX = 150;

let services: Services;
let admin: TestClient;
let browser: Browser;
let publishers: LoadPublisher[];
let timer: ReturnType<typeof setInterval>;
let page: Page;
/** Of the page, in the order in which they were opened. */
const sockets: string[] = [];

beforeAll(async () => {
  services = await startServices({ LOG_LEVEL: 'warn' });
  admin = new TestClient(services.relay.url);
  await admin.call('signIn', { body: services.admin });
  const seats = await enrolPublishers(admin, STREAMS);
  publishers = await Promise.all(seats.map((seat) => LoadPublisher.open(services.relay.url, seat)));
  const recorder = new RecorderStream({ bitsPerSecond: BITS_PER_SECOND });
  timer = setInterval(() => {
    const slice = sharePayload('media', recorder.take(SLICE_MS));
    for (const publisher of publishers) publisher.send(slice, Date.now() * 1000);
  }, SLICE_MS);
  browser = await launchViewer();
});

afterAll(async () => {
  clearInterval(timer);
  await browser?.close();
  for (const publisher of publishers ?? []) publisher.destroy();
  await services?.close();
});

const playing = () => page.locator('article[data-picture="playing"]');

/** The streams as soon as they are what is expected. */
async function streamsOnce(
  condition: (streams: readonly StreamView[]) => boolean | Promise<boolean>,
): Promise<StreamView[]> {
  let streams: StreamView[] = [];
  await expect
    .poll(
      async () => {
        ({ streams } = await admin.call('streams'));
        return condition(streams);
      },
      { timeout: TIMEOUT_MS, interval: 250 },
    )
    .toBe(true);
  return streams;
}

const watched = (streams: readonly StreamView[]): Set<Id> =>
  new Set(streams.filter(({ viewerCount }) => viewerCount > 0).map(({ streamId }) => streamId));

describe('a wall of many streams', () => {
  it(`shows ${STREAMS} moving pictures over one websocket`, async ({ annotate }) => {
    page = await openWall(browser, services.relay.url, services.admin);
    await page.getByTestId('grid-25').click();
    await page.goto('about:blank');
    page.on('websocket', (socket) => sockets.push(new URL(socket.url()).pathname));
    // All of the wall is in sight.
    await page.setViewportSize({ width: 1600, height: 1400 });
    const openedMs = Date.now();
    await page.goto(services.relay.url);
    await expect.poll(() => playing().count(), { timeout: TIMEOUT_MS }).toBe(STREAMS);
    await annotate(`${STREAMS} pictures ${Date.now() - openedMs} ms after the page was opened`);
    const positions = () =>
      page.evaluate(() => [...document.querySelectorAll('video')].map(({ currentTime }) => currentTime));
    const before = await positions();
    await expect
      .poll(async () => (await positions()).every((position, index) => position > (before[index] ?? 0) + 1), {
        timeout: TIMEOUT_MS,
      })
      .toBe(true);
    expect(sockets.filter((path) => path === '/api/view')).toHaveLength(1);
    expect(sockets.filter((path) => path === '/signaling').length).toBeLessThanOrEqual(1);
    expect(watched(await streamsOnce((streams) => streams.length === STREAMS)).size).toBe(STREAMS);
    await look(page, 'wall-many');
  });

  it('[T8] asks for nothing that is off the screen, and keeps no element for it', async ({ annotate }) => {
    await page.setViewportSize(NARROW);
    const atTheTop = await watchedInSight();
    await annotate(`${atTheTop.size} of ${STREAMS} streams are asked for in a narrow window`);

    await page.evaluate(() => scrollTo(0, document.body.scrollHeight));
    const atTheBottom = await watchedInSight();
    expect([...atTheBottom].filter((streamId) => atTheTop.has(streamId))).toEqual([]);
    await page.context().close();
    await streamsOnce((streams) => watched(streams).size === 0);
  });
});

const isWithin = (part: ReadonlySet<Id>, whole: ReadonlySet<Id>): boolean =>
  [...part].every((streamId) => whole.has(streamId));

/** What is watched, once that is all that is in sight and, at most, what is close to it. */
async function watchedInSight(): Promise<Set<Id>> {
  const streams = await streamsOnce(async (now) => {
    const [inSight, close] = [await tilesWithin(0), await tilesWithin(CLOSE_PX)];
    return inSight.size > 0 && isWithin(inSight, watched(now)) && isWithin(watched(now), close);
  });
  const inSight = watched(streams);
  await expect.poll(() => page.locator('video').count()).toBe(inSight.size);
  return inSight;
}

/** The streams whose pictures lie in the window, or not further from it than `marginPx`. */
async function tilesWithin(marginPx: number): Promise<Set<Id>> {
  const ids = await page.evaluate(
    (margin) =>
      [...document.querySelectorAll<HTMLElement>('.tile__stage')].flatMap((stage) => {
        const { top, bottom } = stage.getBoundingClientRect();
        const isClose = bottom > -margin && top < innerHeight + margin;
        return isClose ? [stage.parentElement?.dataset['testid']?.replace('tile-', '') ?? ''] : [];
      }),
    marginPx,
  );
  return new Set(ids);
}
