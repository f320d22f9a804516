/**
 * One recording that is being made: its publisher or the wait for one, and its readers. Leaves the protocols to ingest
 * and fallback, the bytes to the open recording, and what happens to that after the end to its owner.
 */
import type { Logger } from 'pino';
import { CodedError, type Chunk, type Id, type RecordingEvent } from '@proofcast/shared';
import { CaptureState } from './capture-state.ts';
import type { EndReason, RecordingIdentity } from './journal/journal-start.ts';
import type { MediaClock } from './media-clock.ts';
import {
  mediaFrame,
  Outbox,
  type OutboxLimits,
  type OutboxSink,
  type OutboxSource,
  type Rewind,
} from './outbox.ts';
import type { PayloadCache } from './payload-cache.ts';
import type { OpenRecording } from './recording/open-recording.ts';
import type { ChunkEntry, KeyPoint, OpenEpoch } from './recording/recording-index.ts';

/** What a recording asks of the connection that feeds it. */
export interface Publisher {
  /** More chunks are durable than before. */
  onDurable(): void;
  onViewers(viewerCount: number): void;
  /** How often a still picture is wanted; null: none any more. */
  onStills(intervalMs: number | null): void;
  /** Ends the connection; the recording has let go of it already. */
  close(error: CodedError): void;
}

/** Who is told what happens to a recording. */
export interface RecordingOwner {
  /** Its state, its viewers or what is captured has changed. */
  onChanged(recording: LiveRecording): void;
  onEvent(recording: LiveRecording, event: RecordingEvent): void;
  /** No publisher came back in time. */
  onGraceOver(recording: LiveRecording): void;
}

export type LiveRecordingState =
  | { readonly kind: 'attached'; readonly publisher: Publisher; readonly sinceMs: number }
  | { readonly kind: 'waiting'; readonly sinceMs: number; readonly cancelGrace: () => void }
  | { readonly kind: 'ending'; readonly sinceMs: number }
  | { readonly kind: 'closed'; readonly sinceMs: number };

export interface LiveRecordingOptions {
  readonly recording: OpenRecording;
  readonly owner: RecordingOwner;
  readonly clock: MediaClock;
  readonly graceMs: number;
  readonly limits: OutboxLimits;
  /** See `CaptureState`. */
  readonly epochToleranceMs: number;
  /** Of all recordings together. */
  readonly payloads: PayloadCache;
  readonly log: Logger;
  /** Since when there is no publisher. */
  readonly waitingSinceMs: number;
}

export class LiveRecording implements OutboxSource {
  readonly #options: LiveRecordingOptions;
  readonly #recording: OpenRecording;
  readonly #readers = new Set<Outbox>();
  #state: LiveRecordingState;
  #publisherClockOffsetUs: number;
  readonly #capture: CaptureState;

  /** Begins without a publisher, so that one that never comes ends it too. */
  constructor(options: LiveRecordingOptions) {
    this.#options = options;
    this.#recording = options.recording;
    this.#publisherClockOffsetUs = options.recording.clockOffsetUs;
    this.#capture = new CaptureState({
      facts: options.recording.index,
      clock: options.clock,
      epochToleranceMs: options.epochToleranceMs,
      sinceMs: options.waitingSinceMs,
      onChanged: () => options.owner.onChanged(this),
    });
    this.#state = this.#waitForPublisher(options.waitingSinceMs);
    this.#recording.journal.events = {
      onDurable: () => {
        if (this.#state.kind === 'attached') this.#state.publisher.onDurable();
      },
      onContinued: (segment, cause) => {
        const { recordingId } = this.identity;
        options.log.error(
          { recordingId, segment, err: cause },
          'a journal file failed; a new one continues it',
        );
      },
      onFailed: (error) => this.#onJournalFailed(error),
    };
  }

  get identity(): RecordingIdentity {
    return this.#recording.identity;
  }

  /** Its bytes, and what is known of them. */
  get recording(): OpenRecording {
    return this.#recording;
  }

  get state(): LiveRecordingState {
    return this.#state;
  }

  /** Since when nothing is captured although there is a publisher; null while something is. */
  get stalledSinceMs(): number | null {
    return this.#capture.brokenSinceMs;
  }

  /** False once the disk refused: the recording then has to be recovered from its files. */
  get isUsable(): boolean {
    return this.#recording.journal.isOpen;
  }

  get durableCount(): number {
    return this.#recording.journal.durableCount;
  }

  get undurableBytes(): number {
    return this.#recording.journal.undurableBytes;
  }

  /** Chain value of the newest chunk. */
  get chain(): Uint8Array {
    return this.#recording.index.chain;
  }

  /** Relay's clock minus publisher's clock, microseconds. */
  get publisherClockOffsetUs(): number {
    return this.#publisherClockOffsetUs;
  }

  get viewerCount(): number {
    return this.#readers.size;
  }

  get nextSequence(): number {
    return this.#recording.index.nextSequence;
  }

  get epoch(): OpenEpoch | null {
    return this.#recording.index.epoch;
  }

  get epochs(): readonly OpenEpoch[] {
    return this.#recording.index.epochs;
  }

  get newestKey(): KeyPoint | null {
    return this.#recording.index.newestKey;
  }

  keyPointAt(timeUs: number): KeyPoint | null {
    return this.#recording.index.keyPointAt(timeUs);
  }

  nextKeyPoint(after: KeyPoint): KeyPoint | null {
    return this.#recording.index.nextKeyPoint(after);
  }

  entry(sequence: number): ChunkEntry | null {
    return this.#recording.index.entry(sequence);
  }

  read(entry: ChunkEntry): Promise<Uint8Array> {
    const { place } = entry.stored;
    if (place.kind === 'memory') return Promise.resolve(place.bytes);
    return this.#options.payloads.get(`${this.identity.recordingId} ${entry.sequence}`, () =>
      this.#recording.journal.readPayload(entry.stored),
    );
  }

  /** Throws `RECORDING_SEALED` when the recording has been ended meanwhile. */
  attach(publisher: Publisher, publisherClockOffsetUs: number): void {
    const { recordingId } = this.identity;
    if (this.#state.kind === 'ending' || this.#state.kind === 'closed') {
      throw recordingSealed(recordingId, this.nextSequence);
    }
    this.detachAnybody(
      new CodedError('STREAM_TAKEN', 'A newer connection of the device took over the stream.'),
    );
    if (this.#state.kind === 'waiting') this.#state.cancelGrace();
    this.#publisherClockOffsetUs = publisherClockOffsetUs;
    this.#state = { kind: 'attached', publisher, sinceMs: this.#options.clock.nowMs() };
    this.#capture.onAttached();
    this.#options.owner.onChanged(this);
  }

  /** The connection of `publisher` is lost. Nothing happens when another one has taken over. */
  detach(publisher: Publisher): void {
    if (this.#state.kind !== 'attached' || this.#state.publisher !== publisher) return;
    this.#state = this.#waitForPublisher(this.#options.clock.nowMs());
    this.#options.owner.onChanged(this);
  }

  /** Lets go of the publisher, whoever it is, and closes it with `error`. */
  detachAnybody(error: CodedError): void {
    if (this.#state.kind !== 'attached') return;
    const { publisher } = this.#state;
    this.detach(publisher);
    publisher.close(error);
  }

  /**
   * Takes a chunk whose number, hash and chain are right. Throws as `RecordingIndex.check` does, `RECORDING_SEALED`
   * after the end, and `STORAGE_FAILED` when the journal is closed; nothing was taken then. `headroom`: see
   * `OutboxFrame`.
   */
  accept(chunk: Chunk, receivedAtUs: number, headroom: Uint8Array | null = null): void {
    // What comes after the end would be acknowledged, and be in no file.
    if (this.#state.kind === 'ending' || this.#state.kind === 'closed') {
      throw recordingSealed(this.identity.recordingId, this.nextSequence);
    }
    const { entry, event } = this.#recording.append(chunk, receivedAtUs);
    const frame = mediaFrame(entry, chunk.payload, headroom);
    for (const reader of this.#readers) reader.offer(entry, frame);
    if (event !== null) this.#onEvent(event);
  }

  /** Adds a reader that sends to `sink`, until `removeReader` or the end; live, or from a place in the past on. */
  addReader(sink: OutboxSink, rewind: Rewind | null): Outbox {
    const reader: Outbox = new Outbox({
      source: this,
      sink,
      limits: this.#options.limits,
      nowMs: () => this.#options.clock.nowMs(),
      onEnded: () => this.removeReader(reader),
    });
    this.#readers.add(reader);
    reader.start(rewind);
    this.#onReaders();
    return reader;
  }

  /** Tells the publisher, if there is one, how often a still picture is wanted. */
  tellStills(intervalMs: number | null): void {
    if (this.#state.kind === 'attached') this.#state.publisher.onStills(intervalMs);
  }

  /** Idempotent. */
  removeReader(reader: Outbox): void {
    reader.close();
    if (this.#readers.delete(reader)) this.#onReaders();
  }

  /** Ends all readers; the recording goes on. */
  dismissReaders(farewell: CodedError): void {
    const readers = [...this.#readers];
    this.#readers.clear();
    for (const reader of readers) reader.end(farewell);
    if (readers.length > 0) this.#onReaders();
  }

  /**
   * Ends the recording: makes all of it durable and writes why. Its files stay open, for whoever takes it over. Viewers
   * are told `farewell`. A publisher that is still attached is left to the caller. Throws `STORAGE_FAILED`; the
   * recording then waits for a publisher again.
   */
  async end(reason: EndReason, farewell: CodedError): Promise<void> {
    const { clock } = this.#options;
    const sinceMs = this.#state.sinceMs;
    if (this.#state.kind === 'ending' || this.#state.kind === 'closed') {
      throw recordingSealed(this.identity.recordingId, this.nextSequence);
    }
    if (this.#state.kind === 'waiting') this.#state.cancelGrace();
    this.#state = { kind: 'ending', sinceMs: this.#state.kind === 'waiting' ? sinceMs : clock.nowMs() };
    try {
      const atMs = clock.nowMs();
      const publisherAtMs = Math.round(atMs - this.#publisherClockOffsetUs / 1000);
      await this.#recording.end({ reason, atMs, publisherAtMs });
    } catch (error) {
      if (this.#isEnding) this.#state = this.#waitForPublisher(clock.nowMs());
      throw error;
    }
    this.#letGo(farewell);
  }

  /** Keeps a closed recording for another attempt to open its journal. */
  waitAgain(): void {
    if (this.#state.kind === 'closed') this.#state = this.#waitForPublisher(this.#state.sinceMs);
  }

  /** Lets go of everything; the journal stays as it is and can be recovered. Idempotent. */
  async close(farewell: CodedError): Promise<void> {
    this.#letGo(farewell);
    await this.#recording.close();
  }

  #letGo(farewell: CodedError): void {
    const { sinceMs } = this.#state;
    this.detachAnybody(farewell);
    if (this.#state.kind === 'waiting') this.#state.cancelGrace();
    this.#state = { kind: 'closed', sinceMs };
    this.#capture.close();
    this.dismissReaders(farewell);
  }

  get #isEnding(): boolean {
    return this.#state.kind === 'ending';
  }

  #waitForPublisher(sinceMs: number): LiveRecordingState {
    const { clock, graceMs, owner } = this.#options;
    const cancelGrace = clock.schedule(() => owner.onGraceOver(this), graceMs);
    return { kind: 'waiting', sinceMs, cancelGrace };
  }

  #onEvent(event: RecordingEvent): void {
    this.#capture.onEvent();
    this.#options.owner.onEvent(this, event);
    this.#options.owner.onChanged(this);
  }

  #onReaders(): void {
    if (this.#state.kind === 'attached') this.#state.publisher.onViewers(this.#readers.size);
    this.#options.owner.onChanged(this);
  }

  #onJournalFailed(error: CodedError): void {
    const { log } = this.#options;
    log.error({ recordingId: this.identity.recordingId, err: error }, 'the disk refuses a journal');
    this.detachAnybody(error);
    this.dismissReaders(error);
    this.#options.owner.onChanged(this);
  }
}

/** The refusal of a publisher whose recording has ended; the count tells it what the relay has. */
export function recordingSealed(recordingId: Id, chunkCount: number | null): CodedError {
  return new CodedError(
    'RECORDING_SEALED',
    `The recording ${recordingId} has ended and takes no more chunks.`,
    {
      details: { recordingId, chunkCount },
    },
  );
}
