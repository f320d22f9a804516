/** A machine goes to another network: its address is another one, and the old one is gone. */
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { DesktopDriver } from '../harness/desktop-driver.ts';
import { readOriginalChunks } from '../harness/rebuilt-recording.ts';
import { downloadOnlyRecording } from '../harness/sealed-recording.ts';
import { readFileFrames } from '../harness/stamp-readers.ts';
import { NetworkWorld } from './network-world.ts';
import type { NetworkViewer } from './network-viewer.ts';
import { describeSince, longestSearchMs, MAX_SEARCH_MS } from './picture-log.ts';
import { mayNetworksBeMade } from './test-network.ts';

/** The app notices a dead signalling within 9 s; when it does not, it is told by ICE, 15 s after the move or later. */
const NOTICE_MS = 13_000;
/** The app notices a dead upload within some seconds; by pings alone it takes half a minute. */
const DURABLE_MS = 20_000;
/** The SFU gives up, within 10 to 20 s, a publisher of which it hears nothing; this is longer. */
const WATCHED_MS = 25_000;

const TIMEOUT_MS = 60_000;

/** Resolves when the app says that its live path is being built anew, for however short a time. */
async function waitForReconnecting({ app }: DesktopDriver): Promise<void> {
  const selector = '[data-testid="live-path"][data-state="reconnecting"]';
  await app.page.waitForFunction((wanted) => document.querySelector(wanted), selector, {
    polling: 'raf',
    timeout: TIMEOUT_MS,
  });
}

/** Milliseconds from now until it resolves. */
async function elapsed(event: Promise<unknown>): Promise<number> {
  const sinceMs = Date.now();
  await event;
  return Date.now() - sinceMs;
}

/** Watches for long enough after a move, to a picture by WebRTC; resolves with what was seen since then. */
async function watchToTheEnd(viewer: NetworkViewer, movedMs: number): Promise<string> {
  await viewer.watchUntil(movedMs + WATCHED_MS);
  await viewer.waitForPath('webrtc');
  await viewer.watch(5);
  const log = await viewer.log();
  expect(longestSearchMs(log)).toBeLessThan(MAX_SEARCH_MS);
  return describeSince(log, movedMs);
}

const mayMake = await mayNetworksBeMade();

describe.skipIf(!mayMake)(
  `a screen on a machine that changes its network${mayMake ? '' : ' (no namespaces may be made here)'}`,
  () => {
    let world: NetworkWorld;
    let viewer: NetworkViewer;
    let movedMs: number;

    beforeAll(async () => {
      world = await NetworkWorld.open();
      viewer = await world.addViewer('viewer');
      await viewer.open();
      await viewer.waitForPath('webrtc');
      await world.desktop.waitForMoreDurableBytes();
    });
    afterAll(() => world?.close());

    it('is seen again without anybody doing anything', async ({ annotate }) => {
      const before = world.publisher.link.address;
      movedMs = Date.now();
      await world.publisher.changeNetwork();
      expect(world.publisher.link.address).not.toBe(before);
      const [pictureMs, durableMs, noticedMs] = await Promise.all([
        elapsed(viewer.watch(1)),
        elapsed(world.desktop.waitForMoreDurableBytes()),
        elapsed(waitForReconnecting(world.desktop)),
      ]);
      await annotate(`from the other network: picture ${pictureMs} ms, durable chunk ${durableMs} ms`);
      await annotate(`the app found its signalling dead after ${noticedMs} ms`);
      expect(durableMs).toBeLessThan(DURABLE_MS);
      expect(noticedMs).toBeLessThan(NOTICE_MS);
      await annotate(await watchToTheEnd(viewer, movedMs));
    });

    it('[T2] is seen again by a viewer who changes network, in the end by WebRTC', async ({ annotate }) => {
      const sinceMs = Date.now();
      await viewer.changeNetwork();
      await annotate(`from the other network: picture ${await elapsed(viewer.watch(1))} ms`);
      await annotate(await watchToTheEnd(viewer, sinceMs));
    });

    it('[I3] is recorded without a gap, in one recording', async ({ annotate }) => {
      await world.desktop.stopSharing();
      const path = join(world.folder, 'recording.webm');
      const { recordingId } = await downloadOnlyRecording(world.admin, path);
      const chunks = await readOriginalChunks(world.admin, recordingId);
      expect(chunks.map(({ sequence }) => sequence)).toEqual(chunks.map((_, index) => index));
      // One run of the recorder: it has not noticed anything.
      expect(new Set(chunks.map(({ epoch }) => epoch)).size).toBe(1);
      const stamps = (await readFileFrames(path)).map(({ stampMs }) => stampMs);
      expect(stamps).not.toContain(null);
      expect(stamps[0]).toBeLessThan(movedMs);
      expect(stamps.at(-1)).toBeGreaterThan(movedMs + WATCHED_MS);
      await annotate(`${chunks.length} chunks, ${stamps.length} pictures`);
    });
  },
);
