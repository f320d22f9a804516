/** Lines that are long and lose packets, that are narrow, and that are cut for a while. Nobody else is affected. */
import { setTimeout as wait } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { median } from '../bench/benchmark.ts';
import { openRestlessScreen } from '../harness/stamped-screen.ts';
import { NetworkWorld } from './network-world.ts';
import type { NetworkViewer } from './network-viewer.ts';
import { describeSince, longestSearchMs, MAX_SEARCH_MS } from './picture-log.ts';
import { mayNetworksBeMade } from './test-network.ts';

/** Each way, so that a round trip takes 200 ms longer, and of 100 exchanges ten fail at first. */
const LONG = { delayMs: 100, lossShare: 0.05, seed: 7 } as const;
const NARROW_KBPS = 300;
/** That of the screen; the small layer has a third of it. */
const FULL_WIDTH_PX = 1280;
/** For which the line is cut. */
const CUT_MS = 20_000;
/** For several browsers on a busy machine. */
const TIMEOUT_MS = 60_000;

const POLL = { timeout: TIMEOUT_MS };

const mayMake = await mayNetworksBeMade();

describe.skipIf(!mayMake)(`a line that is${mayMake ? '' : ' (no namespaces may be made here)'}`, () => {
  let world: NetworkWorld;
  let viewer: NetworkViewer;
  let other: NetworkViewer;

  beforeAll(async () => {
    world = await NetworkWorld.open({ openScreen: openRestlessScreen });
    [viewer, other] = await Promise.all([world.addViewer('viewer'), world.addViewer('other')]);
    await world.network.openLongLine(LONG);
    await Promise.all([viewer.open(), other.open()]);
    await Promise.all([viewer, other].map((one) => one.waitForPath('webrtc')));
  });
  afterAll(() => world?.close());

  it('[T3] long and lossy carries WebRTC on, and somebody who joins over it, without flapping', async ({
    annotate,
  }) => {
    const lengthenedMs = Date.now();
    await viewer.link.lengthen();
    const seen = await viewer.watch(40);
    const ageMs = median(seen.map(({ stampMs, seenAtMs }) => seenAtMs - stampMs));
    // The browser measures its round trips every few seconds.
    await expect.poll(() => viewer.saidAgeMs(), POLL).toBeGreaterThanOrEqual(LONG.delayMs);
    await annotate(
      `the picture is ${ageMs.toFixed(0)} ms old, and the page says ${await viewer.saidAgeMs()} ms`,
    );
    await annotate(`while watching: ${describeSince(await viewer.log(), lengthenedMs)}`);
    const losses = (await viewer.changesSince(lengthenedMs)).filter(
      ({ picture }) => picture === 'connecting',
    );
    expect(losses.length).toBeLessThanOrEqual(1);

    const firstMs = await viewer.open();
    await viewer.waitForPath('webrtc');
    await viewer.watch(20);
    const log = await viewer.log();
    await annotate(`first picture after ${firstMs} ms; ${describeSince(log, 0)}`);
    expect(longestSearchMs(log)).toBeLessThan(MAX_SEARCH_MS);
    await viewer.link.shorten();
  });

  it('narrow carries the small picture, to somebody who joins as well, and the other viewer keeps the large one', async ({
    annotate,
  }) => {
    await viewer.open();
    for (const one of [viewer, other]) {
      await one.waitForPath('webrtc');
      await expect.poll(() => one.widthPx(), { timeout: TIMEOUT_MS }).toBe(FULL_WIDTH_PX);
    }
    const narrowedMs = Date.now();
    await viewer.link.narrow(NARROW_KBPS);
    // Polled, because a publisher on a busy machine may leave out the large layer for a while, for everybody.
    await expect
      .poll(
        async () => {
          const [own, others, path] = await Promise.all([viewer.widthPx(), other.widthPx(), other.path()]);
          return own < FULL_WIDTH_PX && others === FULL_WIDTH_PX ? path : null;
        },
        { timeout: TIMEOUT_MS },
      )
      .toBe('webrtc');
    await viewer.watch(5);
    const log = await viewer.log();
    await annotate(`${await viewer.widthPx()} pixels wide; ${describeSince(log, narrowedMs)}`);
    expect(longestSearchMs(log)).toBeLessThan(MAX_SEARCH_MS);
    await annotate(`the other viewer: ${describeSince(await other.log(), narrowedMs)}`);
    const firstMs = await viewer.open();
    await viewer.watch(5);
    const joined = await viewer.log();
    await annotate(`joined: first picture after ${firstMs} ms; ${describeSince(joined, 0)}`);
    expect(longestSearchMs(joined)).toBeLessThan(MAX_SEARCH_MS);
    await viewer.link.widen();
  });

  it('[T4] cut is told, and mended the picture comes back by itself, up to WebRTC', async ({ annotate }) => {
    await viewer.open();
    await viewer.waitForPath('webrtc');
    const cutMs = Date.now();
    await viewer.link.pull();
    await Promise.all([viewer.waitForNoPicture(cutMs), other.watch(10), wait(CUT_MS)]);
    const pluggedMs = Date.now();
    await viewer.link.plug();
    await viewer.waitForPath('webrtc');
    await viewer.watch(10);
    const log = await viewer.log();
    await annotate(`since it was cut: ${describeSince(log, cutMs)}; mended after ${pluggedMs - cutMs} ms`);
    expect(longestSearchMs(log)).toBeLessThan(MAX_SEARCH_MS);
    expect(log.changes.find(({ atMs, picture }) => atMs > pluggedMs && picture === 'playing')).toBeDefined();
  });
});
