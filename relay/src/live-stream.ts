/**
 * One stream: which recording is being made of it, who feeds and who watches it, and what the wall says about it.
 * A recording that still waits for its publisher may exist beside the current one.
 */
import type { Logger } from 'pino';
import {
  CodedError,
  toCodedError,
  type DevicePrincipal,
  type Id,
  type RecordingEvent,
  type Still,
  type StreamState,
} from '@proofcast/shared';
import { JournalDamagedError } from './journal/journal-reader.ts';
import type { EndReason } from './journal/journal-start.ts';
import { KeyedTurns } from './keyed-turns.ts';
import {
  recordingSealed,
  type LiveRecording,
  type LiveRecordingState,
  type Publisher,
  type RecordingOwner,
} from './live-recording.ts';
import type { MediaClock } from './media-clock.ts';
import type { Outbox, OutboxSink, Rewind } from './outbox.ts';
import type { RecordingOpener } from './recording-opener.ts';
import { recordingNotFound } from './recording/catalogue.ts';
import type { OpenRecording } from './recording/open-recording.ts';
import { Stills, type StillLimits } from './stills.ts';

/** What a publisher says in its `hello`. */
export interface OpenRequest {
  readonly device: DevicePrincipal;
  readonly recordingId: Id;
  readonly startedAtUs: number;
  /** Whether something is being captured for it now; otherwise it was captured earlier and never becomes current. */
  readonly isCapturing: boolean;
  readonly publisherClockOffsetUs: number;
  readonly publisher: Publisher;
}

/** Who is told what happens to a stream. */
export interface StreamOwner {
  onChanged(stream: LiveStream): void;
  /** The stream was live until then. */
  onLastLive(stream: LiveStream, lastLiveAtMs: number): void;
  onEvent(recording: LiveRecording, event: RecordingEvent): void;
  /** The recording has its end, and nobody feeds it any more; its files are open. */
  onEnded(recording: OpenRecording): void;
  /** The journal cannot be read any more; what is left of it is kept. */
  onLost(recordingId: Id, error: CodedError): void;
  /** Throws when the device must not publish any more. */
  checkMayPublish(device: DevicePrincipal): void;
}

/** One watched stream, as the viewer's side holds it. See `Outbox`. */
export interface Watch {
  seek(rewind: Rewind): void;
  extend(untilUs: number): void;
  live(): void;
  close(): void;
}

export class LiveStream implements RecordingOwner {
  readonly streamId: Id;
  readonly companyId: Id;
  readonly deviceId: Id;
  readonly #opener: RecordingOpener;
  readonly #owner: StreamOwner;
  readonly #clock: MediaClock;
  readonly #log: Logger;
  readonly #maxOpenRecordings: number;
  readonly #stills: Stills;
  readonly #recordings = new Map<Id, LiveRecording>();
  /** Ids of recordings that will be among these soon, and count already. */
  readonly #opening = new Set<Id>();
  #current: LiveRecording | null = null;
  #lastLiveAtMs: number | null;
  #isClosed = false;
  /** A recording is opened and ended one after the other; others of the stream do not wait for it. */
  readonly #turns = new KeyedTurns();

  constructor(options: {
    ids: { streamId: Id; companyId: Id; deviceId: Id };
    opener: RecordingOpener;
    owner: StreamOwner;
    clock: MediaClock;
    log: Logger;
    maxOpenRecordings: number;
    stillLimits: StillLimits;
    lastLiveAtMs: number | null;
  }) {
    this.streamId = options.ids.streamId;
    this.companyId = options.ids.companyId;
    this.deviceId = options.ids.deviceId;
    this.#opener = options.opener;
    this.#owner = options.owner;
    this.#clock = options.clock;
    this.#log = options.log;
    this.#maxOpenRecordings = options.maxOpenRecordings;
    this.#lastLiveAtMs = options.lastLiveAtMs;
    this.#stills = new Stills({
      clock: options.clock,
      limits: options.stillLimits,
      onWanted: (intervalMs) => this.#current?.tellStills(intervalMs),
    });
  }

  get state(): StreamState {
    const recording = this.#current;
    if (recording === null || recording.state.kind === 'closed' || recording.state.kind === 'ending') {
      return { kind: 'offline', sinceMs: this.#lastLiveAtMs };
    }
    const { kind, sinceMs } = recording.state;
    if (kind === 'waiting') return { kind: 'reconnecting', sinceMs };
    const { stalledSinceMs } = recording;
    if (stalledSinceMs !== null) return { kind: 'capture-stalled', sinceMs: stalledSinceMs };
    return { kind: 'live', sinceMs };
  }

  /** The recording that is being made, null while the stream is offline. */
  get recordingId(): Id | null {
    return this.state.kind === 'offline' ? null : (this.#current?.identity.recordingId ?? null);
  }

  get viewerCount(): number {
    return this.#current?.viewerCount ?? 0;
  }

  /** What is captured, by the word of the publisher; null when it has not said so. */
  get sourceName(): string | null {
    return this.#current?.epoch?.start.sourceName ?? null;
  }

  /** Whether what is captured has sound, by the word of the publisher. */
  get hasSound(): boolean {
    return this.recordingId !== null && (this.#current?.epoch?.start.hasAudio ?? false);
  }

  /** How many of its recordings wait because the disk refused them. */
  get refusedByDisk(): number {
    return [...this.#recordings.values()].filter((recording) => !recording.isUsable).length;
  }

  /** Of all its recordings: received and not durable. */
  get undurableBytes(): number {
    return [...this.#recordings.values()].reduce((sum, recording) => sum + recording.undurableBytes, 0);
  }

  /** Null when the recording is not live on this stream. */
  stateOf(recordingId: Id): LiveRecordingState | null {
    return this.#recordings.get(recordingId)?.state ?? null;
  }

  /** Takes a recording that an earlier run of the relay left unfinished. */
  adopt(recording: LiveRecording): void {
    this.#recordings.set(recording.identity.recordingId, recording);
    const currentStart = this.#current?.identity.startedAtUs ?? Number.NEGATIVE_INFINITY;
    if (recording.identity.startedAtUs > currentStart) this.#makeCurrent(recording);
  }

  /**
   * Begins or resumes a recording and attaches the publisher to it; whoever fed the same recording before is closed
   * with `STREAM_TAKEN`. Recordings of one stream are fed side by side. Throws `RECORDING_NOT_FOUND`,
   * `RECORDING_SEALED`, `RECORDING_DELETED`, `RECORDING_DAMAGED`, `LIMIT_REACHED`, `STORAGE_FULL`, `STORAGE_FAILED`.
   */
  open(request: OpenRequest): Promise<LiveRecording> {
    return this.#turns.run(request.recordingId, async () => {
      this.#checkNotClosed();
      this.#owner.checkMayPublish(request.device);
      const recording = await this.#openOne(request);
      this.#checkNotClosed();
      await this.#checkMayStillPublish(recording, request.device);
      recording.attach(request.publisher, request.publisherClockOffsetUs);
      if (request.isCapturing && !this.#isOlderThanCurrent(recording)) this.#makeCurrent(recording);
      return recording;
    });
  }

  /** Ends a recording for good. Throws `STORAGE_FAILED`; the recording then stays open. */
  end(recording: LiveRecording, reason: EndReason, farewell: CodedError): Promise<void> {
    const { recordingId } = recording.identity;
    return this.#turns.run(recordingId, () => this.#endNow(recording, reason, farewell));
  }

  /** Ends everything on the stream: publishers and viewers are told `error`. */
  async endAll(reason: EndReason, error: CodedError): Promise<void> {
    for (const recording of this.#recordings.values()) {
      recording.detachAnybody(error);
      await this.end(recording, reason, error).catch((cause: unknown) => {
        this.#log.error({ ...this.#idsOf(recording), err: cause }, 'cannot end a recording');
      });
    }
  }

  /** Live, or from a place in the past on. Throws `STREAM_OFFLINE` when nothing is being recorded. */
  watch(sink: OutboxSink, rewind: Rewind | null): Watch {
    const recording = this.#requireCurrent();
    const reader: Outbox = recording.addReader(sink, rewind);
    return {
      seek: (to) => reader.seek(to),
      extend: (untilUs) => reader.extend(untilUs),
      live: () => reader.live(),
      close: () => recording.removeReader(reader),
    };
  }

  /** Throws as `watch` does. */
  checkWatchable(): void {
    this.#requireCurrent();
  }

  /** The newest still picture, null when there is none yet; makes them wanted. Throws `STREAM_OFFLINE`. */
  askForStill(): Still | null {
    this.#requireCurrent();
    return this.#stills.ask();
  }

  /** What the publisher of `recording` is to be told when it comes; null: no still is wanted of it. */
  stillIntervalMs(recording: LiveRecording): number | null {
    return recording === this.#current ? this.#stills.intervalMs : null;
  }

  /** Takes a still picture from the publisher of `recording`; drops it unless it shows what is watched now. */
  takeStill(recording: LiveRecording, still: Still): void {
    if (recording === this.#current) this.#stills.take(still);
  }

  /** Lets go of all recordings; their journals stay and are recovered by the next run. Idempotent. */
  async close(farewell: CodedError): Promise<void> {
    this.#isClosed = true;
    this.#stills.forget();
    for (const recording of this.#recordings.values()) recording.detachAnybody(farewell);
    await this.#turns.whenIdle();
    await Promise.all([...this.#recordings.values()].map((recording) => recording.close(farewell)));
    this.#recordings.clear();
    this.#current = null;
  }

  onChanged(recording: LiveRecording): void {
    if (recording === this.#current && recording.state.kind === 'waiting') {
      this.#setLastLive(recording.state.sinceMs);
    }
    this.#owner.onChanged(this);
  }

  onEvent(recording: LiveRecording, event: RecordingEvent): void {
    this.#owner.onEvent(recording, event);
  }

  onGraceOver(recording: LiveRecording): void {
    const farewell = new CodedError('STREAM_OFFLINE', 'The publisher did not come back in time.');
    const task = async (): Promise<void> => {
      // A publisher that came while this waited for its turn has the recording.
      if (recording.state.kind === 'waiting') await this.#endNow(recording, 'publisher-lost', farewell);
    };
    this.#turns.run(recording.identity.recordingId, task).catch((error: unknown) => {
      this.#log.error({ ...this.#idsOf(recording), err: error }, 'cannot end a recording that nobody feeds');
    });
  }

  async #openOne(request: OpenRequest): Promise<LiveRecording> {
    const { recordingId } = request;
    try {
      const recording = await this.#usableRecording(request);
      this.#recordings.set(recordingId, recording);
      return recording;
    } finally {
      this.#opening.delete(recordingId);
    }
  }

  /** The recording as it is, gone on with, read again, or new; with its grace time running. */
  async #usableRecording({ device, recordingId, startedAtUs }: OpenRequest): Promise<LiveRecording> {
    const { companyId, deviceId, streamId } = device;
    const known = this.#recordings.get(recordingId);
    if (known !== undefined) {
      if (known.identity.startedAtUs !== startedAtUs) throw recordingNotFound(recordingId);
      return known.isUsable ? known : this.#reopen(known);
    }
    const row = await this.#opener.find(recordingId, streamId);
    this.#checkRoomForAnother();
    this.#opening.add(recordingId);
    if (row === null) {
      return this.#opener.create({ recordingId, companyId, streamId, deviceId, startedAtUs }, this);
    }
    const isOurs = row.stream_id === streamId && row.device_id === deviceId && row.company_id === companyId;
    if (!isOurs || row.started_at_us !== startedAtUs) throw recordingNotFound(recordingId);
    return this.#opener.resume(row, this);
  }

  /** The device may have been revoked while the recording was being opened: nothing more comes then. */
  async #checkMayStillPublish(recording: LiveRecording, device: DevicePrincipal): Promise<void> {
    try {
      this.#owner.checkMayPublish(device);
    } catch (error) {
      await this.#endNow(recording, 'device-revoked', toCodedError(error));
      throw error;
    }
  }

  async #endNow(recording: LiveRecording, reason: EndReason, farewell: CodedError): Promise<void> {
    const { recordingId } = recording.identity;
    if (this.#recordings.get(recordingId) !== recording) throw recordingSealed(recordingId, null);
    const usable = recording.isUsable ? recording : await this.#reopen(recording);
    if (usable.state.kind === 'attached') this.#setLastLive(this.#clock.nowMs());
    await usable.end(reason, farewell);
    this.#forget(usable);
    this.#owner.onEnded(usable.recording);
  }

  /** Reads a recording again from its files after the disk refused it. Throws `STORAGE_FAILED`. */
  async #reopen(broken: LiveRecording): Promise<LiveRecording> {
    const { recordingId } = broken.identity;
    const gone = new CodedError('STORAGE_FAILED', 'The disk of the relay refused the recording.');
    await broken.close(gone);
    this.#opener.forget(broken.recording);
    let recovered;
    try {
      recovered = await this.#opener.recover(recordingId, broken.durableCount);
      if (recovered === null) throw new JournalDamagedError(`The journal of ${recordingId} is missing.`);
    } catch (error) {
      if (error instanceof JournalDamagedError) {
        this.#forget(broken);
        this.#owner.onLost(recordingId, error);
      } else broken.waitAgain();
      throw error;
    }
    const waitingSinceMs = recovered.lastReceivedAtMs ?? this.#clock.nowMs();
    const recording = this.#opener.live(recovered, { owner: this, waitingSinceMs });
    this.#recordings.set(recordingId, recording);
    if (this.#current === broken) this.#current = recording;
    return recording;
  }

  /** What began later is what the person shares now, as long as somebody feeds it. */
  #isOlderThanCurrent({ identity }: LiveRecording): boolean {
    const current = this.#current;
    return current?.state.kind === 'attached' && current.identity.startedAtUs > identity.startedAtUs;
  }

  #makeCurrent(recording: LiveRecording): void {
    const before = this.#current;
    if (before !== recording && this.#stills.intervalMs !== null) before?.tellStills(null);
    this.#current = recording;
    this.onChanged(recording);
    if (before === null || before === recording) return;
    before.dismissReaders(
      new CodedError('STREAM_OFFLINE', 'The recording was followed by another one; watch the stream again.'),
    );
  }

  #setLastLive(lastLiveAtMs: number): void {
    if (lastLiveAtMs === this.#lastLiveAtMs) return;
    this.#lastLiveAtMs = lastLiveAtMs;
    this.#owner.onLastLive(this, lastLiveAtMs);
  }

  #forget(recording: LiveRecording): void {
    this.#recordings.delete(recording.identity.recordingId);
    if (this.#current === recording) this.#current = null;
    this.#owner.onChanged(this);
  }

  #requireCurrent(): LiveRecording {
    if (this.#current !== null && this.state.kind !== 'offline') return this.#current;
    throw new CodedError('STREAM_OFFLINE', `Nobody publishes the stream ${this.streamId} at the moment.`);
  }

  #checkRoomForAnother(): void {
    const count = new Set([...this.#recordings.keys(), ...this.#opening]).size;
    if (count < this.#maxOpenRecordings) return;
    throw new CodedError(
      'LIMIT_REACHED',
      `The stream has ${count} unfinished recordings; stop one, or wait until they are sealed.`,
    );
  }

  #checkNotClosed(): void {
    if (this.#isClosed) throw new CodedError('SHUTTING_DOWN', 'The relay is shutting down; connect again.');
  }

  #idsOf(recording: LiveRecording): { recordingId: Id; streamId: Id } {
    return { recordingId: recording.identity.recordingId, streamId: this.streamId };
  }
}
