/**
 * Networks that do not let everything through, blocked while somebody watches and before somebody joins: WebRTC finds its
 * way by TCP, what is left then is the relay, and everything comes back by itself. The person who watches touches nothing.
 */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { NetworkWorld, PORTS } from './network-world.ts';
import type { NetworkViewer } from './network-viewer.ts';
import type { Traffic } from './network-link.ts';
import { describeSince, longestSearchMs, MAX_SEARCH_MS } from './picture-log.ts';
import { mayNetworksBeMade } from './test-network.ts';

const UDP: Traffic = { protocol: 'udp' };
const MEDIA: Traffic = { protocol: 'tcp', port: PORTS.media };
const SIGNALLING: Traffic = { protocol: 'tcp', port: PORTS.signalling };

const mayMake = await mayNetworksBeMade();

describe.skipIf(!mayMake)(
  `where a network blocks${mayMake ? '' : ' (no namespaces may be made here)'}`,
  () => {
    let world: NetworkWorld;
    let viewer: NetworkViewer;

    beforeAll(async () => {
      world = await NetworkWorld.open();
      viewer = await world.addViewer('viewer');
      await viewer.open();
      await viewer.waitForPath('webrtc');
    });
    afterAll(() => world?.close());

    it('[T2] UDP while somebody watches, the relay stands in until WebRTC has found its way by TCP', async ({
      annotate,
    }) => {
      expect(await viewer.mediaProtocol()).toBe('udp');
      const blockedMs = Date.now();
      await viewer.link.block([UDP]);
      await viewer.waitForLoss(blockedMs);
      await viewer.waitForPath('webrtc');
      await viewer.watch(5);
      expect(await viewer.mediaProtocol()).toBe('tcp');
      const log = await viewer.log();
      await annotate(describeSince(log, blockedMs));
      expect(longestSearchMs(log)).toBeLessThan(MAX_SEARCH_MS);
    });

    it('[T1] UDP before somebody joins, the first picture comes by WebRTC over TCP', async ({ annotate }) => {
      const firstMs = await viewer.open();
      await viewer.waitForPath('webrtc');
      await viewer.watch(5);
      expect(await viewer.mediaProtocol()).toBe('tcp');
      const log = await viewer.log();
      await annotate(`first picture after ${firstMs} ms; ${describeSince(log, 0)}`);
      expect(longestSearchMs(log)).toBeLessThan(MAX_SEARCH_MS);
    });

    it('[T2] all ways to the media ports, the relay takes over, also when the signalling is gone too', async ({
      annotate,
    }) => {
      const blockedMs = Date.now();
      await viewer.link.block([UDP, MEDIA]);
      await viewer.waitForLoss(blockedMs);
      await viewer.waitForPath('relay');
      await viewer.watch(5);
      await annotate(`media blocked: ${describeSince(await viewer.log(), blockedMs)}`);

      await viewer.link.block([UDP, MEDIA, SIGNALLING]);
      const firstMs = await viewer.open();
      await viewer.waitForPath('relay');
      await viewer.watch(5);
      const log = await viewer.log();
      await annotate(`joined with signalling blocked: first picture after ${firstMs} ms`);
      expect(log.changes.map(({ path }) => path)).not.toContain('webrtc');
      expect(longestSearchMs(log)).toBeLessThan(MAX_SEARCH_MS);
    });

    it('[T2] nothing any more, WebRTC comes back by itself', async ({ annotate }) => {
      const openedMs = Date.now();
      await viewer.link.block([]);
      await viewer.waitForPath('webrtc');
      await viewer.watch(5);
      const log = await viewer.log();
      await annotate(describeSince(log, openedMs));
      // The relay's picture was there until WebRTC had one.
      const since = await viewer.changesSince(openedMs);
      expect(since.map(({ picture }) => picture)).not.toContain('no-picture');
    });
  },
);
