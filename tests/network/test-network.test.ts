import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { killProcess } from '@proofcast/shared/testing/processes';
import { describe, expect, it } from 'vitest';
import { NetworkWorld } from './network-world.ts';
import { listNamespaces } from './net-namespace.ts';
import { mayNetworksBeMade, SERVER_ADDRESS, TestNetwork, type Peer } from './test-network.ts';

const mayMake = await mayNetworksBeMade();

/** Connects to a port of the server that nobody listens at, and says what came of it. */
const CONNECT = `
  const socket = require('node:net').connect(9, '${SERVER_ADDRESS}');
  socket.setTimeout(1000, () => { console.log('silence'); process.exit(); });
  socket.on('error', ({ code }) => console.log(code));
`;

const namespacesOf = async (pid: number | undefined): Promise<string[]> =>
  (await listNamespaces()).filter((name) => name.startsWith(`proofcast-${pid}-`));

/** What a peer gets for an attempt to connect: a refusal shows that the server was reached, and answered. */
const tryToConnect = async (peer: Peer): Promise<string> =>
  (await peer.namespace.run(process.execPath, ['-e', CONNECT])).trim();

describe.skipIf(!mayMake)(`a test network${mayMake ? '' : ' (no namespaces may be made here)'}`, () => {
  it('drops what is blocked without a word, and only for that peer', async () => {
    const network = await TestNetwork.open();
    try {
      const [near, other] = [await network.addPeer('near'), await network.addPeer('other')];
      expect(await tryToConnect(near)).toBe('ECONNREFUSED');
      await near.link.block([{ protocol: 'udp' }, { protocol: 'tcp', port: 9 }]);
      expect(await tryToConnect(near)).toBe('silence');
      expect(await tryToConnect(other)).toBe('ECONNREFUSED');
      await near.link.block([]);
      expect(await tryToConnect(near)).toBe('ECONNREFUSED');
      await near.changeNetwork();
      expect(await tryToConnect(near)).toBe('ECONNREFUSED');
      await near.link.pull();
      expect(await tryToConnect(near)).not.toBe('ECONNREFUSED');
    } finally {
      await network.close();
    }
    expect(await namespacesOf(process.pid)).toEqual([]);
  });

  it('lets nothing through a line that loses everything', async () => {
    const network = await TestNetwork.open();
    try {
      const peer = await network.addPeer('peer');
      await network.openLongLine({ delayMs: 10, lossShare: 1, seed: 1 });
      await peer.link.lengthen();
      expect(await tryToConnect(peer)).toBe('silence');
      await peer.link.shorten();
      expect(await tryToConnect(peer)).toBe('ECONNREFUSED');
    } finally {
      await network.close();
    }
  });

  it('that a killed run has left is removed by the next one, which leaves those of others alone', async () => {
    const module = JSON.stringify(join(import.meta.dirname, 'test-network.ts'));
    const script = `
      import { TestNetwork } from ${module};
      await TestNetwork.open();
      // Keeps it running.
      process.on('message', () => undefined);
      process.send('open');
    `;
    const killed = spawn(process.execPath, ['--input-type=module', '-e', script], {
      stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
    });
    await once(killed, 'message');
    const first = await TestNetwork.open();
    expect(await namespacesOf(killed.pid)).toHaveLength(2);
    killProcess(killed.pid);
    await once(killed, 'exit');
    const second = await TestNetwork.open();
    expect(await namespacesOf(killed.pid)).toEqual([]);
    expect(await namespacesOf(process.pid)).toHaveLength(4);
    await Promise.all([first.close(), second.close()]);
    expect(await namespacesOf(process.pid)).toEqual([]);
  });

  it('is removed when what is to run in it cannot be started', async () => {
    const openScreen = () => Promise.reject(new Error('There is no screen.'));
    await expect(NetworkWorld.open({ openScreen })).rejects.toThrow('There is no screen.');
    expect(await namespacesOf(process.pid)).toEqual([]);
  });
});
