/**
 * A network of its own, made of network namespaces: a server, peers, and a gateway between them.
 *
 *     server ── gateway ─┬─ peer          every line is a veth pair, every namespace has its own addresses,
 *                        └─ peer …        routes and loopback device
 *
 * The network of the machine has no part in it, so the addresses are the same in every run, and runs beside one another
 * do not meet. Deleting the namespaces removes everything.
 */
import { randomBytes } from 'node:crypto';
import { isProcessAlive } from '@proofcast/shared/testing/processes';
import { openLongLine, type LongLineOptions } from './long-line.ts';
import { NamespaceDoor } from './namespace-door.ts';
import type { NamespaceProcess } from './namespace-process.ts';
import { listNamespaces, NetNamespace, removeNamespace } from './net-namespace.ts';
import { NetworkLink, SERVER_DEVICE } from './network-link.ts';

/** Followed by the id of the process that the namespace belongs to, something random, and what it is for. */
const NAME = /^proofcast-(\d+)-[0-9a-f]+-/;

/** 198.18.0.0/15 is for tests of networks (RFC 2544). */
export const SERVER_ADDRESS = '198.18.0.2';

export class TestNetwork {
  readonly #name = `proofcast-${process.pid}-${randomBytes(4).toString('hex')}-`;
  readonly #closers: (() => Promise<void>)[] = [];
  #server: NetNamespace | undefined;
  #gateway: NetNamespace | undefined;
  #linkCount = 0;
  #closing: Promise<void> | undefined;

  /** With its server and gateway. What was begun is removed when anything fails. */
  static async open(): Promise<TestNetwork> {
    await removeLeftovers();
    const network = new TestNetwork();
    try {
      await network.#build();
      return network;
    } catch (error) {
      await network.close();
      throw error;
    }
  }

  get server(): NetNamespace {
    if (!this.#server) throw new Error('The test network has no server.');
    return this.#server;
  }

  get gateway(): NetNamespace {
    if (!this.#gateway) throw new Error('The test network has no gateway.');
    return this.#gateway;
  }

  /** Another machine in the network. */
  async addPeer(name: string): Promise<Peer> {
    const peer = await this.#create(name);
    return new Peer(peer, await this.#connect(peer), () => this.#connect(peer));
  }

  /** The way for this process to what listens in `namespace`. */
  async openDoor(namespace: NetNamespace): Promise<NamespaceDoor> {
    const door = await NamespaceDoor.open(namespace);
    this.#closers.push(() => door.close());
    return door;
  }

  /** For links that are lengthened; once in a network. */
  async openLongLine(options: LongLineOptions): Promise<NamespaceProcess> {
    const line = await openLongLine(this.gateway, options);
    this.#closers.push(() => line.close());
    return line;
  }

  /** Call it when nothing of the test runs there any more. Idempotent. */
  close(): Promise<void> {
    this.#closing ??= (async () => {
      const closed = await Promise.allSettled(this.#closers.map((close) => close()));
      await removeNamespaces((name) => name.startsWith(this.#name));
      for (const result of closed) if (result.status === 'rejected') throw result.reason;
    })();
    return this.#closing;
  }

  async #build(): Promise<void> {
    this.#server = await this.#create('server');
    this.#gateway = await this.#create('gateway');
    await this.gateway.setParameter('net/ipv4/ip_forward', 1);
    await this.gateway.configure([
      `link add name ${SERVER_DEVICE} type veth peer name net0 netns ${this.server.name}`,
      `address add 198.18.0.1/24 dev ${SERVER_DEVICE}`,
      `link set ${SERVER_DEVICE} up`,
    ]);
    await this.server.configure([
      `address add ${SERVER_ADDRESS}/24 dev net0`,
      'link set net0 up',
      'route add default via 198.18.0.1',
    ]);
  }

  #create(role: string): Promise<NetNamespace> {
    return NetNamespace.create(this.#name + role);
  }

  #connect(peer: NetNamespace): Promise<NetworkLink> {
    this.#linkCount += 1;
    return NetworkLink.create({ gateway: this.gateway, peer, number: this.#linkCount });
  }
}

/** A machine with one link to the network. */
export class Peer {
  readonly namespace: NetNamespace;
  readonly #connect: () => Promise<NetworkLink>;
  #link: NetworkLink;

  constructor(namespace: NetNamespace, link: NetworkLink, connect: () => Promise<NetworkLink>) {
    this.namespace = namespace;
    this.#link = link;
    this.#connect = connect;
  }

  /** The one in use. */
  get link(): NetworkLink {
    return this.#link;
  }

  /** As from one wireless network to another: a link with another address, and the one before is gone. */
  async changeNetwork(): Promise<void> {
    const before = this.#link;
    this.#link = await this.#connect();
    await before.remove();
  }
}

/** Whether this user on this kernel may make such a network; for the condition of a test that needs it. */
export async function mayNetworksBeMade(): Promise<boolean> {
  try {
    const network = await TestNetwork.open();
    await network.close();
    return true;
  } catch {
    return false;
  }
}

/** What a run that was killed has left. Another run that still lives keeps what is its own. */
async function removeLeftovers(): Promise<void> {
  await removeNamespaces((name) => {
    const [, owner] = NAME.exec(name) ?? [];
    return owner !== undefined && !isProcessAlive(Number(owner));
  });
}

async function removeNamespaces(isUnwanted: (name: string) => boolean): Promise<void> {
  for (const name of (await listNamespaces()).filter(isUnwanted)) {
    try {
      await removeNamespace(name);
    } catch (error) {
      // Another run may have found the same leftover.
      if ((await listNamespaces()).includes(name)) throw error;
    }
  }
}
