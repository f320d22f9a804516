/** The machine that shares its screen goes to another network: its address is another one, and the old one is gone. */
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { readOriginalChunks } from '../harness/rebuilt-recording.ts';
import { downloadOnlyRecording } from '../harness/sealed-recording.ts';
import { readFileFrames } from '../harness/stamp-readers.ts';
import { NetworkWorld } from './network-world.ts';
import type { NetworkViewer } from './network-viewer.ts';
import { describeSince, longestSearchMs, MAX_SEARCH_MS } from './picture-log.ts';
import { mayNetworksBeMade } from './test-network.ts';

/** The SFU gives up, within 10 to 20 s, a publisher of which it hears nothing; this is longer. */
const WATCHED_MS = 25_000;

const mayMake = await mayNetworksBeMade();

describe.skipIf(!mayMake)(
  `a publisher that changes its network${mayMake ? '' : ' (no namespaces may be made here)'}`,
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
      await viewer.watch(1);
      await annotate(`first picture from the other network after ${Date.now() - movedMs} ms`);
      await world.desktop.waitForMoreDurableBytes();
      await annotate(`first chunk from there is durable after ${Date.now() - movedMs} ms`);
      await viewer.watchUntil(movedMs + WATCHED_MS);
      await viewer.waitForPath('webrtc');
      await viewer.watch(5);
      const log = await viewer.log();
      await annotate(describeSince(log, movedMs));
      expect(longestSearchMs(log)).toBeLessThan(MAX_SEARCH_MS);
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
