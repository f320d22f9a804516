/** A network that lets TCP out to port 443 alone, and a TURN server there: the credentials are the SFU's own. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { NetworkWorld, PORTS } from './network-world.ts';
import type { NetworkViewer } from './network-viewer.ts';
import { describeSince, longestSearchMs, MAX_SEARCH_MS } from './picture-log.ts';
import { mayNetworksBeMade } from './test-network.ts';
import { hasTurnServer } from './turn-server.ts';

const missing = hasTurnServer() ? '' : ' (coturn is not installed)';
const mayMake = await mayNetworksBeMade();
const reason = mayMake ? missing : ' (no namespaces may be made here)';

describe.skipIf(reason !== '')(`where only a TURN server can be reached${reason}`, () => {
  let world: NetworkWorld;
  let viewer: NetworkViewer;

  beforeAll(async () => {
    world = await NetworkWorld.open({ hasTurn: true });
    viewer = await world.addViewer('viewer');
    await viewer.link.block([{ protocol: 'udp' }, { protocol: 'tcp', port: PORTS.media }]);
  });
  afterAll(() => world?.close());

  it('[S16] the picture comes by WebRTC, over TCP to the TURN server', async ({ annotate }) => {
    const firstMs = await viewer.open();
    await viewer.waitForPath('webrtc');
    await viewer.watch(20);
    expect(await viewer.mediaProtocol()).toBe('relay tcp');
    const log = await viewer.log();
    await annotate(`first picture after ${firstMs} ms; ${describeSince(log, 0)}`);
    expect(longestSearchMs(log)).toBeLessThan(MAX_SEARCH_MS);
  });
});
