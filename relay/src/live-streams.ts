/**
 * All streams of the relay, by company: joins what the database knows of them with what is live, and tells every
 * subscriber of a company when that changes.
 */
import type { Logger } from 'pino';
import {
  CodedError,
  type DevicePrincipal,
  type Id,
  type RecordingEvent,
  type StreamView,
} from '@proofcast/shared';
import type { LiveRecording } from './live-recording.ts';
import { LiveStream, type OpenRequest, type StreamOwner, type Watch } from './live-stream.ts';
import type { MediaClock } from './media-clock.ts';
import type { OutboxSink } from './outbox.ts';
import type { RecoveredJournal, RecordingOpener } from './recording-opener.ts';
import type { RecordingCatalogue } from './recording/catalogue.ts';
import type { StreamDirectory, StreamEntry } from './stream-directory.ts';

/** Hears what changes in one company. */
export interface StreamListener {
  onStream(view: StreamView): void;
  onStreamRemoved(streamId: Id): void;
}

export interface LiveStreamsOptions {
  readonly opener: RecordingOpener;
  readonly directory: StreamDirectory;
  readonly catalogue: RecordingCatalogue;
  readonly clock: MediaClock;
  readonly log: Logger;
  readonly maxOpenRecordingsPerStream: number;
  /** The journal of a recording is complete: make it playable. */
  readonly onEnded: (recordingId: Id, chunkCount: number) => void;
}

interface Company {
  readonly entries: Map<Id, StreamEntry>;
  /** What subscribers were told last, as JSON. */
  readonly told: Map<Id, string>;
  readonly listeners: Set<StreamListener>;
}

export class LiveStreams implements StreamOwner {
  readonly #options: LiveStreamsOptions;
  readonly #streams = new Map<Id, LiveStream>();
  readonly #companies = new Map<Id, Company>();
  /** Devices that were revoked while the relay runs; a connection that is just being opened must not slip through. */
  readonly #revokedDevices = new Set<Id>();
  #isClosed = false;
  readonly #background = new Set<Promise<void>>();
  /** Reading a company again happens one after the other, so that an older answer never replaces a newer one. */
  #turn: Promise<unknown> = Promise.resolve();

  constructor(options: LiveStreamsOptions) {
    this.#options = options;
  }

  /** Every stream of the company whose device is not revoked. */
  async list(companyId: Id): Promise<StreamView[]> {
    const company = await this.#refreshed(companyId);
    return [...company.entries.values()].map((entry) => this.#view(entry));
  }

  /** `begin` is called with the snapshot, in the same instant from which on `listener` hears the changes. */
  async subscribe(
    companyId: Id,
    listener: StreamListener,
    begin: (streams: StreamView[]) => void,
  ): Promise<() => void> {
    const company = await this.#refreshed(companyId);
    begin([...company.entries.values()].map((entry) => this.#view(entry)));
    company.listeners.add(listener);
    return () => company.listeners.delete(listener);
  }

  /** Reads the company's streams again and tells subscribers what differs. */
  async refresh(companyId: Id): Promise<void> {
    await this.#refreshed(companyId);
  }

  /** See `LiveStream.open`. Also throws `STREAM_NOT_FOUND` and `DEVICE_REVOKED`. */
  async open(request: OpenRequest): Promise<{ stream: LiveStream; recording: LiveRecording }> {
    const { streamId, companyId, deviceId } = request.device;
    const entry = await this.#options.directory.find(streamId);
    if (entry?.companyId !== companyId || entry.deviceId !== deviceId) throw streamNotFound(streamId);
    if (!this.#companies.get(companyId)?.entries.has(streamId)) await this.refresh(companyId);
    if (this.#isClosed) throw new CodedError('SHUTTING_DOWN', 'The relay is shutting down; connect again.');
    const stream = this.#streamOf(entry);
    return { stream, recording: await stream.open(request) };
  }

  /** Throws `STREAM_NOT_FOUND`, also for streams of other companies, and `STREAM_OFFLINE`. */
  watch(companyId: Id, streamId: Id, sink: OutboxSink): Watch {
    const entry = this.#companies.get(companyId)?.entries.get(streamId);
    if (entry === undefined) throw streamNotFound(streamId);
    const stream = this.#streams.get(streamId);
    if (stream !== undefined) return stream.watch(sink);
    throw new CodedError('STREAM_OFFLINE', `Nobody publishes the stream ${streamId} at the moment.`);
  }

  /** Takes a recording that an earlier run of the relay left unfinished. Throws when its stream is unknown. */
  async adopt(recovered: RecoveredJournal): Promise<void> {
    const { identity } = recovered;
    const entry = await this.#options.directory.find(identity.streamId);
    if (entry === null) throw streamNotFound(identity.streamId);
    const stream = this.#streamOf(entry);
    stream.adopt(recovered.open(stream));
  }

  /** Ends what the device publishes and refuses what it is about to publish. */
  async disconnectDevice(deviceId: Id, error: CodedError): Promise<void> {
    this.#revokedDevices.add(deviceId);
    const streams = [...this.#streams.values()].filter((stream) => stream.deviceId === deviceId);
    await Promise.all(streams.map((stream) => stream.endAll('device-revoked', error)));
  }

  /** What a recording is doing that the database has as begun and not ended. */
  stateOf(recordingId: Id): 'recording' | 'reconnecting' | 'sealing' {
    for (const stream of this.#streams.values()) {
      const state = stream.stateOf(recordingId);
      if (state?.kind === 'attached') return 'recording';
      if (state?.kind === 'waiting') return 'reconnecting';
    }
    return 'sealing';
  }

  /** How many recordings wait because the disk refused them. */
  get refusedByDisk(): number {
    return [...this.#streams.values()].reduce((sum, stream) => sum + stream.refusedByDisk, 0);
  }

  /** Lets go of all recordings. Idempotent. */
  async close(farewell: CodedError): Promise<void> {
    this.#isClosed = true;
    await Promise.all([...this.#streams.values()].map((stream) => stream.close(farewell)));
    await Promise.all(this.#background);
  }

  onChanged(stream: LiveStream): void {
    const company = this.#companies.get(stream.companyId);
    const entry = company?.entries.get(stream.streamId);
    if (company !== undefined && entry !== undefined) this.#tell(company, entry);
  }

  onLastLive({ streamId }: LiveStream, lastLiveAtMs: number): void {
    this.#inBackground(this.#options.directory.setLastLive(streamId, lastLiveAtMs));
  }

  onEvent({ identity }: LiveRecording, event: RecordingEvent): void {
    if (event.type !== 'epoch-started') return;
    const { catalogue, directory } = this.#options;
    const { recordingId, streamId, companyId } = identity;
    const company = this.#companies.get(companyId);
    const entry = company?.entries.get(streamId);
    if (entry !== undefined) company?.entries.set(streamId, { ...entry, sourceName: event.data.sourceName });
    this.#inBackground(catalogue.describe(recordingId, event.data));
    this.#inBackground(directory.setSourceName(streamId, event.data.sourceName));
  }

  onEnded(recordingId: Id, chunkCount: number): void {
    this.#options.onEnded(recordingId, chunkCount);
  }

  onLost(recordingId: Id, error: CodedError): void {
    this.#inBackground(this.#options.catalogue.markFailed(recordingId, error));
  }

  checkMayPublish({ deviceId }: DevicePrincipal): void {
    if (!this.#revokedDevices.has(deviceId)) return;
    throw new CodedError('DEVICE_REVOKED', 'The device was revoked by an admin of its company.');
  }

  #streamOf(entry: StreamEntry): LiveStream {
    const known = this.#streams.get(entry.streamId);
    if (known !== undefined) return known;
    const { opener, clock, log, maxOpenRecordingsPerStream: maxOpenRecordings } = this.#options;
    const { streamId, companyId, deviceId, lastLiveAtMs } = entry;
    const ids = { streamId, companyId, deviceId };
    const stream = new LiveStream({ ids, opener, owner: this, clock, log, maxOpenRecordings, lastLiveAtMs });
    this.#streams.set(streamId, stream);
    return stream;
  }

  #refreshed(companyId: Id): Promise<Company> {
    const result = this.#turn.then(() => this.#refreshNow(companyId));
    this.#turn = result.catch(() => undefined);
    return result;
  }

  async #refreshNow(companyId: Id): Promise<Company> {
    const entries = await this.#options.directory.list(companyId);
    const company = this.#companies.get(companyId) ?? {
      entries: new Map(),
      told: new Map(),
      listeners: new Set(),
    };
    this.#companies.set(companyId, company);
    const gone = new Set(company.entries.keys());
    for (const entry of entries) {
      gone.delete(entry.streamId);
      company.entries.set(entry.streamId, entry);
      this.#tell(company, entry);
    }
    for (const streamId of gone) {
      company.entries.delete(streamId);
      company.told.delete(streamId);
      for (const listener of company.listeners) listener.onStreamRemoved(streamId);
    }
    return company;
  }

  /** Tells subscribers what the stream is like, unless that is what they were told last. */
  #tell(company: Company, entry: StreamEntry): void {
    const view = this.#view(entry);
    const text = JSON.stringify(view);
    if (company.told.get(entry.streamId) === text) return;
    company.told.set(entry.streamId, text);
    for (const listener of company.listeners) listener.onStream(view);
  }

  #view(entry: StreamEntry): StreamView {
    const stream = this.#streams.get(entry.streamId);
    return {
      streamId: entry.streamId,
      deviceName: entry.deviceName,
      sourceName: stream?.sourceName ?? entry.sourceName,
      state: stream?.state ?? { kind: 'offline', sinceMs: entry.lastLiveAtMs },
      recordingId: stream?.recordingId ?? null,
      viewerCount: stream?.viewerCount ?? 0,
    };
  }

  /** For what the database is told on the side; the journal has it too. */
  #inBackground(work: Promise<void>): void {
    const done = work
      .catch((error: unknown) => this.#options.log.error({ err: error }, 'the database refused an update'))
      .finally(() => this.#background.delete(done));
    this.#background.add(done);
  }
}

function streamNotFound(streamId: Id): CodedError {
  return new CodedError('STREAM_NOT_FOUND', `There is no stream ${streamId}.`);
}
