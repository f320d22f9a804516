/** The line between one peer and the rest of a test network, and all that can be done to it. */
import { LONG_LINE } from './long-line.ts';
import type { NetNamespace } from './net-namespace.ts';

/** What a firewall does not let through: all datagrams, or TCP to one port of the server. */
export type Traffic = { readonly protocol: 'udp' } | { readonly protocol: 'tcp'; readonly port: number };

/** The device of the gateway that leads to the server. */
export const SERVER_DEVICE = 'server';

/** What may wait in front of a narrow line, and how much of it may leave at once. */
const QUEUE_MS = 600;
const BURST_BYTES = 5_000;

export interface NetworkLinkOptions {
  readonly gateway: NetNamespace;
  readonly peer: NetNamespace;
  /** Of the link, not used for another one in this network; from 1 to 250. */
  readonly number: number;
}

export class NetworkLink {
  /** Of the peer. */
  readonly address: string;
  readonly #gateway: NetNamespace;
  readonly #peer: NetNamespace;
  readonly #subnet: string;
  readonly #devices: { readonly gateway: string; readonly peer: string };
  readonly #preference: { readonly block: number; readonly long: number };
  #blockRules = 0;

  private constructor({ gateway, peer, number }: NetworkLinkOptions) {
    this.#gateway = gateway;
    this.#peer = peer;
    this.address = `198.18.${number}.2`;
    this.#subnet = `198.18.${number}.0/24`;
    this.#devices = { gateway: `peer${number}`, peer: `net${number}` };
    this.#preference = { block: 1_000 + number, long: 2_000 + number };
  }

  /** The peer goes out over this link from now on, whatever other one it has. */
  static async create(options: NetworkLinkOptions): Promise<NetworkLink> {
    const link = new NetworkLink(options);
    const { gateway, peer, number } = options;
    const near = link.#devices.peer;
    const far = link.#devices.gateway;
    await gateway.configure([
      `link add name ${far} type veth peer name ${near} netns ${peer.name}`,
      `address add 198.18.${number}.1/24 dev ${far}`,
      `link set ${far} up`,
    ]);
    await peer.configure([
      `address add ${link.address}/24 dev ${near}`,
      `link set ${near} up`,
      `route replace default via 198.18.${number}.1 dev ${near}`,
    ]);
    return link;
  }

  /** Drops this traffic, both ways and without a word, instead of what was dropped before. */
  async block(traffic: readonly Traffic[]): Promise<void> {
    const pref = this.#preference.block;
    const rules = traffic.flatMap((kind) => {
      const [there, back] =
        kind.protocol === 'udp'
          ? ['ipproto udp', 'ipproto udp']
          : [`ipproto tcp dport ${kind.port}`, `ipproto tcp sport ${kind.port}`];
      return [
        `rule add pref ${pref} from ${this.#subnet} ${there} blackhole`,
        `rule add pref ${pref} to ${this.#subnet} ${back} blackhole`,
      ];
    });
    const before = Array.from({ length: this.#blockRules }, () => `rule delete pref ${pref}`);
    await this.#gateway.configure([...before, ...rules]);
    this.#blockRules = rules.length;
  }

  /** Lets no more through, each way; what does not fit waits, and is lost when that takes too long. */
  async narrow(kbps: number): Promise<void> {
    const { gateway, peer } = this.#devices;
    const queue = `tbf rate ${kbps}kbit burst ${BURST_BYTES} latency ${QUEUE_MS}ms`;
    await this.#gateway.shape([`qdisc replace dev ${gateway} root ${queue}`]);
    await this.#peer.shape([`qdisc replace dev ${peer} root ${queue}`]);
  }

  /** After `narrow`. */
  async widen(): Promise<void> {
    await this.#gateway.shape([`qdisc delete dev ${this.#devices.gateway} root`]);
    await this.#peer.shape([`qdisc delete dev ${this.#devices.peer} root`]);
  }

  /** Leads both ways through the long line of the gateway. */
  async lengthen(): Promise<void> {
    const pref = this.#preference.long;
    const { table, device } = LONG_LINE;
    await this.#gateway.configure([
      `rule add pref ${pref} iif ${this.#devices.gateway} lookup ${table}`,
      `rule add pref ${pref} iif ${SERVER_DEVICE} to ${this.#subnet} lookup ${table}`,
    ]);
    // Where it comes out again nothing is known of the peer.
    await this.#gateway.setParameter(`net/ipv4/conf/${device}/forwarding`, 1);
  }

  /** After `lengthen`. */
  async shorten(): Promise<void> {
    const deletion = `rule delete pref ${this.#preference.long}`;
    await this.#gateway.configure([deletion, deletion]);
  }

  /** As if the cable was pulled at the far end: the peer sees that its device has no carrier. */
  async pull(): Promise<void> {
    await this.#gateway.configure([`link set ${this.#devices.gateway} down`]);
  }

  /** After `pull`. */
  async plug(): Promise<void> {
    await this.#gateway.configure([`link set ${this.#devices.gateway} up`]);
  }

  /** Takes the device away, and the address with it. */
  async remove(): Promise<void> {
    await this.#gateway.configure([`link delete ${this.#devices.gateway}`]);
  }
}
