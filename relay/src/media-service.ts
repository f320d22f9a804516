/** The one face of the media half of the relay: publishers, viewers, journals and recordings. */
import type { ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import { join, resolve } from 'node:path';
import type { Logger } from 'pino';
import type { WebSocket } from 'ws';
import {
  CodedError,
  toCloseReason,
  toCodedError,
  type DevicePrincipal,
  type Id,
  type Recording,
  type RecordingDetails,
  type RouteQuery,
  type Still,
  type StreamView,
  type UserPrincipal,
} from '@proofcast/shared';
import type { Database } from './database/database.ts';
import { ViewerConnection } from './fallback.ts';
import { HttpCarrier, type ResponseHeaders } from './http-carrier.ts';
import { IngestConnection } from './ingest.ts';
import { Derivatives } from './derivatives/derivatives.ts';
import { Ffprobe } from './derivatives/ffprobe.ts';
import { DiskSpace } from './journal/disk-space.ts';
import { journalFolder, type JournalFolder } from './journal/journal-files.ts';
import { JournalStore } from './journal/store.ts';
import { LiveStreams } from './live-streams.ts';
import { systemMediaClock, type MediaClock } from './media-clock.ts';
import type { MediaLimits } from './media-limits.ts';
import { MediaCounts } from './metrics/media-counts.ts';
import type { MediaMeasurements } from './metrics/media-measurements.ts';
import type { Rewind } from './outbox.ts';
import { RecordingLibrary } from './recording-library.ts';
import { RecordingOpener } from './recording-opener.ts';
import { RecordingCatalogue, type LiveStateOf } from './recording/catalogue.ts';
import { makeDurableFolder } from './recording/durable-file.ts';
import type { OpenRecording } from './recording/open-recording.ts';
import { OpenRecordings } from './recording/open-recordings.ts';
import {
  RecordingPlayback,
  type MediaAnswer,
  type MediaRequest,
  type ServedFile,
} from './recording/playback.ts';
import type { RecordingInventory } from './recording/recording-files.ts';
import { RevokedRecordings } from './recording/revoked-recordings.ts';
import { SealingQueue } from './recording/sealing.ts';
import { ResumedRecordings } from './resume-recordings.ts';
import type { RecordingFile } from './retention/recording-file.ts';
import { Tombstones } from './retention/tombstones.ts';
import { StreamDirectory } from './stream-directory.ts';
import { Downloads } from './downloads.ts';
import { ViewerConnections, type ViewerLink } from './viewer-connections.ts';

export interface MediaServiceOptions {
  readonly database: Database;
  /** Journals lie in `journals` below it, sealed recordings in `recordings`. */
  readonly dataDir: string;
  readonly reconnectGraceMs: number;
  readonly ffmpegPath: string;
  readonly limits: MediaLimits;
  readonly log: Logger;
  readonly clock?: MediaClock;
  /** Where the media half counts what it does. */
  readonly counts?: MediaCounts;
  /** For tests that let the disk fail. */
  readonly wrapJournals?: (folder: JournalFolder) => JournalFolder;
}

interface Parts {
  readonly options: MediaServiceOptions & { readonly clock: MediaClock; readonly counts: MediaCounts };
  readonly recordingsDir: string;
  readonly store: JournalStore;
  readonly disk: DiskSpace;
  readonly catalogue: RecordingCatalogue;
  readonly library: RecordingLibrary;
  readonly playback: RecordingPlayback;
  readonly streams: LiveStreams;
  readonly sealing: SealingQueue;
  readonly resumed: ResumedRecordings;
  readonly revoked: RevokedRecordings;
  readonly derivatives: Derivatives;
  /** Ends what takes long when the relay shuts down. */
  readonly abort: AbortController;
}

const SHUTTING_DOWN = new CodedError('SHUTTING_DOWN', 'The relay is shutting down; connect again.');

export class MediaService {
  readonly #parts: Parts;
  readonly #publishers = new Set<IngestConnection>();
  readonly #viewers: ViewerConnections;
  readonly #downloads: Downloads;
  #closing: Promise<void> | null = null;

  private constructor(parts: Parts) {
    this.#parts = parts;
    const { limits, clock } = parts.options;
    this.#viewers = new ViewerConnections({ maxPerUser: limits.maxViewConnectionsPerUser });
    this.#downloads = new Downloads({ limits, clock });
  }

  /**
   * Begins to read the journals of an earlier run, and serves meanwhile. Throws when the data directory cannot be used.
   */
  static async open(given: MediaServiceOptions): Promise<MediaService> {
    const options = {
      ...given,
      clock: given.clock ?? systemMediaClock,
      counts: given.counts ?? new MediaCounts(),
    };
    const { database, limits, log, clock, counts } = options;
    const dataDir = resolve(options.dataDir);
    const journalsDir = join(dataDir, 'journals');
    const recordingsDir = join(dataDir, 'recordings');
    await makeDurableFolder(dataDir, journalsDir);
    await makeDurableFolder(dataDir, recordingsDir);

    const disk = await DiskSpace.open({ path: journalsDir, limits, clock, log });
    const files = journalFolder(journalsDir);
    const folder = options.wrapJournals?.(files) ?? files;
    const { commitIntervalMs } = limits;
    const store = new JournalStore({ folder, clock, commitIntervalMs, log, timings: counts });
    const catalogue = new RecordingCatalogue(database);
    const directory = new StreamDirectory(database);
    const tombstones = new Tombstones(database);
    const recordings = new OpenRecordings({
      maxOpen: limits.maxOpenEndedRecordings,
      maxOpening: 2 * limits.concurrentRecoveries,
      reopen: (ended): Promise<OpenRecording> => opener.reopen(ended),
      log,
    });
    const abort = new AbortController();
    const { ffmpegPath } = options;
    const derivatives = await Derivatives.open({ database, recordingsDir, ffmpegPath, limits, clock, log });
    const whenRead = (recordingId: Id): Promise<void> => resumed.whenRead(recordingId);
    const sealing = new SealingQueue({
      store,
      disk,
      catalogue,
      recordings,
      recordingsDir,
      ffprobe: new Ffprobe({ ffmpegPath, limits }),
      clock,
      limits,
      counts,
      log,
      onSealed: (recordingId) => derivatives.onSealed(recordingId),
    });
    const opener = new RecordingOpener({
      store,
      catalogue,
      tombstones,
      sealing,
      recordings,
      recordingsDir,
      disk,
      clock,
      limits,
      graceMs: options.reconnectGraceMs,
      log,
      abort: abort.signal,
    });
    const { maxOpenRecordingsPerStream, describeIntervalMs, concurrentRecoveries } = limits;
    const streams = new LiveStreams({
      opener,
      directory,
      catalogue,
      clock,
      log,
      maxOpenRecordingsPerStream,
      stillLimits: limits,
      describeIntervalMs,
      whenRead,
      onEnded: (recording) => sealing.take(recording),
    });
    const resumed = new ResumedRecordings({
      store,
      recordingsDir,
      catalogue,
      tombstones,
      directory,
      opener,
      streams,
      sealing,
      clock,
      log,
      concurrentRecoveries,
      abort: abort.signal,
    });
    const liveStateOf: LiveStateOf = (recordingId) => streams.stateOf(recordingId);
    const library = new RecordingLibrary({
      catalogue,
      recordings,
      store,
      sealing,
      journalsDir,
      recordingsDir,
      liveStateOf,
      whenRead,
      derivativesOf: (recordingId) => derivatives.list(recordingId),
      onRemoving: async (recordingId) => {
        playback.cutOff(recordingId);
        await derivatives.removeAll(recordingId);
      },
    });
    const playback = new RecordingPlayback({ catalogue, recordings, recordingsDir, whenRead });
    const revoked = new RevokedRecordings({
      catalogue,
      recordings,
      recordingsDir,
      clock,
      log,
      signal: abort.signal,
    });
    await resumed.begin();
    void revoked.complete();
    derivatives.start();
    return new MediaService({
      options,
      recordingsDir,
      store,
      disk,
      catalogue,
      library,
      playback,
      streams,
      sealing,
      resumed,
      revoked,
      derivatives,
      abort,
    });
  }

  /** Takes the socket of a publisher whose token was checked. Call it in the upgrade's handler itself. */
  acceptPublisher(socket: WebSocket, device: DevicePrincipal): void {
    if (this.#closing !== null) return refuse(socket, SHUTTING_DOWN);
    const { options, streams } = this.#parts;
    const { clock, limits, counts, log } = options;
    try {
      this.#makeRoomForPublisher(device);
    } catch (error) {
      return refuse(socket, toCodedError(error));
    }
    const onClosed = (): unknown => this.#publishers.delete(connection);
    const connection: IngestConnection = new IngestConnection({
      socket,
      device,
      streams,
      clock,
      limits,
      counts,
      log,
      onClosed,
    });
    this.#publishers.add(connection);
  }

  /**
   * Takes the socket of a viewer who may watch live; `transport` is what it was upgraded from. Call it in the upgrade's
   * handler itself.
   */
  acceptViewer(socket: WebSocket, user: UserPrincipal, transport: Socket): void {
    const { options, streams } = this.#parts;
    const { clock, limits, counts, log } = options;
    try {
      this.#viewers.checkRoomFor(user.userId);
    } catch (error) {
      return refuse(socket, toCodedError(error));
    }
    if (this.#closing !== null) return refuse(socket, SHUTTING_DOWN);
    const onClosed = (): void => this.#viewers.remove(connection);
    const connection: ViewerConnection = new ViewerConnection({
      socket,
      transport,
      user,
      streams,
      clock,
      limits,
      counts,
      log,
      onClosed,
    });
    this.#viewers.add(connection);
  }

  /**
   * Answers with a stream as one HTTP body, live or from a place in the past on. Rejects with `STREAM_NOT_FOUND`,
   * `STREAM_OFFLINE`, `LIMIT_REACHED` or `SHUTTING_DOWN`; nothing was answered then.
   */
  async watchByHttp({
    response,
    headers,
    user,
    streamId,
    rewind,
  }: {
    response: ServerResponse;
    headers: ResponseHeaders;
    user: UserPrincipal;
    streamId: Id;
    rewind: Rewind | null;
  }): Promise<ViewerLink> {
    const { options, streams } = this.#parts;
    const { clock, limits, counts } = options;
    const { companyId, userId } = user;
    await streams.look(companyId, streamId);
    if (this.#closing !== null) throw SHUTTING_DOWN;
    this.#viewers.checkRoomFor(userId);
    const onClosed = (): void => this.#viewers.remove(carrier);
    const carrier = new HttpCarrier({ response, headers, user, clock, limits, counts, onClosed });
    carrier.begin((sink) => streams.watch({ companyId, streamId, rewind }, sink));
    if (!carrier.isClosed) this.#viewers.add(carrier);
    return carrier;
  }

  /** See `Downloads.begin`. */
  beginDownload(userId: Id, response: ServerResponse): void {
    this.#downloads.begin(userId, response);
  }

  /** Rejects with `STREAM_NOT_FOUND` or `STREAM_OFFLINE` when it cannot be watched. */
  async checkWatchable(companyId: Id, streamId: Id): Promise<void> {
    await this.#parts.streams.look(companyId, streamId);
    this.#parts.streams.checkWatchable(companyId, streamId);
  }

  /**
   * The newest still picture of a stream. Rejects with `STREAM_NOT_FOUND`, `STREAM_OFFLINE`, or `STILL_NOT_FOUND` when
   * there is none yet; asking makes the publisher send some.
   */
  async still(companyId: Id, streamId: Id): Promise<Still> {
    const { streams } = this.#parts;
    await streams.look(companyId, streamId);
    const still = streams.askForStill(companyId, streamId);
    if (still !== null) return still;
    throw new CodedError('STILL_NOT_FOUND', `There is no still picture of ${streamId} yet; ask again soon.`);
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
    const { streams, sealing, revoked, options } = this.#parts;
    const complete = async (): Promise<void> => {
      await streams.disconnectDevice(deviceId, error);
      await sealing.complete(deviceId, options.clock.nowMs());
      await revoked.complete();
    };
    complete().catch((cause: unknown) => {
      this.#parts.options.log.error({ deviceId, err: cause }, 'cannot end the recordings of a device');
    });
  }

  /** Closes all on which a user watches who may not any more. */
  disconnectUser(userId: Id): void {
    const error = new CodedError('UNAUTHENTICATED', 'The session of the user has ended.');
    this.#viewers.closeUser(userId, error);
  }

  /** Newest first. */
  listRecordings(companyId: Id, query: RouteQuery<'recordings'>): Promise<Recording[]> {
    return this.#parts.library.list(companyId, query);
  }

  /** Throws `RECORDING_NOT_FOUND`, also for recordings of other companies. */
  getRecording(companyId: Id, recordingId: Id): Promise<RecordingDetails> {
    return this.#parts.library.get(companyId, recordingId);
  }

  /** See `RecordingPlayback.open`. */
  openRecordingMedia(request: MediaRequest): Promise<MediaAnswer> {
    return this.#parts.playback.open(request);
  }

  /** See `RecordingPlayback.openManifest`. */
  openManifest(companyId: Id, recordingId: Id): Promise<ServedFile> {
    return this.#parts.playback.openManifest(companyId, recordingId);
  }

  /** See `RecordingLibrary.inventory`. */
  inventory(): Promise<RecordingInventory> {
    return this.#parts.library.inventory();
  }

  /** See `RecordingLibrary.delete`. */
  deleteRecording(
    companyId: Id,
    recordingId: Id,
    writeTombstone: (files: readonly RecordingFile[]) => Promise<void>,
  ): Promise<void> {
    return this.#parts.library.delete({ companyId, recordingId }, writeTombstone);
  }

  /** Removes what is left of a recording whose tombstone was written. */
  finishDeletion(recordingId: Id): Promise<void> {
    return this.#parts.library.finishDeletion(recordingId);
  }

  /** Throws `RECORDING_NOT_FOUND`, also for recordings of other companies, and `NOT_FOUND` without a thumbnail. */
  async thumbnailPath(companyId: Id, recordingId: Id): Promise<string> {
    const { catalogue, recordingsDir } = this.#parts;
    const row = await catalogue.getRow(companyId, recordingId);
    if (row.thumbnail_path === null) throw new CodedError('NOT_FOUND', 'The recording has no thumbnail.');
    return join(recordingsDir, row.thumbnail_path);
  }

  /** Posters, sprites, exports and joined files. */
  get derivatives(): Derivatives {
    return this.#parts.derivatives;
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

  /** What the media half is like at this moment, for the metrics. */
  measure(): MediaMeasurements {
    const { streams, sealing, disk, resumed } = this.#parts;
    const publishers = [...this.#publishers];
    return {
      ...streams.measure(),
      publishers: publishers.length,
      viewers: { websocket: this.#viewers.countBy('websocket'), http: this.#viewers.countBy('http') },
      backlogs: publishers.map(({ backlog }) => backlog?.backlogBytes ?? 0),
      toRecover: resumed.pendingCount,
      seals: { running: sealing.runningCount, waiting: sealing.waitingCount },
      disk: { freeBytes: disk.freeBytes, state: disk.state },
    };
  }

  /** Journals of an earlier run that are still to be read. */
  get journalsToRead(): number {
    return this.#parts.resumed.pendingCount;
  }

  /** Resolves when the journals of an earlier run have been read. */
  whenResumed(): Promise<void> {
    return this.#parts.resumed.whenIdle();
  }

  /** Resolves when no ended recording waits for its turn to be sealed. */
  async whenSealed(): Promise<void> {
    const { sealing, revoked } = this.#parts;
    await sealing.whenIdle();
    await revoked.whenIdle();
  }

  /**
   * A stream needs a connection for each of its recordings, and one to ask for another. One that has not said hello makes
   * way for a newer one, so that those which a bad network has left behind keep nobody out. Throws `LIMIT_REACHED`.
   */
  #makeRoomForPublisher({ streamId }: DevicePrincipal): void {
    const { maxOpenRecordingsPerStream } = this.#parts.options.limits;
    const open = [...this.#publishers].filter(
      (publisher) => publisher.device.streamId === streamId && !publisher.isClosed,
    );
    if (open.length <= maxOpenRecordingsPerStream) return;
    const idle = open.find((publisher) => publisher.isAwaitingHello);
    if (idle === undefined) {
      throw new CodedError('LIMIT_REACHED', `The stream has ${open.length} connections; close one first.`);
    }
    idle.close(
      new CodedError('STREAM_TAKEN', 'A newer connection of the stream came before this one spoke.'),
    );
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
    const { options, streams, sealing, resumed, revoked, derivatives, store, disk, abort } = this.#parts;
    abort.abort(SHUTTING_DOWN);
    // What is sealed from here on gets its derivatives at the next start.
    const derivativesClosed = derivatives.close();
    this.#viewers.closeAll(SHUTTING_DOWN);
    for (const publisher of this.#publishers) publisher.close(SHUTTING_DOWN);
    await resumed.close();
    await streams.close(SHUTTING_DOWN);
    await sealing.close(options.limits.sealShutdownMs);
    await revoked.whenIdle();
    await derivativesClosed;
    store.close();
    disk.close();
  }
}

function refuse(socket: WebSocket, error: CodedError): void {
  socket.on('error', () => socket.terminate());
  socket.close(error.closeCode, toCloseReason(error));
}
