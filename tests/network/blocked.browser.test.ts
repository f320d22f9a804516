/** Networks that do not let everything through: WebRTC finds its way by TCP, and what is left then is the relay. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { NetworkWorld, PORTS } from './network-world.ts';
import type { NetworkViewer } from './network-viewer.ts';

let world: NetworkWorld;
let viewer: NetworkViewer;

beforeAll(async () => {
  world = await NetworkWorld.open();
  viewer = await world.addViewer('viewer');
});
afterAll(() => world?.close());

describe('where UDP is blocked', () => {
  it('shows', async () => {
    const ms = await viewer.openWall();
    console.log('open network', ms, JSON.stringify(await viewer.log()));
    await viewer.waitForPath('webrtc');
    await viewer.watch(20);
    await viewer.link.block([{ protocol: 'udp' }]);
    const t = Date.now();
    await new Promise((r) => setTimeout(r, 20000));
    console.log('running', t, JSON.stringify(await viewer.log()));
    const ms2 = await viewer.openWall();
    await viewer.waitForPath('webrtc');
    console.log('blocked udp join', ms2, JSON.stringify(await viewer.log()));
    await viewer.link.block([{ protocol: 'udp' }, { protocol: 'tcp', port: PORTS.media }]);
    await new Promise((r) => setTimeout(r, 20000));
    console.log('all', t, JSON.stringify(await viewer.log()));
    await viewer.link.block([]);
    const t2 = Date.now();
    await viewer.waitForPath('webrtc');
    console.log('back', Date.now() - t2);
    expect(1).toBe(1);
  });
});
