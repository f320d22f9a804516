/** The real media half with a real database, disk and websockets, and rows in place of the rest of the relay. */
import { once } from 'node:events';
import { createServer } from 'node:http';
import { mkdtemp, rm } from 'node:fs/promises';
import type { AddressInfo, Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createId, type DevicePrincipal, type Id, type UserPrincipal } from '@proofcast/shared';
import { pino, type Logger } from 'pino';
import { WebSocket, WebSocketServer } from 'ws';
import { openDatabase, type Database } from '../src/database/database.ts';
import type { JournalFolder } from '../src/journal/journal-files.ts';
import { systemMediaClock, type MediaClock } from '../src/media-clock.ts';
import { DEFAULT_MEDIA_LIMITS, MAX_SOCKET_FRAME_BYTES, type MediaLimits } from '../src/media-limits.ts';
import { MediaService } from '../src/media-service.ts';
import { ChunkMaker } from './chunk-maker.ts';
import { TestPublisher } from './test-publisher.ts';
import { TestViewer } from './test-viewer.ts';

export interface MediaWorldOptions {
  /** An existing one, which is then not removed; else a temporary one. */
  readonly dataDir?: string;
  readonly limits?: Partial<MediaLimits>;
  readonly clock?: MediaClock;
  readonly graceMs?: number;
  readonly ffmpegPath?: string;
  readonly wrapJournals?: (folder: JournalFolder) => JournalFolder;
  readonly log?: Logger;
  /** Serves at once, as the real relay does; else only when the journals of an earlier run have been read. */
  readonly servesAtOnce?: boolean;
}

export class MediaWorld {
  readonly dataDir: string;
  readonly database: Database;
  readonly #options: MediaWorldOptions;
  readonly #server = createServer();
  readonly #sockets = new WebSocketServer({ noServer: true, maxPayload: MAX_SOCKET_FRAME_BYTES });
  readonly #principals = new Map<string, DevicePrincipal | UserPrincipal>();
  /** What the websockets of viewers were upgraded from, in order. */
  readonly viewerTransports: Socket[] = [];
  #media: MediaService;

  private constructor(parts: {
    dataDir: string;
    database: Database;
    options: MediaWorldOptions;
    media: MediaService;
  }) {
    this.dataDir = parts.dataDir;
    this.database = parts.database;
    this.#options = parts.options;
    this.#media = parts.media;
    this.#server.on('upgrade', (request, socket, head) => {
      this.#sockets.handleUpgrade(request, socket, head, (webSocket) => {
        const principal = this.#principals.get(request.url ?? '');
        if (principal?.kind === 'device') this.#media.acceptPublisher(webSocket, principal);
        else if (principal !== undefined) {
          this.viewerTransports.push(request.socket);
          this.#media.acceptViewer(webSocket, principal, request.socket);
        }
      });
    });
  }

  static async open(options: MediaWorldOptions = {}): Promise<MediaWorld> {
    const dataDir = options.dataDir ?? (await mkdtemp(join(tmpdir(), 'proofcast-media-')));
    const database = await openDatabase(join(dataDir, 'test.sqlite'));
    const media = await openMedia(dataDir, database, options);
    const world = new MediaWorld({ dataDir, database, options, media });
    world.#server.listen(0, '127.0.0.1');
    await once(world.#server, 'listening');
    return world;
  }

  get media(): MediaService {
    return this.#media;
  }

  async company(): Promise<Id> {
    const companyId = createId('company');
    await this.database
      .insertInto('companies')
      .values({ company_id: companyId, name: 'Test', created_at_ms: 0 })
      .execute();
    return companyId;
  }

  /** A device with one stream, as enrolment and its first token request make them. */
  async device(companyId?: Id, name = 'Desk 1'): Promise<DevicePrincipal> {
    const company = companyId ?? (await this.company());
    const deviceId = createId('device');
    await this.database
      .insertInto('devices')
      .values({
        device_id: deviceId,
        company_id: company,
        name,
        public_key: '',
        platform: '',
        machine: '{}',
        enrolled_at_ms: 0,
      })
      .execute();
    return this.stream({ kind: 'device', deviceId, companyId: company, streamId: '' }, 0);
  }

  /** Another stream of the same device. */
  async stream(device: DevicePrincipal, slot: number): Promise<DevicePrincipal> {
    const streamId = createId('stream');
    await this.database
      .insertInto('streams')
      .values({
        stream_id: streamId,
        company_id: device.companyId,
        device_id: device.deviceId,
        slot,
        created_at_ms: 0,
      })
      .execute();
    return { ...device, streamId };
  }

  maker(device: DevicePrincipal, startedAtUs?: number): ChunkMaker {
    return new ChunkMaker({ streamId: device.streamId, deviceId: device.deviceId }, startedAtUs);
  }

  async publisher(device: DevicePrincipal, maker: ChunkMaker = this.maker(device)): Promise<TestPublisher> {
    const publisher = new TestPublisher(this.#connect(device), maker);
    await once(publisher.socket, 'open');
    return publisher;
  }

  async viewer(companyId: Id, userId: Id = createId('user')): Promise<TestViewer> {
    const viewer = new TestViewer(this.#connect({ kind: 'user', userId, companyId, role: 'viewer' }));
    await once(viewer.socket, 'open');
    return viewer;
  }

  /** The network fails: every connection is gone, and nobody is told why. */
  cut(): void {
    for (const socket of this.#sockets.clients) socket.terminate();
  }

  /** Closes the media half as a stop of the process does, without opening it again. */
  async shutDown(): Promise<void> {
    await this.#media.close();
  }

  /** The next run of the process on the same data. */
  async restart(options: Partial<MediaWorldOptions> = {}): Promise<void> {
    await this.#media.close();
    this.#media = await openMedia(this.dataDir, this.database, { ...this.#options, ...options });
  }

  async close(): Promise<void> {
    await this.#media.close();
    for (const socket of this.#sockets.clients) socket.terminate();
    this.#server.close();
    await this.database.destroy();
    if (this.#options.dataDir === undefined) await rm(this.dataDir, { recursive: true, force: true });
  }

  /** Where this principal, and nobody else, connects to. */
  urlFor(principal: DevicePrincipal | UserPrincipal): string {
    const path = `/${this.#principals.size}`;
    this.#principals.set(path, principal);
    const { port } = this.#server.address() as AddressInfo;
    return `ws://127.0.0.1:${port}${path}`;
  }

  #connect(principal: DevicePrincipal | UserPrincipal): WebSocket {
    return new WebSocket(this.urlFor(principal));
  }
}

async function openMedia(
  dataDir: string,
  database: Database,
  options: MediaWorldOptions,
): Promise<MediaService> {
  const media = await MediaService.open({
    database,
    dataDir,
    reconnectGraceMs: options.graceMs ?? 60_000,
    ffmpegPath: options.ffmpegPath ?? 'ffmpeg',
    limits: { ...DEFAULT_MEDIA_LIMITS, minFreeBytes: 0, warnFreeBytes: 0, ...options.limits },
    log: options.log ?? pino({ level: process.env['TEST_LOG_LEVEL'] ?? 'silent' }),
    clock: options.clock ?? systemMediaClock,
    ...(options.wrapJournals ? { wrapJournals: options.wrapJournals } : {}),
  });
  if (options.servesAtOnce !== true) await media.whenResumed();
  return media;
}
