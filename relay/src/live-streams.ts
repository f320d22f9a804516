/**
 * All streams of the relay, by company: joins what the database knows of them with what is live, and tells every
 * subscriber of a company when that changes.
 */
import type { Logger } from 'pino';
import {
  CodedError,
  type DevicePrincipal,
  type EpochStart,
  type Id,
  type RecordingEvent,
  type Still,
  type StreamView,
} from '@proofcast/shared';
import type { LiveRecording } from './live-recording.ts';
import { LiveStream, type OpenRequest, type StreamOwner, type Watch } from './live-stream.ts';
import type { MediaClock } from './media-clock.ts';
import type { MediaMeasurements } from './metrics/media-measurements.ts';
import type { OutboxSink, Rewind } from './outbox.ts';
import type { RecordingOpener } from './recording-opener.ts';
import type { RecordingCatalogue } from './recording/catalogue.ts';
import { RecordingDescriptions } from './recording/descriptions.ts';
import type { OpenRecording } from './recording/open-recording.ts';
import type { StillLimits } from './stills.ts';
import type { StreamDirectory, StreamEntry } from './stream-directory.ts';

/** Hears what changes in one company. */
export interface StreamListener {
  onStream(view: StreamView): void;
  onStreamRemoved(streamId: Id): void;
}

/** How long a change of the number of viewers alone may wait, for others to be told with it. */
const VIEWER_COUNT_DELAY_MS = 500;

export interface LiveStreamsOptions {
  readonly opener: RecordingOpener;
  readonly directory: StreamDirectory;
  readonly catalogue: RecordingCatalogue;
  readonly clock: MediaClock;
  readonly log: Logger;
  readonly maxOpenRecordingsPerStream: number;
  readonly stillLimits: StillLimits;
  /** Least time between two updates of what a recording shows. */
  readonly describeIntervalMs: number;
  /** Resolves when an earlier run of the relay has left nothing of the recording that is still to be read. */
  readonly whenRead: (recordingId: Id) => Promise<void>;
  /** A recording has its end, and nobody feeds it any more. */
  readonly onEnded: (recording: OpenRecording) => void;
}

/** What subscribers were told last of a stream. */
interface Told {
  /** All but the viewers, as JSON. */
  readonly text: string;
  readonly viewerCount: number;
  /** Set while another count waits to be told. */
  cancelCount: (() => void) | null;
}

interface Company {
  readonly entries: Map<Id, StreamEntry>;
  readonly told: Map<Id, Told>;
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
  readonly #descriptions: RecordingDescriptions;
  /** Reading a company again happens one after the other, so that an older answer never replaces a newer one. */
  #turn: Promise<unknown> = Promise.resolve();

  constructor(options: LiveStreamsOptions) {
    this.#options = options;
    const { catalogue, directory, clock, log, describeIntervalMs: intervalMs } = options;
    const write = async (streamId: Id, recordingId: Id, epoch: EpochStart): Promise<void> => {
      await catalogue.describe(recordingId, epoch);
      await directory.setSourceName(streamId, epoch.sourceName);
    };
    this.#descriptions = new RecordingDescriptions({ write, clock, intervalMs, log });
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
    await this.#options.whenRead(request.recordingId);
    if (this.#isClosed) throw new CodedError('SHUTTING_DOWN', 'The relay is shutting down; connect again.');
    const stream = this.#streamOf(entry);
    return { stream, recording: await stream.open(request) };
  }

  /** Throws `STREAM_NOT_FOUND`, also for streams of other companies, and `STREAM_OFFLINE`. */
  watch(
    { companyId, streamId, rewind }: { companyId: Id; streamId: Id; rewind: Rewind | null },
    sink: OutboxSink,
  ): Watch {
    return this.#requireStream(companyId, streamId).watch(sink, rewind);
  }

  /** Throws as `watch` does. */
  checkWatchable(companyId: Id, streamId: Id): void {
    this.#requireStream(companyId, streamId).checkWatchable();
  }

  /** See `LiveStream.askForStill`. Also throws `STREAM_NOT_FOUND`, as `watch` does. */
  askForStill(companyId: Id, streamId: Id): Still | null {
    return this.#requireStream(companyId, streamId).askForStill();
  }

  /** Reads the streams of the company if this one is not known of it; for those who have not subscribed. */
  async look(companyId: Id, streamId: Id): Promise<void> {
    if (!this.#companies.get(companyId)?.entries.has(streamId)) await this.refresh(companyId);
  }

  /** Takes a recording that an earlier run of the relay left unfinished. Throws when its stream is unknown. */
  async adopt(recording: OpenRecording): Promise<void> {
    const { streamId } = recording.identity;
    const { directory, opener, clock } = this.#options;
    const entry = await directory.find(streamId);
    if (entry === null) throw streamNotFound(streamId);
    if (this.#isClosed) throw new CodedError('SHUTTING_DOWN', 'The relay is shutting down.');
    const stream = this.#streamOf(entry);
    const waitingSinceMs = recording.lastReceivedAtMs ?? clock.nowMs();
    stream.adopt(opener.live(recording, { owner: stream, waitingSinceMs }));
  }

  /** Ends what the device publishes and refuses what it is about to publish. */
  async disconnectDevice(deviceId: Id, error: CodedError): Promise<void> {
    this.#revokedDevices.add(deviceId);
    const streams = [...this.#streams.values()].filter((stream) => stream.deviceId === deviceId);
    await Promise.all(streams.map((stream) => stream.endAll('device-revoked', error)));
  }

  /** Whether a recording that the database has as begun and not ended is being fed, or waited for. */
  stateOf(recordingId: Id): 'recording' | 'reconnecting' {
    const isFed = [...this.#streams.values()].some(
      (stream) => stream.stateOf(recordingId)?.kind === 'attached',
    );
    return isFed ? 'recording' : 'reconnecting';
  }

  /** How many recordings wait because the disk refused them. */
  get refusedByDisk(): number {
    return [...this.#streams.values()].reduce((sum, stream) => sum + stream.refusedByDisk, 0);
  }

  /** For the metrics. */
  measure(): Pick<MediaMeasurements, 'streams' | 'undurableBytes'> {
    const streams = { live: 0, 'capture-stalled': 0, reconnecting: 0 };
    let undurableBytes = 0;
    for (const stream of this.#streams.values()) {
      const { kind } = stream.state;
      if (kind !== 'offline') streams[kind] += 1;
      undurableBytes += stream.undurableBytes;
    }
    return { streams, undurableBytes };
  }

  /** Lets go of all recordings. Idempotent. */
  async close(farewell: CodedError): Promise<void> {
    this.#isClosed = true;
    for (const { told } of this.#companies.values())
      for (const { cancelCount } of told.values()) cancelCount?.();
    await Promise.all([...this.#streams.values()].map((stream) => stream.close(farewell)));
    await this.#descriptions.close();
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
    const { recordingId, streamId, companyId } = identity;
    const company = this.#companies.get(companyId);
    const entry = company?.entries.get(streamId);
    if (entry !== undefined) company?.entries.set(streamId, { ...entry, sourceName: event.data.sourceName });
    this.#descriptions.describe(streamId, recordingId, event.data);
  }

  onEnded(recording: OpenRecording): void {
    this.#options.onEnded(recording);
  }

  onLost(recordingId: Id, error: CodedError): void {
    this.#inBackground(this.#options.catalogue.markFailed(recordingId, error));
  }

  checkMayPublish({ deviceId }: DevicePrincipal): void {
    if (!this.#revokedDevices.has(deviceId)) return;
    throw new CodedError('DEVICE_REVOKED', 'The device was revoked by an admin of its company.');
  }

  #requireStream(companyId: Id, streamId: Id): LiveStream {
    if (!this.#companies.get(companyId)?.entries.has(streamId)) throw streamNotFound(streamId);
    const stream = this.#streams.get(streamId);
    if (stream !== undefined) return stream;
    throw new CodedError('STREAM_OFFLINE', `Nobody publishes the stream ${streamId} at the moment.`);
  }

  #streamOf(entry: StreamEntry): LiveStream {
    const known = this.#streams.get(entry.streamId);
    if (known !== undefined) return known;
    const { opener, clock, log, stillLimits, maxOpenRecordingsPerStream: maxOpenRecordings } = this.#options;
    const { streamId, companyId, deviceId, lastLiveAtMs } = entry;
    const ids = { streamId, companyId, deviceId };
    const stream = new LiveStream({
      ids,
      opener,
      owner: this,
      clock,
      log,
      maxOpenRecordings,
      stillLimits,
      lastLiveAtMs,
    });
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
      company.told.get(streamId)?.cancelCount?.();
      company.told.delete(streamId);
      for (const listener of company.listeners) listener.onStreamRemoved(streamId);
    }
    return company;
  }

  /** Tells subscribers what the stream is like, unless that is what they were told last. */
  #tell(company: Company, entry: StreamEntry): void {
    const view = this.#view(entry);
    const { viewerCount, ...rest } = view;
    const text = JSON.stringify(rest);
    const told = company.told.get(entry.streamId);
    if (told?.text === text) {
      if (told.viewerCount !== viewerCount) this.#tellCountSoon(told, company, entry);
      return;
    }
    this.#tellNow(company, view, text);
  }

  #tellNow(company: Company, view: StreamView, text: string): void {
    company.told.get(view.streamId)?.cancelCount?.();
    company.told.set(view.streamId, { text, viewerCount: view.viewerCount, cancelCount: null });
    for (const listener of company.listeners) listener.onStream(view);
  }

  /** When a thousand viewers come at once, each of them would otherwise be told of each. */
  #tellCountSoon(told: Told, company: Company, { streamId }: StreamEntry): void {
    if (told.cancelCount !== null || this.#isClosed) return;
    told.cancelCount = this.#options.clock.schedule(() => {
      told.cancelCount = null;
      const entry = company.entries.get(streamId);
      const view = entry && this.#view(entry);
      if (view !== undefined && view.viewerCount !== told.viewerCount)
        this.#tellNow(company, view, told.text);
    }, VIEWER_COUNT_DELAY_MS);
  }

  #view(entry: StreamEntry): StreamView {
    const stream = this.#streams.get(entry.streamId);
    return {
      streamId: entry.streamId,
      deviceName: entry.deviceName,
      sourceName: stream?.sourceName ?? entry.sourceName,
      hasSound: stream?.hasSound ?? false,
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
