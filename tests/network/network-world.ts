/**
 * Relay and SFU on the server of a test network, the real desktop app with a stamped screen on one peer, and people at
 * the dashboard on others. Everything between them goes over the links of the network and nothing else.
 */
import { randomBytes } from 'node:crypto';
import { chmod, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Browser } from 'playwright-core';
import type { Id } from '@proofcast/shared';
import { TestClient } from '../../relay/testing/test-client.ts';
import { startService, type ServiceOptions } from '../../scripts/service-process.ts';
import { CHROMIUM_PATH, launchViewer } from '../harness/chromium.ts';
import { signIn, type Credentials } from '../harness/dashboard-driver.ts';
import { DesktopDriver } from '../harness/desktop-driver.ts';
import { openStampedScreen, type StampedScreen } from '../harness/stamped-screen.ts';
import type { NamespaceDoor } from './namespace-door.ts';
import { NetworkViewer } from './network-viewer.ts';
import { SERVER_ADDRESS, TestNetwork, type Peer } from './test-network.ts';
import { startTurnServer } from './turn-server.ts';

/** The server has these to itself. */
export const PORTS = { relay: 8080, signalling: 8081, media: 44400, turn: 443 } as const;

const RELAY_URL = `http://${SERVER_ADDRESS}:${PORTS.relay}`;
/**
 * Plain HTTP from another machine is no secure context, and there Chromium without a window hides from the page which
 * browser it is, so that mediasoup-client does not know it.
 */
const TRUST_RELAY = `--unsafely-treat-insecure-origin-as-secure=${RELAY_URL}`;

const ADMIN: Credentials = { email: 'admin@example.test', password: 'correct horse battery staple' };

export class NetworkWorld {
  readonly network: TestNetwork;
  readonly admin: TestClient;
  readonly publisher: Peer;
  readonly desktop: DesktopDriver;
  /** Of what the desktop app shares. */
  readonly streamId: Id;
  /** For what a test wants to keep; it is removed with the world. */
  readonly folder: string;
  readonly #parts: Parts;

  private constructor(options: {
    parts: Parts;
    admin: TestClient;
    publisher: Peer;
    desktop: DesktopDriver;
    streamId: Id;
  }) {
    this.network = options.parts.network;
    this.folder = options.parts.folder;
    this.#parts = options.parts;
    this.admin = options.admin;
    this.publisher = options.publisher;
    this.desktop = options.desktop;
    this.streamId = options.streamId;
  }

  /** With the screen shared, on both paths. What was begun is ended when anything fails. */
  static async open({
    openScreen = openStampedScreen,
    hasTurn = false,
  }: { openScreen?: () => Promise<StampedScreen>; hasTurn?: boolean } = {}): Promise<NetworkWorld> {
    const folder = await mkdtemp(join(tmpdir(), 'proofcast-network-'));
    const parts = await Parts.open(folder);
    try {
      const turnSecret = hasTurn ? randomBytes(16).toString('hex') : null;
      const opening = [
        parts.keep(openScreen()),
        startSfu(parts, turnSecret),
        startRelay(parts),
        startTurn(parts, turnSecret),
      ] as const;
      // When one of them fails, the others have ended as well, and what they have opened can be closed.
      await Promise.allSettled(opening);
      const [screen] = await Promise.all(opening);
      const admin = new TestClient(await parts.reach(PORTS.relay));
      await admin.call('signIn', { body: ADMIN });
      const { code } = await admin.call('createEnrolmentCode', { body: { deviceName: 'Desk 7' } });
      const publisher = await parts.network.addPeer('publisher');
      const door = await parts.network.openDoor(publisher.namespace);
      const desktop = await parts.keep(
        DesktopDriver.launch({
          display: screen.display,
          userDataDir: join(folder, 'desktop'),
          network: { prefix: publisher.namespace.prefix, reach: (port) => door.reach(port) },
        }),
      );
      await desktop.enrol(RELAY_URL, code);
      await desktop.shareScreen();
      const [stream] = (await admin.call('streams')).streams;
      if (!stream) throw new Error('The relay knows of no stream.');
      return new NetworkWorld({ parts, admin, publisher, desktop, streamId: stream.streamId });
    } catch (error) {
      await parts.close();
      throw error;
    }
  }

  /** Somebody with a browser on a peer of their own, signed in, who looks at nothing yet. */
  async addViewer(name: string): Promise<NetworkViewer> {
    const peer = await this.network.addPeer(name);
    const executablePath = join(this.folder, `chromium-${name}`);
    await writeFile(
      executablePath,
      `#!/bin/sh\nexec ${peer.namespace.prefix.join(' ')} ${CHROMIUM_PATH} "$@"\n`,
    );
    await chmod(executablePath, 0o755);
    const browser = await this.#parts.keep<Browser>(launchViewer({ executablePath, args: [TRUST_RELAY] }));
    const page = await signIn(browser, RELAY_URL, ADMIN);
    return NetworkViewer.create({ page, peer, streamUrl: `${RELAY_URL}/live/${this.streamId}` });
  }

  /** Idempotent. */
  close(): Promise<void> {
    return this.#parts.close();
  }
}

interface Closable {
  close(): Promise<void>;
}

/** What has to be closed, in the reverse of the order in which it was opened. */
class Parts {
  readonly folder: string;
  readonly network: TestNetwork;
  readonly #opened: Closable[] = [];
  readonly #doorToServer: NamespaceDoor;
  readonly #reached = new Map<number, Promise<string>>();
  #closing: Promise<void> | undefined;

  private constructor(folder: string, network: TestNetwork, doorToServer: NamespaceDoor) {
    this.folder = folder;
    this.network = network;
    this.#doorToServer = doorToServer;
  }

  static async open(folder: string): Promise<Parts> {
    let network: TestNetwork | undefined;
    try {
      network = await TestNetwork.open();
      return new Parts(folder, network, await network.openDoor(network.server));
    } catch (error) {
      await network?.close();
      await rm(folder, { recursive: true });
      throw error;
    }
  }

  async keep<T extends Closable>(opening: Promise<T>): Promise<T> {
    const part = await opening;
    this.#opened.push(part);
    return part;
  }

  /** The address under which this process reaches a port of the server. */
  reach(port: number): Promise<string> {
    const known = this.#reached.get(port) ?? this.#doorToServer.reach(port);
    this.#reached.set(port, known);
    return known;
  }

  close(): Promise<void> {
    this.#closing ??= (async () => {
      const failures: unknown[] = [];
      for (const part of [this.network, ...this.#opened].toReversed()) {
        await part.close().catch((error: unknown) => failures.push(error));
      }
      await rm(this.folder, { recursive: true, force: true });
      if (failures.length > 0) throw failures[0];
    })();
    return this.#closing;
  }
}

async function startTurn(parts: Parts, secret: string | null): Promise<void> {
  if (secret === null) return;
  await parts.keep(
    startTurnServer(parts.network.server, { address: SERVER_ADDRESS, port: PORTS.turn, secret }),
  );
}

const startSfu = (parts: Parts, turnSecret: string | null): Promise<unknown> =>
  startOnServer(parts, {
    entry: 'sfu/src/main.ts',
    env: {
      ...(turnSecret && {
        TURN_URLS: `turn:${SERVER_ADDRESS}:${PORTS.turn}?transport=tcp`,
        TURN_SECRET: turnSecret,
      }),
      SFU_HOST: '0.0.0.0',
      SFU_PORT: String(PORTS.signalling),
      SFU_MEDIA_ADDRESS: SERVER_ADDRESS,
      SFU_MEDIA_PORT: String(PORTS.media),
      SFU_WORKERS: '1',
      TOKEN_JWKS_URL: `http://127.0.0.1:${PORTS.relay}/.well-known/jwks.json`,
    },
  });

const startRelay = (parts: Parts): Promise<unknown> =>
  startOnServer(parts, {
    entry: 'relay/src/main.ts',
    env: {
      RELAY_HOST: '0.0.0.0',
      RELAY_PORT: String(PORTS.relay),
      SFU_PORT: String(PORTS.signalling),
      DATA_DIR: join(parts.folder, 'data'),
      ADMIN_EMAIL: ADMIN.email,
      ADMIN_PASSWORD: ADMIN.password,
    },
  });

async function startOnServer(parts: Parts, options: ServiceOptions): Promise<void> {
  const starting = startService({ ...options, prefix: parts.network.server.prefix });
  await parts.keep(starting.then((service) => ({ close: () => service.stop() })));
}
