/** The one face of the media half of the relay: publishers, viewers, journals and recordings. */
import { mkdir } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import type { Logger } from 'pino';
import type { WebSocket } from 'ws';
import {
  CodedError,
  toCloseReason,
  type DevicePrincipal,
  type Id,
  type Recording,
  type RouteQuery,
  type StreamView,
  type UserPrincipal,
} from '@proofcast/shared';
import type { Database } from './database/database.ts';
import { ViewerConnection } from './fallback.ts';
import { IngestConnection } from './ingest.ts';
import { DiskSpace } from './journal/disk-space.ts';
import { journalFolder, type JournalFolder } from './journal/journal-files.ts';
import { JournalStore } from './journal/store.ts';
import { LiveStreams } from './live-streams.ts';
import { systemMediaClock, type MediaClock } from './media-clock.ts';
import type { MediaLimits } from './media-limits.ts';
import { RecordingOpener } from './recording-opener.ts';
import { RecordingCatalogue, type LiveStateOf } from './recording/catalogue.ts';
import { Ffmpeg } from './recording/ffmpeg.ts';
import { SealingQueue } from './recording/sealing.ts';
import { resumeRecordings } from './resume-recordings.ts';
import { StreamDirectory } from './stream-directory.ts';

export interface MediaServiceOptions {
  readonly database: Database;
  /** Journals lie in `journals` below it, sealed recordings in `recordings`. */
  readonly dataDir: string;
  readonly reconnectGraceMs: number;
  readonly ffmpegPath: string;
  readonly limits: MediaLimits;
  readonly log: Logger;
  readonly clock?: MediaClock;
  /** For tests that let the disk fail. */
  readonly wrapJournals?: (folder: JournalFolder) => JournalFolder;
}

interface Parts {
  readonly options: MediaServiceOptions & { readonly clock: MediaClock };
  readonly recordingsDir: string;
  readonly store: JournalStore;
  readonly disk: DiskSpace;
  readonly catalogue: RecordingCatalogue;
  readonly streams: LiveStreams;
  readonly sealing: SealingQueue;
}

const SHUTTING_DOWN = new CodedError('SHUTTING_DOWN', 'The relay is shutting down; connect again.');

export class MediaService {
  readonly #parts: Parts;
  readonly #publishers = new Set<IngestConnection>();
  readonly #viewers = new Set<ViewerConnection>();
  #closing: Promise<void> | null = null;

  private constructor(parts: Parts) {
    this.#parts = parts;
  }

  /** Recovers the journals of an earlier run and goes on sealing. Throws when the data directory cannot be used. */
  static async open(given: MediaServiceOptions): Promise<MediaService> {
    const options = { ...given, clock: given.clock ?? systemMediaClock };
    const { database, limits, log, clock } = options;
    const journalsDir = join(resolve(options.dataDir), 'journals');
    const recordingsDir = join(resolve(options.dataDir), 'recordings');
    await mkdir(journalsDir, { recursive: true, mode: 0o700 });
    await mkdir(recordingsDir, { recursive: true, mode: 0o700 });

    const disk = await DiskSpace.open({ path: journalsDir, limits, clock });
    const files = journalFolder(journalsDir);
    const folder = options.wrapJournals?.(files) ?? files;
    const store = new JournalStore({ folder, clock, commitIntervalMs: limits.commitIntervalMs, log });
    const catalogue = new RecordingCatalogue(database);
    const directory = new StreamDirectory(database);
    const ffmpeg = new Ffmpeg({ ffmpegPath: options.ffmpegPath, limits });
    const { concurrentSeals } = limits;
    const sealing = new SealingQueue({
      store,
      catalogue,
      ffmpeg,
      recordingsDir,
      clock,
      concurrentSeals,
      log,
    });
    const graceMs = options.reconnectGraceMs;
    const opener = new RecordingOpener({ store, catalogue, disk, clock, limits, graceMs, log });
    const onEnded = (recordingId: Id, chunkCount: number): void => sealing.take(recordingId, chunkCount);
    const { maxOpenRecordingsPerStream } = limits;
    const streams = new LiveStreams({
      opener,
      directory,
      catalogue,
      clock,
      log,
      maxOpenRecordingsPerStream,
      onEnded,
    });
    await resumeRecordings({ store, catalogue, directory, opener, streams, sealing, clock, log });
    return new MediaService({ options, recordingsDir, store, disk, catalogue, streams, sealing });
  }

  /** Takes the socket of a publisher whose token was checked. Call it in the upgrade's handler itself. */
  acceptPublisher(socket: WebSocket, device: DevicePrincipal): void {
    if (this.#closing !== null) return refuse(socket);
    const { options, streams } = this.#parts;
    const { clock, limits, log } = options;
    const onClosed = (): unknown => this.#publishers.delete(connection);
    const connection: IngestConnection = new IngestConnection({
      socket,
      device,
      streams,
      clock,
      limits,
      log,
      onClosed,
    });
    this.#publishers.add(connection);
  }

  /** Takes the socket of a viewer who may watch live. Call it in the upgrade's handler itself. */
  acceptViewer(socket: WebSocket, user: UserPrincipal): void {
    if (this.#closing !== null) return refuse(socket);
    const { options, streams } = this.#parts;
    const { clock, limits, log } = options;
    const onClosed = (): unknown => this.#viewers.delete(connection);
    const connection: ViewerConnection = new ViewerConnection({
      socket,
      user,
      streams,
      clock,
      limits,
      log,
      onClosed,
    });
    this.#viewers.add(connection);
  }

  /** Every stream of the company whose device is not revoked, with its state. */
  listStreams(companyId: Id): Promise<StreamView[]> {
    return this.#parts.streams.list(companyId);
  }

  /** Call it after a device was enrolled, renamed or revoked, so that viewers hear of it. */
  refreshStreams(companyId: Id): void {
    this.#parts.streams.refresh(companyId).catch((error: unknown) => {
      this.#parts.options.log.error({ companyId, err: error }, 'cannot read the streams of a company');
    });
  }

  /** Closes what the device publishes with `error` and seals it. */
  disconnectDevice(deviceId: Id, error: CodedError): void {
    for (const publisher of this.#publishers) {
      if (publisher.device.deviceId === deviceId) publisher.close(error);
    }
    this.#parts.streams.disconnectDevice(deviceId, error).catch((cause: unknown) => {
      this.#parts.options.log.error({ deviceId, err: cause }, 'cannot end the recordings of a device');
    });
  }

  /** Closes the viewer sockets of a user who may not watch any more. */
  disconnectUser(userId: Id): void {
    const error = new CodedError('UNAUTHENTICATED', 'The session of the user has ended.');
    for (const viewer of this.#viewers) if (viewer.user.userId === userId) viewer.close(error);
  }

  /** Newest first. */
  listRecordings(companyId: Id, query: RouteQuery<'recordings'>): Promise<Recording[]> {
    return this.#parts.catalogue.list(companyId, query, this.#liveStateOf);
  }

  /** Throws `RECORDING_NOT_FOUND`, also for recordings of other companies. */
  getRecording(companyId: Id, recordingId: Id): Promise<Recording> {
    return this.#parts.catalogue.get(companyId, recordingId, this.#liveStateOf);
  }

  /** Throws `RECORDING_NOT_FOUND`, also for recordings of other companies, and `RECORDING_NOT_READY`. */
  async recordingMediaPath(companyId: Id, recordingId: Id): Promise<{ path: string; sizeBytes: number }> {
    const { catalogue, recordingsDir } = this.#parts;
    const row = await catalogue.getRow(companyId, recordingId);
    if (row.state !== 'sealed' || row.media_path === null || row.media_bytes === null) {
      throw new CodedError(
        'RECORDING_NOT_READY',
        `The recording is ${row.state}; only a sealed one can be played.`,
        {
          details: { state: row.state },
        },
      );
    }
    return { path: join(recordingsDir, row.media_path), sizeBytes: row.media_bytes };
  }

  /** Throws `RECORDING_NOT_FOUND`, also for recordings of other companies, and `NOT_FOUND` without a thumbnail. */
  async thumbnailPath(companyId: Id, recordingId: Id): Promise<string> {
    const { catalogue, recordingsDir } = this.#parts;
    const row = await catalogue.getRow(companyId, recordingId);
    if (row.thumbnail_path === null) throw new CodedError('NOT_FOUND', 'The recording has no thumbnail.');
    return join(recordingsDir, row.thumbnail_path);
  }

  /** Why the service should get no traffic at the moment; empty when it is ready. */
  isReady(): string[] {
    const { disk, streams } = this.#parts;
    const reasons: string[] = [];
    if (this.#closing !== null) reasons.push(SHUTTING_DOWN.message);
    if (disk.warning !== null) reasons.push(disk.warning);
    const { refusedByDisk } = streams;
    if (refusedByDisk > 0) reasons.push(`Recordings whose journal the disk refuses: ${refusedByDisk}.`);
    return reasons;
  }

  /** Resolves when no ended recording waits to be sealed. */
  whenSealed(): Promise<void> {
    return this.#parts.sealing.whenIdle();
  }

  /**
   * Tells all peers `SHUTTING_DOWN` and puts everything on disk. Unfinished recordings stay open in their journals and
   * go on after the next start, and so do seals that do not end in time. Idempotent.
   */
  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    const { options, streams, sealing, store, disk } = this.#parts;
    for (const viewer of this.#viewers) viewer.close(SHUTTING_DOWN);
    for (const publisher of this.#publishers) publisher.close(SHUTTING_DOWN);
    await streams.close(SHUTTING_DOWN);
    await sealing.close(options.limits.sealShutdownMs);
    store.close();
    disk.close();
  }

  readonly #liveStateOf: LiveStateOf = (recordingId) => this.#parts.streams.stateOf(recordingId);
}

function refuse(socket: WebSocket): void {
  socket.on('error', () => socket.terminate());
  socket.close(SHUTTING_DOWN.closeCode, toCloseReason(SHUTTING_DOWN));
}
